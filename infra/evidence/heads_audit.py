"""The heads in the audit of a store: what was signed of all patients, against what the log says of each.

Heads at any size of the log are made anew from the leaves, in the order of patients: what is kept of a patient for
proofs is held against the patient's own events, and each tree against the root that was signed over it.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from infra.evidence import rows
from infra.evidence.checkpoints import Checkpoint, unverified_checkpoint
from infra.evidence.heads import SignedHeads, open_heads
from infra.evidence.heads_anew import Trees, finding
from infra.evidence.notes import NoteRefused, Verifier
from infra.evidence.outside import Outside
from infra.evidence.walk import Found

Connection = psycopg.Connection[Any]
# Yields what it is given and tells of the progress: what is looked at, and how many there are.
Counted = Callable[[Iterable[Any], str, int], Iterator[Any]]

# So many entries are hashed at the most, unless all are asked for: some twenty seconds.
MOST_ENTRIES = 10_000_000
# Heads go outside every minute.
LATE = timedelta(minutes=10)
_SIGNED = "select size, key, note, signed_at from log.heads where origin = %s order by size"
_INDEX = "select origin, size, index from log.heads_index"
_KEPT = "select uuid_send(patient_id), events, root from log.patient_heads order by patient_id"
_COUNTS = """select (select coalesce(max(position), 0) from log.events), (select count(*) from log.patient_heads),
                    (select count(*) from log.events where patient_id is not null)"""
_LEAVES = sql.SQL(
    """copy (select patient_id, position, leaf_hash from log.events where patient_id is not null
              order by patient_id, patient_seq) to stdout (format binary)"""
)


class AuditedHeads(NamedTuple):
    """`signed` trees of heads of this epoch were seen, `recomputed` of them made anew; the last is of a log of
    `through` events. Of `former` notes of earlier epochs the signatures were checked."""

    signed: int
    recomputed: int
    through: int
    former: int


class SignedHere(NamedTuple):
    """One signed tree as the database has it."""

    size: int
    signed_at: datetime


@dataclass
class KeptHeads:
    """Where the notes of the heads are kept, those that someone brings beside, and the key of their log. `every`: make
    each tree anew, however many there are."""

    verifier: Verifier
    outside: Outside
    more: Sequence[bytes] = ()
    every: bool = False
    former: int = 0
    recomputed: int = 0
    signed: dict[int, Checkpoint] = field(default_factory=dict)

    def audit(self, copying: Connection, asking: Connection, counted: Counted) -> Found:
        """Everything that is wrong with the heads. Notes are read before the database, which has each of them first."""
        outside: list[int] = []
        for note in [*self.outside.notes(), *self.more]:
            yield from self._opened(note, "a note of the heads that is kept outside", outside)
        with asking.transaction():
            asking.execute("set transaction isolation level repeatable read")
            here: list[SignedHere] = []
            yield from self._here(asking, here)
            yield from _apart(here, outside)
            yield from _fewer(self.signed)
            yield from self._made_anew(copying, asking, here, counted)

    def audited(self) -> AuditedHeads:
        return AuditedHeads(len(self.signed), self.recomputed, max(self.signed, default=0), self.former)

    def _opened(self, note: bytes, told: str, sizes: list[int]) -> Found:
        """Adds the size of the log that the note is of, unless it is of another epoch or nothing of ours."""
        try:
            claimed = unverified_checkpoint(note).origin.removesuffix("/heads")
            heads = open_heads(note, Verifier(claimed, self.verifier.public))
        except NoteRefused as error:
            yield finding(None, f"{told}: {error}")
            return
        if claimed != self.verifier.name:
            self.former += 1
            return
        sizes.append(heads.log_size)
        yield from self._noted(heads)

    def _noted(self, heads: SignedHeads) -> Found:
        if self.signed.setdefault(heads.log_size, heads.tree) != heads.tree:
            yield finding(heads.log_size, f"two trees of heads were signed for the first {heads.log_size} events")

    def _here(self, asking: Connection, here: list[SignedHere]) -> Found:
        for size, key, note, signed_at in asking.execute(_SIGNED, [self.verifier.name]):
            told: list[int] = []
            yield from self._opened(note, f"the heads of {size} events in the database", told)
            if told and (told[0] != size or key != str(self.verifier)):
                yield finding(size, f"the heads of {told[0]} events stand in the database as those of {size}")
            here.append(SignedHere(size, signed_at))

    def _made_anew(
        self, copying: Connection, asking: Connection, here: Sequence[SignedHere], counted: Counted
    ) -> Found:
        origin, kept_at, stored = asking.execute(_INDEX, binary=True).fetchone() or ("", 0, b"")
        newest = here[-1].size if here else 0
        if origin in ("", self.verifier.name) and kept_at != newest:
            yield finding(
                min(kept_at, newest) + 1, f"proofs are made from heads of {kept_at} events; {newest} were signed"
            )
        last, patients, events = asking.execute(_COUNTS).fetchone() or (0, 0, 0)
        for size in [each for each in sorted({*self.signed, kept_at}) if each > last]:
            yield finding(last + 1, f"there are heads of {size} events, and {last} are stored")
        sizes = sorted({*self._chosen(last, patients), kept_at} - {0})
        trees = Trees([each for each in sizes if each <= last], kept_at)
        leaves = counted(rows.copied(copying, _LEAVES), "heads", events)
        with asking.cursor(name="heads", binary=True) as heads:
            heads.itersize = 5_000
            yield from trees.grow(leaves, heads.execute(_KEPT))
        yield from self._compared(trees, stored)

    def _chosen(self, last: int, patients: int) -> list[int]:
        """Which trees are made anew: all, or the newest and as many others, drawn by chance, as are worth the time."""
        there = sorted(each for each in self.signed if each <= last)
        most = max(2, MOST_ENTRIES // max(1, patients))
        if self.every or len(there) <= most:
            return there
        return [there[-1], *random.SystemRandom().sample(there[:-1], most - 1)]

    def _compared(self, trees: Trees, stored: bytes) -> Found:
        for size, tree in trees.at.items():
            signed = self.signed.get(size)
            if size == trees.kept_at and tree.index().to_bytes() != stored:
                yield finding(None, f"the index of the heads of {size} events is not of these heads")
            if signed is None:
                continue
            self.recomputed += 1
            if (signed.size, signed.root) != (tree.size, tree.root()):
                yield finding(size, f"the heads that were signed of the first {size} events are not the log's")


def _apart(here: Sequence[SignedHere], outside: Sequence[int]) -> Found:
    """Where the database and what is kept outside do not have the same trees."""
    known, newest = {each.size for each in here}, max(outside, default=0)
    for size in sorted(set(outside) - known):
        yield finding(size, f"heads of {size} events are kept outside, and the database does not have them")
    settled = here[-2].signed_at - LATE if len(here) > 1 else None
    lacking = [each.size for each in here if settled and each.size > newest and each.signed_at < settled]
    if lacking:
        yield finding(
            newest + 1, f"the newest heads kept outside are of {newest} events, and {lacking[-1]} were signed"
        )


def _fewer(signed: dict[int, Checkpoint]) -> Found:
    """Patients are added and never taken away."""
    most = 0
    for size in sorted(signed):
        if signed[size].size < most:
            yield finding(size, f"the heads of {size} events have {signed[size].size} patients; earlier ones {most}")
        most = max(most, signed[size].size)
