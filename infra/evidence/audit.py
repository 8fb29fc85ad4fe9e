"""The whole store against itself and against what is kept outside, as role auditor (`python -m infra verify`).

Rows are hashed here, from the bytes that COPY sends: nothing that the database computes is believed.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from infra.evidence import rows
from infra.evidence.checkpoints import Checkpoint, open_checkpoint, unverified_checkpoint
from infra.evidence.heads_audit import KeptHeads
from infra.evidence.merkle import root
from infra.evidence.notes import NoteRefused, Verifier
from infra.evidence.outside import Outside
from infra.evidence.tiles import WIDTH, LogName, split
from infra.evidence.walk import Finding, Found, StoredTile, Walk

Connection = psycopg.Connection[Any]
# What is looked at, how many are done, and how many there are.
Progress = Callable[[str, int, int], None]

_STEP = 5_000
_TILES_AT_ONCE = 256
_COUNTS = {
    LogName.EVENTS: "select count(*) from log.events",
    LogName.ACCESSES: "select count(*) from access.leaves",
}
_COPIES = {
    LogName.EVENTS: (rows.EVENTS, rows.event_row),
    LogName.ACCESSES: (rows.ACCESSES, rows.access_row),
}
_TILES = """select place, hashes, root from log.tiles
             where log = %b and level = 0 and place >= %b and place < %b"""
_UPPER = """select t.level, t.place, t.root, t.hashes,
                   (select string_agg(b.root, '' order by b.place) from log.tiles b
                     where b.log = t.log and b.level = t.level - 1 and b.place between t.place * 256
                       and t.place * 256 + 255)
              from log.tiles t where t.log = %b and t.level > 0 order by t.level, t.place"""
_ORDERED = {
    "streams": sql.SQL(
        """copy (select stream_id, version, position from log.events order by stream_id, version)
             to stdout (format binary)"""
    ),
    "patients": sql.SQL(
        """copy (select patient_id, patient_seq, position from log.events where patient_id is not null
                  order by patient_id, patient_seq) to stdout (format binary)"""
    ),
}
# The eventsourcing library numbers from 0 where it likes.
_FIRSTS = {"streams": (0, 1), "patients": (1,)}
# What readers are told of merged records in clear, against the events that say so. `into_id` is sealed in the event.
_MERGES = """with told as (
                 select position, patient_id, type = 'patient.merged.v1' as joined from log.events
                  where type in ('patient.merged.v1', 'patient.unmerged.v1'))
             select coalesce(t.position, m.position), t.position is null, m.position is null
               from told t full join log.merges m on m.position = t.position
              where (m.patient_id, m.joined) is distinct from (t.patient_id, t.joined) order by 1"""
_UNSEALED = """select count(*), min(access_id) from access.reads r
                where at < clock_timestamp() - interval '10 minutes'
                  and not exists (select from access.leaves l where l.access_id = r.access_id)"""
_SIGNED_HERE = "select coalesce(max(size), 0) from log.checkpoints where log = %s and origin = %s"


class Audited(NamedTuple):
    """What was seen of one log. `checkpoints` of them hold, the last of `through` leaves; `former` are notes of earlier
    epochs, whose signatures were checked."""

    log: LogName
    leaves: int
    checkpoints: int
    through: int
    former: int


@dataclass
class Kept:
    """Where the notes of one log are kept, those that someone brings beside, and the key of them all."""

    log: LogName
    verifier: Verifier
    outside: Outside
    more: Sequence[bytes] = ()
    findings: list[Finding] = field(default_factory=list)
    former: int = 0
    newest: int = 0

    def checkpoints(self) -> Iterator[Checkpoint]:
        """Those of this epoch that are kept when the first is asked for, by size if they were kept in that order."""
        beside = sorted(self._opened(self.more), key=_size)
        yield from heapq.merge(self._opened(self._notes()), beside, key=_size)

    def _notes(self) -> Iterator[bytes]:
        newest = self.outside.newest()
        for note in self.outside.notes():
            yield note
            if note == newest:
                return

    def _opened(self, notes: Iterable[bytes]) -> Iterator[Checkpoint]:
        for note in notes:
            checkpoint = self._checkpoint(note)
            if checkpoint is not None:
                self.newest = max(self.newest, checkpoint.size)
                yield checkpoint

    def _checkpoint(self, note: bytes) -> Checkpoint | None:
        """None of another epoch, and of what is no note of ours."""
        try:
            claimed = unverified_checkpoint(note)
            open_checkpoint(note, [Verifier(claimed.origin, self.verifier.public)])
        except NoteRefused as error:
            self.findings.append(Finding("notes", self.log, None, f"a note that is kept outside: {error}"))
            return None
        if claimed.origin != self.verifier.name:
            self.former += 1
            return None
        return claimed


@dataclass
class Audit:
    """`connect` gives autocommit connections of role auditor; two are used at a time."""

    connect: Callable[[], Connection]
    progress: Progress
    audited: list[Audited] = field(default_factory=list)

    def run(self, kept: Sequence[Kept], heads: KeptHeads | None = None) -> Found:
        """Everything that is wrong, as it is met; of the heads too, where it is said where they are kept."""
        with self.connect() as copying, self.connect() as asking:
            for each in kept:
                # In this order, so that what is signed and appended meanwhile does not look as if it were missing.
                (signed,) = _row(asking, _SIGNED_HERE, each.log, each.verifier.name)
                yield from self._walk(copying, asking, each)
                yield from self._upper_tiles(asking, each.log)
                if signed > each.newest:
                    what = f"the newest note kept outside is of {each.newest} leaves, and {signed} were signed"
                    yield Finding("notes", each.log, each.newest + 1, what)
            for name in _ORDERED:
                yield from self._in_order(copying, asking, name)
            if heads is not None:
                yield from heads.audit(copying, asking, self._counted)
            yield from _merges(asking)
            yield from _unsealed(asking)

    def _walk(self, copying: Connection, asking: Connection, kept: Kept) -> Found:
        (count,) = _row(asking, _COUNTS[kept.log])
        query, read = _COPIES[kept.log]
        walk = Walk(kept.log, kept.checkpoints(), _Tiles(asking, kept.log).tile)
        leaves = (read(each) for each in rows.copied(copying, query))
        yield from walk.run(self._counted(leaves, str(kept.log), count))
        yield from kept.findings
        self.audited.append(Audited(kept.log, walk.leaves, walk.held, walk.through, kept.former))

    def _counted(self, items: Iterable[Any], what: str, of: int) -> Iterator[Any]:
        done = 0
        self.progress(what, 0, of)
        items = iter(items)
        while chunk := list(islice(items, _STEP)):
            yield from chunk
            done += len(chunk)
            self.progress(what, done, max(of, done))

    def _upper_tiles(self, asking: Connection, log: LogName) -> Found:
        for level, place, stored_root, hashes, below in asking.execute(_UPPER, [log], binary=True):
            if hashes != below or stored_root != root(split(hashes)):
                first = place * WIDTH ** (level + 1) + 1
                yield Finding("tiles", log, first, f"tile {level}/{place} is not made of the tiles below it")

    def _in_order(self, copying: Connection, asking: Connection, name: str) -> Found:
        (count,) = _row(asking, _COUNTS[LogName.EVENTS])
        owner: bytes | None = None
        last = last_position = 0
        for key, counted, at in self._counted(rows.copied(copying, _ORDERED[name]), name, count):
            value, position = rows.number(counted), rows.number(at)
            if key == owner and (value != last + 1 or position <= last_position):
                yield Finding(name, LogName.EVENTS, position, f"number {value} follows {last}, of {last_position}")
            elif key != owner and value not in _FIRSTS[name]:
                yield Finding(name, LogName.EVENTS, position, f"the first has number {value}")
            owner, last, last_position = key, value, position


class _Tiles:
    """Whole tiles of leaves, read some hundreds at a time as the walk comes to them."""

    def __init__(self, connection: Connection, log: LogName) -> None:
        self._connection = connection
        self._log = log
        self._held: dict[int, StoredTile] = {}
        self._until = 0

    def tile(self, place: int) -> StoredTile:
        if place >= self._until:
            self._until = place + _TILES_AT_ONCE
            found = self._connection.execute(_TILES, [self._log, place, self._until], binary=True)
            self._held = {at: StoredTile(hashes, top) for at, hashes, top in found}
        return self._held.get(place, StoredTile(None, None))


def _merges(asking: Connection) -> Found:
    for position, has_no_event, has_no_row in asking.execute(_MERGES):
        way = "without the event" if has_no_event else "is not among the merges" if has_no_row else "of another record"
        yield Finding("merges", LogName.EVENTS, position, f"a merge or its reversal {way}")


def _unsealed(asking: Connection) -> Found:
    count, first = _row(asking, _UNSEALED)
    if count:
        what = f"{count} accesses of more than ten minutes ago are not sealed; the first has access_id {first}"
        yield Finding("accesses", LogName.ACCESSES, None, what)


def _size(checkpoint: Checkpoint) -> int:
    return checkpoint.size


def _row(connection: Connection, query: str, *given: object) -> tuple[Any, ...]:
    return connection.execute(query, given).fetchone() or (0,)
