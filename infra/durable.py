"""What a file system must be told for a file to be there after a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """A new name in a folder is durable only when the folder is. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
