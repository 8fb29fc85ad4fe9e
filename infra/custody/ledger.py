"""The ledger of destroyed keys: a file outside the database, so that a restored database learns what it forgot.

One JSON line for each destruction, only ever added to. Each carries a seal under a key that the key provider gives,
over itself and the seal before it: a line that was changed, moved or taken out is noticed, a last one that is missing
by the database that knows of it.
"""

import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict

from infra.durable import sync_folder
from infra.keys import KeyProvider

_FIRST = ""


class LedgerBroken(Exception):
    """The ledger of destroyed keys is missing, altered or cut: put a good copy in its place."""


class Destruction(BaseModel):
    """One line. `marks` are the suppressed identifiers, as digests in hexadecimal."""

    model_config = ConfigDict(frozen=True)

    destruction_id: str
    patient_id: str
    key_id: str | None
    position: int
    reason: str
    requested_by: str
    requested_at: AwareDatetime
    confirmed_by: str
    confirmed_at: AwareDatetime
    carried_out_at: AwareDatetime
    marks: tuple[str, ...]


class Ledger:
    """`path` need not exist before the first destruction; its folder must, since a share that is not mounted would look
    like a ledger without a line. May be on a share: whoever adds holds a lock on the file."""

    def __init__(self, path: Path, provider: KeyProvider) -> None:
        self.path = path
        self._secret = hmac.digest(provider.index_key(), b"ledger of destroyed keys", hashlib.sha256)

    def destructions(self) -> list[Destruction]:
        """Oldest first. Raises LedgerBroken."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise LedgerBroken(f"the folder of {self.path} is not there; is it mounted?") from None
            return []
        except OSError as error:
            raise LedgerBroken(f"{self.path} cannot be read: {type(error).__name__}") from error
        return [told for told, _ in self._read(content)]

    def add(self, told: Destruction) -> None:
        """Durable when this returns. Raises LedgerBroken, OSError."""
        is_new = not self.path.exists()
        with self._locked() as file:
            content = file.read()
            whole = _whole_lines(content)
            last = [_FIRST, *(seal for _, seal in self._read(content))][-1]
            file.truncate(len(whole))  # half a line is of a process that ended before its transaction did
            file.seek(len(whole))
            body = told.model_dump(mode="json")
            file.write(orjson.dumps({"destruction": body, "seal": self._seal(last, body)}) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self.path.parent)

    def _read(self, content: bytes) -> Iterator[tuple[Destruction, str]]:
        seal = _FIRST
        for number, line in enumerate(_whole_lines(content).splitlines(), start=1):
            try:
                found = orjson.loads(line)
                body, claimed = found["destruction"], found["seal"]
                told = Destruction.model_validate(body)
            except (ValueError, LookupError, TypeError):
                body, claimed, told = None, "", None
            if told is None or not hmac.compare_digest(claimed, self._seal(seal, body)):
                raise LedgerBroken(f"line {number} of {self.path} is not as it was written")
            seal = claimed
            yield told, seal

    def _seal(self, before: str, body: Any) -> str:
        text = before.encode() + b"\n" + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        return hmac.digest(self._secret, text, hashlib.sha256).hex()

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]
