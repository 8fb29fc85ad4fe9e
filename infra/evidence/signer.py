"""Signs checkpoints of one log, and never two that contradict each other.

What was signed is known from outside the database: the folder of notes, and the topic where there is one. A database
that does not extend it, because it was restored, failed over, or altered, is refused; an operator may then open a new
epoch, whose origins are new ones (infra/evidence/epochs.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.evidence.checkpoints import Checkpoint, open_checkpoint, sign_checkpoint
from infra.evidence.merkle import ProofRefused, consistency_proof, root_of, verify_consistency
from infra.evidence.notes import NoteRefused, Signer
from infra.evidence.outside import Outside
from infra.evidence.tiles import LeavesMissing, LogName, Tiles

Connection = psycopg.Connection[Any]
# Given an origin, the newest note of it that a topic holds.
Published = Callable[[str], bytes | None]
_EPOCH = "select branch, follows ->> %s from log.epoch"
_KEEP = """insert into log.checkpoints (log, origin, size, root, note) values (%s, %s, %s, %s, %s)
           on conflict do nothing"""
_NEWEST = """select c.origin, c.size, c.root, c.note
               from log.epoch e join log.checkpoints c on c.log = %s and c.origin = %s || e.branch
              order by c.size desc limit 1"""
_KNOWN_HERE = "select exists (select from log.checkpoints where log = %s and origin = %s)"


class SigningRefused(Exception):
    """The log does not extend what was signed before. `reason` is a stable code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Signed(NamedTuple):
    """`is_new` is false where the log has not grown since."""

    log: LogName
    checkpoint: Checkpoint
    note: bytes
    is_new: bool


@dataclass(frozen=True)
class LogSigner:
    """`name` is the origin of the first epoch; later ones add their branch to it."""

    log: LogName
    name: str
    private: Ed25519PrivateKey
    outside: Outside
    published: Published = lambda _: None

    def sign(self, connection: Connection) -> Signed | None:
        """The checkpoint of the log as it is now, kept outside and then in the database; None of an empty log.

        Raises SigningRefused, psycopg.Error, OSError and what `published` raises. Cut short anywhere, the next call
        goes on: a note that was kept outside counts as signed.
        """
        with self.outside.alone():
            signer, known = self._outside(connection)
            now = self._proved(connection, signer.name, list(known))
            if now.size == 0:
                return None
            note = known.get(now)
            is_new = note is None
            if note is None:
                note = sign_checkpoint(signer, now.size, now.root)
                self.outside.keep(note)
        connection.execute(_KEEP, [self.log, now.origin, now.size, now.root, note])
        return Signed(self.log, now, note, is_new)

    def broken(self, connection: Connection) -> SigningRefused | None:
        """Why `sign` would refuse; None where it would not. To be called while `outside.alone`."""
        try:
            signer, known = self._outside(connection)
            self._proved(connection, signer.name, list(known))
        except SigningRefused as refusal:
            return refusal
        return None

    def _outside(self, connection: Connection) -> tuple[Signer, dict[Checkpoint, bytes]]:
        """Who signs in this epoch, and the newest of what they signed: in the folder, and in the topic.

        The two differ where one of them was put back to an earlier state. Raises SigningRefused.
        """
        row = connection.execute(_EPOCH, [self.log]).fetchone()
        branch, follows = row or ("", None)
        signer = Signer(self.name + branch, self.private)
        kept = self.outside.newest()
        if kept is not None and kept.decode(errors="replace") == follows:
            kept = None
        if kept is not None and (theirs := _origin_of(kept)) != signer.name:
            raise SigningRefused(
                "another-epoch",
                f"{self.log}: this database is of epoch {signer.name}, the newest checkpoint outside of {theirs}",
            )
        found = [each for each in (kept, self.published(signer.name)) if each is not None]
        if not found and _one(connection, _KNOWN_HERE, self.log, signer.name):
            raise SigningRefused(
                "nothing-outside", f"{self.log}: checkpoints of {signer.name} were signed, and none is kept outside"
            )
        try:
            return signer, {open_checkpoint(each, [signer.verifier]): each for each in found}
        except NoteRefused as error:
            raise SigningRefused("outside-damaged", f"{self.log}: the newest checkpoint outside: {error}") from None

    def _proved(self, connection: Connection, name: str, known: Sequence[Checkpoint]) -> Checkpoint:
        """What the database holds now, after it was proved to extend all that is known. Raises SigningRefused."""
        tiles = Tiles(connection, self.log)
        most = max((each.size for each in known), default=0)
        if (head := tiles.head()) < most:
            raise SigningRefused("shrunk", f"{self.log}: {head} leaves, and {most} were signed")
        try:
            size = tiles.extend()
            now = Checkpoint(name, size, root_of(size, tiles.read))
            for each in known:
                proof = consistency_proof(each.size, size, tiles.read)
                verify_consistency(each.size, size, proof, each.root, now.root)
        except ProofRefused as error:
            raise SigningRefused("forked", f"{self.log}: what was signed is not the beginning of it: {error}") from None
        except LeavesMissing as error:
            raise SigningRefused("gap", str(error)) from None
        return now


def newest_kept(connection: Connection, log: LogName, name: str) -> Signed | None:
    """The newest checkpoint of this epoch that the database knows; `name` is the log's own, of the first epoch."""
    row = connection.execute(_NEWEST, [log, name]).fetchone()
    return Signed(log, Checkpoint(*row[:3]), row[3], is_new=False) if row else None


def log_names(name: str) -> dict[LogName, str]:
    """Names of both logs of an installation that calls its log of events `name`."""
    return {LogName.EVENTS: name, LogName.ACCESSES: f"{name}/accesses"}


def _origin_of(note: bytes) -> str:
    return note.partition(b"\n")[0].decode(errors="replace")


def _one(connection: Connection, query: str, *given: object) -> Any:
    row = connection.execute(query, given).fetchone()
    return row[0] if row else None
