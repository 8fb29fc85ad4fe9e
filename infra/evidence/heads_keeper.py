"""Makes and signs the heads of the log, next to a checkpoint of the same size.

Only what patients with new events have is read anew. All entries are hashed each time, since the place of each depends
on those before it: about a second for 400,000 patients.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import psycopg

from infra.evidence.checkpoints import Checkpoint
from infra.evidence.heads import Head, heads_of, indexed, sign_heads
from infra.evidence.notes import Signer, Verifier
from infra.evidence.outside import Outside

Connection = psycopg.Connection[Any]
_LOCK = 7305550316
_ROWS_AT_ONCE = 5_000
_BEFORE = "select origin, size from log.heads_index"
# The leaves of all patients who have an event after one size and up to another.
_LEAVES = """select uuid_send(e.patient_id), e.leaf_hash
               from (select distinct patient_id from log.events where position > %s and position <= %s) c
               join log.events e using (patient_id)
              where e.position <= %s order by e.patient_id, e.patient_seq"""
_KEEP = """insert into log.patient_heads as h (patient_id, events, root)
           select * from unnest(%b::uuid[], %b::int4[], %b::bytea[])
           on conflict (patient_id) do update set events = excluded.events, root = excluded.root"""
_ENTRIES = "select uuid_send(patient_id) || int4send(events) || root from log.patient_heads order by patient_id"
# Every event is in the heads of its patient, except for those of none.
_ACCOUNTED = """select (select coalesce(sum(events), 0) from log.patient_heads)
                     + (select count(*) from log.events where patient_id is null and position <= %s)"""
_SIGNED = "insert into log.heads (origin, size, key, note) values (%s, %s, %s, %s)"
_INDEX = """insert into log.heads_index (origin, size, index) values (%s, %s, %s)
            on conflict (one) do update set origin = excluded.origin, size = excluded.size, index = excluded.index"""
# Making heads takes at most this part of the time.
_SHARE = 20
_OUTSIDE_SECONDS = 60.0


class HeadsIncomplete(Exception):
    """The heads do not account for every event of the log: some are gone, or what is kept of a patient was altered."""


class MadeHeads(NamedTuple):
    """`size` is the number of events of the log whose heads these are."""

    size: int
    note: bytes


class HeadsKeeper:
    """`exports` is the public key of whoever signs exports, 32 bytes. Heads are made for exports as often as it costs
    little, and go to the places outside, `outside` among them, every minute."""

    def __init__(self, exports: bytes, outside: Outside | None = None) -> None:
        self._exports = exports
        self._outside = outside
        self._not_before = 0.0
        self._not_outside_before = 0.0

    def when_due(self, connection: Connection, signer: Signer, checkpoint: Checkpoint) -> MadeHeads | None:
        """Makes heads unless that was done too lately, measured by how long it takes. Raises as `make` does."""
        began = time.monotonic()
        if began < self._not_before:
            return None
        made = self.make(connection, signer, checkpoint)
        self._not_before = time.monotonic() + _SHARE * (time.monotonic() - began)
        return made

    def to_publish(self, made: MadeHeads) -> bool:
        """Whether these go outside, where this keeps them in the folder. Raises OSError."""
        now = time.monotonic()
        if now < self._not_outside_before:
            return False
        self._not_outside_before = now + _OUTSIDE_SECONDS
        if self._outside is not None:
            with self._outside.alone():
                self._outside.keep(made.note)
        return True

    def make(self, connection: Connection, signer: Signer, checkpoint: Checkpoint) -> MadeHeads | None:
        """The heads at this checkpoint of the log, which `signer` signed, kept when this returns; None where they, or
        later ones, were made already. `connection` is of role sealer. Raises HeadsIncomplete, psycopg.Error."""
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
            origin, before = connection.execute(_BEFORE).fetchone() or ("", 0)
            if before > checkpoint.size or (origin, before) == checkpoint[:2]:
                return None
            self._renew(connection, before, checkpoint.size)
            row = connection.execute(_ACCOUNTED, [checkpoint.size]).fetchone()
            if row is None or row[0] != checkpoint.size:
                raise HeadsIncomplete(f"the heads account for {row and row[0]} of {checkpoint.size} events")
            index, root = indexed(row[0] for row in _rows(connection, _ENTRIES))
            exports = Verifier(f"{signer.name}/exports", self._exports)
            note = sign_heads(signer, index.size, root, checkpoint.size, exports)
            connection.execute(_SIGNED, [signer.name, checkpoint.size, str(signer.verifier), note])
            connection.execute(_INDEX, [signer.name, checkpoint.size, index.to_bytes()])
        return MadeHeads(checkpoint.size, note)

    def _renew(self, connection: Connection, before: int, size: int) -> None:
        heads = heads_of(_rows(connection, _LEAVES, before, size, size))
        while some := list(islice(heads, _ROWS_AT_ONCE)):
            connection.execute(_KEEP, _columns(some), binary=True)


def _columns(heads: Iterable[Head]) -> list[list[Any]]:
    return [list(each) for each in zip(*heads, strict=True)]


def _rows(connection: Connection, query: str, *given: object) -> Iterator[tuple[Any, ...]]:
    """Through a cursor of the server, so that the memory does not grow with the log."""
    with connection.cursor(name="heads", binary=True) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        yield from cursor.execute(query, given)
