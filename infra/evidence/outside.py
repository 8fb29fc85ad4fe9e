"""Signed checkpoints kept outside the database, in a folder: what the signer may never contradict.

`<log>/<year>-<month>.notes` holds every note, each followed by an empty line; `<log>.checkpoint` the newest alone. A
note is in the former, on disk, before it is anywhere else: a run cut short leaves at most half a note at the end, which
was shown to nobody and is taken off.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from infra.durable import sync_folder

_END = b"\n\n"
_DASH = "— ".encode()
_TAIL_BYTES = 64_000


class Outside:
    """The notes of one log, or of its heads, in `folder`, which is made when it is missing."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._newest = folder / f"{name}.checkpoint"
        self._lock = folder / f"{name}.lock"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else who looks at this folder signs meanwhile, whatever database they speak to."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def keep(self, note: bytes) -> None:
        """On disk when this returns. To be called while `alone`."""
        path = self._folder / f"{datetime.now(UTC):%Y-%m}.notes"
        is_new = not path.exists()
        with path.open("xb" if is_new else "r+b") as file:
            file.seek(0 if is_new else _whole(path))
            file.truncate()
            file.write(note + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self._folder)
        self._replace_newest(note)

    def newest(self) -> bytes | None:
        """The note that was kept last. The two files differ where a run was cut short between them: then the journal
        knows both; where it knows only older ones it was tampered with, and the other file counts."""
        known = [note for month in self._months()[-2:] for note in _notes(_tail(month)[1])]
        if not self._newest.exists():
            return known[-1] if known else None
        newest = self._newest.read_bytes()
        return known[-1] if newest in known else newest

    def notes(self) -> Iterator[bytes]:
        """All of them in the order in which they were kept."""
        last = None
        for month in self._months():
            for last in _notes(month.read_bytes()):
                yield last
        if self._newest.exists() and (newest := self._newest.read_bytes()) != last:
            yield newest

    def _months(self) -> list[Path]:
        return sorted(self._folder.glob("*.notes"))

    def _replace_newest(self, note: bytes) -> None:
        draft = self._newest.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._newest)
        sync_folder(self._newest.parent)


def _notes(journal: bytes) -> Iterator[bytes]:
    """Whole notes; what is half at either end is left out. The signatures of a note begin with a dash."""
    parts = journal.split(_END)[:-1]
    for text, signed in pairwise(parts):
        if signed.startswith(_DASH) and not text.startswith(_DASH):
            yield text + _END + signed + b"\n"


def _whole(path: Path) -> int:
    """Where the last whole note of a journal ends."""
    begin, tail = _tail(path)
    notes = list(_notes(tail))
    return begin + tail.rfind(notes[-1]) + len(notes[-1]) + 1 if notes else begin


def _tail(path: Path) -> tuple[int, bytes]:
    """The end of a journal, and where it begins."""
    with path.open("rb") as file:
        begin = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
        file.seek(begin)
        return begin, file.read()
