"""Random secrets of one installation, each in a file of its own that only its owner may read."""

import os
import secrets
from pathlib import Path


def secret(folder: Path, name: str) -> str:
    """The secret `name`: 43 characters safe in URLs, made at the first call and the same ever after.

    Two processes that ask at the same moment get the same one: the file appears whole or not at all.
    """
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _publish(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii")


def _publish(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first, and its secret counts
    finally:
        draft.unlink()
