"""Many people at once, out of the log and into tables of documents, as bytes that nobody takes apart twice.

PostgreSQL's binary COPY is read and written by hand: one message is one row, its columns stand at fixed places.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus

from domain.facts import Recorded
from infra.keys import DataKey, KeyRing, KeyUnusable
from infra.payloads import recorded
from projections.tables.documents import Stored
from projections.tables.generations import identifier

Connection = psycopg.Connection[Any]
_FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
# The number of columns; then each column's length and value, down to the length of the type's name.
_ROW = struct.Struct("!hiqiqi16siii16siiiqici")
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


class History(NamedTuple):
    """One patient's rows in order of recording, still sealed; `wrapped` is their key as it is stored."""

    patient: UUID
    wrapped: tuple[UUID, bytes] | None
    rows: list[tuple[Any, ...]]

    def opened(self, keys: KeyRing) -> tuple[DataKey, list[Recorded]]:
        """Raises KeyUnusable and what decoding raises."""
        if self.wrapped is None:
            raise KeyUnusable("this patient has no key")
        key = keys.unwrap(*self.wrapped)
        return key, [recorded(row, key) for row in self.rows]


def histories(connection: Connection, among: Range, through: int) -> Iterator[History]:
    """Of each patient of a range as known at a position; where a key was destroyed there is nothing to fold. To be
    consumed to the end."""
    wrapped = {row[0]: row[1:] for row in connection.execute(_KEYS, list(among), binary=True)}
    destroyed = {row[0] for row in connection.execute(_DESTROYED, list(among), binary=True)}
    for patient, rows in groupby(_rows(connection, among, through), key=itemgetter(4)):
        if patient not in destroyed:
            yield History(patient, wrapped.get(patient), list(rows))


def _rows(connection: Connection, among: Range, through: int) -> Iterator[tuple[Any, ...]]:
    """Rows as `infra.payloads.recorded` takes them."""
    ids: dict[bytes, UUID] = {}
    moments: dict[int, datetime] = {}
    names: dict[bytes, str] = {}
    query = sql.SQL(_HISTORIES).format(first=among.first, last=among.last, through=through)
    start = len(_HEADER)
    for message in _copied(connection, query):
        if message[start : start + 2] == _TRAILER:
            continue
        yield _row(message, start, ids, moments, names)
        start = 0


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


def _row(
    message: bytes, start: int, ids: dict[bytes, UUID], moments: dict[int, datetime], names: dict[bytes, str]
) -> tuple[Any, ...]:
    values = _ROW.unpack_from(message, start)
    end = start + _ROW.size + values[17]
    name = message[start + _ROW.size : end]
    stored = names.get(name)
    if stored is None:
        stored = names[name] = name.decode()
    return (
        values[2], _moment(moments, values[4]), _id(ids, values[6]), values[8], _id(ids, values[10]), values[12],
        stored, _moment(moments, values[14]), values[16], message[end + 4 :],
    )  # fmt: skip


def _id(known: dict[bytes, UUID], told: bytes) -> UUID:
    """A person has many events in few streams."""
    found = known.get(told)
    if found is None:
        found = known[told] = UUID(bytes=told)
    return found


def _moment(known: dict[int, datetime], microseconds: int) -> datetime:
    found = known.get(microseconds)
    if found is None:
        found = known[microseconds] = _FIRST_DAY + timedelta(microseconds=microseconds)
    return found


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
