"""The log as a writer speaks to it: one connection, reads in one snapshot, and the one function that appends."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus

from domain.persons import Merge
from infra.keys import DataKey, KeyRing, KeyUnusable
from infra.payloads import COLUMNS
from infra.writing.arrays import accept_columns, byteas, uuids
from infra.writing.batch import PLACES, Batch
from infra.writing.sealed import Sealed

FENCED = "PCP01"
# Stands for whoever had an identifier before their key was destroyed.
SUPPRESSED = UUID(int=0)
# This process has not heard yet that the key-encryption key was rotated; it reads its key file anew.
RETIRED_KEY = "PCP02"
# Classes of SQLSTATE. The second says that the server ended or refused the transaction: idle or running too long, or
# read-only since it is a standby.
_LIMIT_EXCEEDED = "54"
_TRANSACTION_STATE = "25"
# More than this written by others since we looked: forgetting everything is cheaper than naming it.
TAIL_LIMIT = 20_000


class Fenced(Exception):
    """Another consumer has moved these offsets: this one no longer owns the partition and must stop."""


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed on a new connection: lost connections, locks, time-outs and a server that
    only reads for now, but not a limit of the database that this very call exceeds."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate or ""
    is_passing = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if state == RETIRED_KEY:
        return True
    return (is_passing and not state.startswith(_LIMIT_EXCEEDED)) or state.startswith(_TRANSACTION_STATE)


class Appended(NamedTuple):
    """`waited`: seconds for the append lock. `ahead`: seconds by which the database's clock, or the log itself, is
    beyond the moment after which nothing was to be stamped; None where none was told, negative where all is well."""

    base: int
    at: datetime
    written_by_others: list[UUID] | None
    merged_by_others: bool
    waited: float = 0.0
    ahead: float | None = None


class Stale(NamedTuple):
    """Read again and decide again; None: forget everything held."""

    streams: list[UUID] | None


class Known(NamedTuple):
    keys: list[bytes]


class ReceiptRow(NamedTuple):
    digest: bytes
    outcome: str
    answer: bytes
    first_position: int | None
    last_position: int | None
    position: int


class Found(NamedTuple):
    """What says whose streams are needed: patients by identifier, and merges after the position asked about."""

    position: int
    patients: dict[bytes, UUID]
    merges: list[Merge]


# (streams, patients whose keys are needed)
Wanted = Callable[[Found], tuple[Iterable[UUID], Iterable[UUID]]]


class Loaded(NamedTuple):
    """All as known at `position`. `written` names streams with events after the position asked about; of `streams`,
    those have None that are not there or whose patient has no key.
    `is_as_before`: none were written, no records joined or parted, and it is the log of before."""

    position: int
    is_as_before: bool
    written: list[UUID] | None
    patients: dict[bytes, UUID]
    streams: dict[UUID, Sealed | None]
    keys: dict[UUID, DataKey]


_APPEND = f"""select answer, base, at, streams, keys, merged, extract(epoch from waited)::float8,
                     extract(epoch from ahead)::float8
                from log.append(%b::bigint, %b::uuid[], {PLACES}, %b::timestamptz)"""  # noqa: S608 our own
_HEAD = "select coalesce(max(position), 0) from log.events"
_STREAMS = f"""select {COLUMNS} from log.events
                where stream_id = any(%b::uuid[]) and patient_id = any(%b::uuid[]) order by stream_id, version"""  # noqa: S608 our own
_STREAM, _PATIENT = 2, 4
# Nothing where too much was written to be named.
_WRITTEN = """select distinct stream_id from log.events
               where position > %b and (select max(position) from log.events) - %b <= %b"""
_KEYS = "select key_id, patient_id, wrapped from log.keys where patient_id = any(%b::uuid[])"
_MERGES = "select position, patient_id, into_id, joined from log.merges where position > %b order by position"
_NAMED = """select digest, patient_id from log.identifiers where digest = any(%b::bytea[])
             union all select digest, %b::uuid from log.suppressed where digest = any(%b::bytea[])"""
_DESTROYED = """select position, patient_id, key_id from log.destructions
                 where position > %b and key_id is not null order by position"""
_RECEIPTS = """select key, digest, outcome, answer, first_position, last_position, position
                 from log.receipts where key = any(%b::bytea[])"""


class Log:
    """Not thread-safe. `connect` gives a fresh autocommit connection of role writer."""

    def __init__(self, connect: Callable[[], "psycopg.Connection[Any]"], keys: KeyRing) -> None:
        self._connect = connect
        self._keys = keys
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def connection(self) -> "psycopg.Connection[Any]":
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            accept_columns(self._connection)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A transaction that holds the append lock: until it ends nobody else appends, and nothing of it is durable."""
        with self.connection.transaction():
            self.connection.execute("select pg_advisory_xact_lock(7305550312)")
            yield

    def load(
        self,
        seen: int,
        merges_seen: int,
        digests: Sequence[bytes],
        wanted: Wanted,
        locked: bool = False,
    ) -> Loaded:
        """Everything in one snapshot; merges after position `merges_seen`. `locked`: the caller holds the append lock
        in a transaction, so nothing can change meanwhile."""
        if locked:
            return self._load(seen, merges_seen, digests, wanted)
        connection = self.connection
        try:
            return self._load(seen, merges_seen, digests, wanted, "begin isolation level repeatable read read only")
        finally:
            if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
                connection.execute("commit")

    def _load(
        self, seen: int, merges_seen: int, digests: Sequence[bytes], wanted: Wanted, begin: str | None = None
    ) -> Loaded:
        """In two round trips, since each costs as much as what it asks for."""
        asked = byteas(digests)
        with self.connection.pipeline():
            if begin is not None:
                self.connection.execute(begin)
            head = self.connection.execute(_HEAD)
            since = self.connection.execute(_WRITTEN, [seen, seen, TAIL_LIMIT])
            joined = self.connection.execute(_MERGES, [merges_seen], binary=True)
            named = self.connection.execute(_NAMED, [asked, SUPPRESSED, asked], binary=True) if digests else None
        (position,) = head.fetchone() or (0,)
        merges = [Merge(*row) for row in joined]
        written = None if position - seen > TAIL_LIMIT else [row[0] for row in since]
        patients: dict[bytes, UUID] = dict(named.fetchall()) if named else {}
        streams, key_patients = wanted(Found(position, patients, merges))
        found, keys = self._streams_and_keys(list(streams), list(key_patients), end="commit" if begin else None)
        is_as_before = position >= seen and written == [] and not merges
        return Loaded(position, is_as_before, written, patients, found, keys)

    def _streams_and_keys(
        self, streams: list[UUID], patients: list[UUID], end: str | None
    ) -> tuple[dict[UUID, Sealed | None], dict[UUID, DataKey]]:
        """Streams of those patients whose keys are there."""
        with self.connection.pipeline():
            asked = uuids(patients)
            wrapped = self.connection.execute(_KEYS, [asked], binary=True) if patients else ()
            events = self.connection.execute(_STREAMS, [uuids(streams), asked], binary=True) if streams else None
            if end is not None:
                self.connection.execute(end)
        keys = {patient: self._keys.unwrap(key_id, each) for key_id, patient, each in wrapped}
        return _by_stream(streams, events.fetchall() if events else [], keys), keys

    def append(
        self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
    ) -> Appended | Stale | Known:
        """Raises Fenced, psycopg.Error."""
        arguments = [seen, uuids(reads), *batch.arguments(), not_after]
        try:
            row = self.connection.execute(_APPEND, arguments, binary=True).fetchone()
        except psycopg.DatabaseError as error:
            if error.sqlstate == FENCED:
                raise Fenced("another consumer has moved these offsets") from error
            raise
        if row is None:
            raise psycopg.DataError("append gave no answer")
        answer, base, at, streams, known, merged, waited, ahead = row
        match answer:
            case "appended":
                return Appended(base, at, streams, merged, waited, ahead)
            case "known":
                return Known(known)
            case _:
                return Stale(streams if answer == "stale" else [])

    def receipts(self, keys: Sequence[bytes]) -> dict[bytes, ReceiptRow]:
        rows = self.connection.execute(_RECEIPTS, [byteas(keys)], binary=True)
        return {row[0]: ReceiptRow(*row[1:]) for row in rows}

    def next_offsets(self, cluster_id: str, topic_id: str) -> dict[int, int]:
        rows = self.connection.execute(
            "select partition, next_offset from log.offsets where cluster_id = %s and topic_id = %s",
            [cluster_id, topic_id],
        )
        return dict(rows.fetchall())

    def monthly_key(self, candidate: UUID, month: Any, wrapped: bytes) -> tuple[UUID, bytes]:
        row = self.connection.execute(
            "select key_id, wrapped from log.monthly_key(%b, %b, %b)", [candidate, month, wrapped], binary=True
        ).fetchone()
        if row is None:
            raise KeyUnusable("no monthly key")
        return row[0], row[1]

    def destroyed(self, after: int) -> list[tuple[int, UUID, UUID]]:
        """Keys destroyed after position `after`, oldest first: position, patient, key."""
        return self.connection.execute(_DESTROYED, [after], binary=True).fetchall()

    def ended_month_keys(self) -> list[UUID]:
        return [row[0] for row in self.connection.execute("select key_id from log.ended_month_keys", binary=True)]


def _by_stream(
    streams: Sequence[UUID], rows: Iterable[tuple[Any, ...]], keys: Mapping[UUID, DataKey]
) -> dict[UUID, Sealed | None]:
    """By the numbers of ids: a UUID is hashed and compared in Python, which took a fifth of loading."""
    together: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        together.setdefault(row[_STREAM].int, []).append(row)
    found: dict[UUID, Sealed | None] = {}
    for stream_id in streams:
        theirs = together.get(stream_id.int)
        key = keys.get(theirs[0][_PATIENT]) if theirs else None
        found[stream_id] = Sealed(theirs, key) if theirs and key else None
    return found
