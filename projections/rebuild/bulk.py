"""Many people at once, out of the log and into tables of documents, as bytes that nobody takes apart twice.

PostgreSQL's binary COPY is read and written by hand: one message is one row, its columns stand at fixed places.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus

from domain.facts import Recorded
from domain.times import Occurred
from infra.keys import DataKey, KeyRing, KeyUnusable
from infra.payloads import PRECISION_BYTES, fact_in, opened
from projections.tables.documents import Stored
from projections.tables.generations import identifier

Connection = psycopg.Connection[Any]
_FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
# Each column's value after its length, down to the length of the type's name; stream, version and patient as bytes,
# since the first two are of an event's place as they stand, and a range's patients are few.
_ROW = struct.Struct("!6xq4xq4x16s4x4s4x16x4xi4xq4xci")
_PATIENT = slice(58, 74)
_LENGTH = struct.Struct("!i")
_HISTORIES = """copy (select position, recorded_at, stream_id, version, patient_id, patient_seq, occurred_at,
                             occurred_precision, type, payload
                        from log.events
                       where patient_id >= {first} and patient_id <= {last} and position <= {through}
                       order by patient_id, patient_seq) to stdout (format binary)"""
_KEYS = "select patient_id, key_id, wrapped from log.keys where patient_id >= %b and patient_id <= %b"
_DESTROYED = """select patient_id from log.destructions
                 where carried_out_at is not null and patient_id >= %b and patient_id <= %b"""
_DOCUMENT = struct.Struct("!hi16siqi16si")
_CLEAR = struct.Struct("!iB")
_JSONB_VERSION = 1


class Range(NamedTuple):
    """Patients by their ids, both ends included."""

    first: UUID
    last: UUID


def ranges(connection: Connection, events: int, events_each: int) -> list[Range]:
    """Ranges that cover every id there can be, of about so many events each where people have about as many."""
    rows = connection.execute("select patient_id from log.keys order by patient_id", binary=True)
    patients = [row[0] for row in rows]
    each = max(1, len(patients) * events_each // max(1, events))
    starts = [UUID(int=0), *patients[each::each]]
    ends = [*(UUID(int=start.int - 1) for start in starts[1:]), UUID(int=2**128 - 1)]
    return [Range(first, last) for first, last in zip(starts, ends, strict=True)]


class _Known:
    """What the events of a range have in common, by how it comes: made once."""

    def __init__(self) -> None:
        self.ids = _Made(lambda told: UUID(bytes=told))
        self.moments = _Made(lambda microseconds: _FIRST_DAY + timedelta(microseconds=microseconds))
        self.names = _Made(bytes.decode)


class _Made(dict[Any, Any]):
    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, told: Any) -> Any:
        made = self[told] = self._make(told)
        return made


class History(NamedTuple):
    """One patient's rows in order of recording, as they came; `wrapped` is their key as it is stored."""

    patient: UUID
    wrapped: tuple[UUID, bytes] | None
    rows: list[bytes]
    known: _Known

    def opened(self, keys: KeyRing) -> tuple[DataKey, list[Recorded]]:
        """Raises KeyUnusable and what decoding raises."""
        if self.wrapped is None:
            raise KeyUnusable("this patient has no key")
        key = keys.unwrap(*self.wrapped)
        return key, self._events(key)

    def _events(self, key: DataKey) -> list[Recorded]:
        """As `infra.payloads.recorded_each` makes them of rows that were taken apart."""
        ids, moments = self.known.ids, self.known.moments
        columns = [_ROW.unpack_from(row) for row in self.rows]
        ends = [_ROW.size + size for *_, size in columns]
        names = [row[_ROW.size : end] for row, end in zip(self.rows, ends, strict=True)]
        stored = [self.known.names[name] for name in names]
        lines = [
            opened(row[end + _LENGTH.size :], key, type_name, stream + version + name)
            for row, end, type_name, name, (_, _, stream, version, *_) in zip(
                self.rows, ends, stored, names, columns, strict=True
            )
        ]
        facts = list(map(fact_in, lines, stored))
        return [
            Recorded(
                position, moments[recorded_at], ids[stream], int.from_bytes(version, "big"), self.patient, seq,
                Occurred(moments[at], PRECISION_BYTES[letter]), fact, provenance,
            )
            for (position, recorded_at, stream, version, seq, at, letter, _), fact, (_, _, provenance) in zip(
                columns, facts, lines, strict=True
            )
        ]  # fmt: skip


def histories(connection: Connection, among: Range, through: int) -> Iterator[History]:
    """Of each patient of a range as known at a position; where a key was destroyed there is nothing to fold. To be
    consumed to the end."""
    wrapped = {row[0]: row[1:] for row in connection.execute(_KEYS, list(among), binary=True)}
    destroyed = {row[0] for row in connection.execute(_DESTROYED, list(among), binary=True)}
    query = sql.SQL(_HISTORIES).format(first=among.first, last=among.last, through=through)
    known = _Known()
    for told, rows in groupby(_rows(_copied(connection, query)), key=itemgetter(_PATIENT)):
        patient = UUID(bytes=told)
        if patient not in destroyed:
            yield History(patient, wrapped.get(patient), list(rows), known)


def _rows(messages: Iterable[bytes]) -> Iterator[bytes]:
    """Without what comes before the first and after the last."""
    start = len(_HEADER)
    for message in messages:
        row = message[start:]
        start = 0
        if row[: len(_TRAILER)] != _TRAILER:
            yield row


def _copied(connection: Connection, query: sql.Composed) -> Iterator[bytes]:
    """One message for each row. Straight from libpq: a cursor's iterator waits on the socket for every row, which costs
    as much as opening and validating the event."""
    libpq = connection.pgconn
    began = libpq.exec_(query.as_bytes(connection))
    if began.status != ExecStatus.COPY_OUT:
        raise psycopg.OperationalError(began.error_message.decode(errors="replace"))
    while True:
        size, data = libpq.get_copy_data(0)
        if size < 0:
            break
        yield bytes(data)
    while (ended := libpq.get_result()) is not None:
        if ended.status != ExecStatus.COMMAND_OK:
            raise psycopg.OperationalError(ended.error_message.decode(errors="replace"))


def write(connection: Connection, table: str, stored: Sequence[Stored]) -> None:
    """New documents into a table that holds none of these persons."""
    columns = "(patient_id, through_position, key_id, body, clear)"
    query = sql.SQL("copy {} " + columns + " from stdin (format binary)").format(identifier(table))
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        copy.write(b"".join((_HEADER, *map(_document, stored), _TRAILER)))


def _document(stored: Stored) -> bytes:
    fixed = _DOCUMENT.pack(
        5, 16, stored.patient_id.bytes, 8, stored.through, 16, stored.key_id.bytes, len(stored.body)
    )  # fmt: skip
    return b"".join((fixed, stored.body, _CLEAR.pack(len(stored.clear) + 1, _JSONB_VERSION), stored.clear))
