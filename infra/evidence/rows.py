"""Rows of the store as PostgreSQL's binary COPY sends them: each column's bytes as they go into an envelope.

Columns stay in the wire's form, big-endian and in the database's own units, which is what layout 1 of a leaf is made of
(docs/evidence.md): nothing is converted, and nothing of the database's own code is believed.
"""

import struct
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

_HEADER_BYTES = 19
_COUNT = struct.Struct(">h")
_LENGTH = struct.Struct(">i")
_ABSENT_UUID = bytes(16)
_ABSENT_INT = bytes(4)
_ABSENT_BIGINT = bytes(8)
_ABSENT_LENGTH = b"\xff\xff\xff\xff"

Columns = list[bytes | None]

EVENTS = sql.SQL(
    """copy (select position, recorded_at, stream_id, version, patient_id, patient_seq, type, occurred_at,
                    occurred_precision, key_id, leaf_hash, payload
               from log.events order by position) to stdout (format binary)"""
)
ACCESSES = sql.SQL(
    """copy (select l.position, l.leaf_hash, r.access_id, r.at, r.patient_id, r.through_position, r.actor, r.role,
                    r.organisation, r.purpose, r.outcome, r.projection, r.answer_hash, r.correlation_id
               from access.leaves l left join access.reads r using (access_id)
              order by l.position) to stdout (format binary)"""
)


class LeafRow(NamedTuple):
    """One stored leaf: its number from 1, what is stored as its hash, and what its row hashes to now (None where the
    row is gone). `moment` is the time of recording, in the database's units."""

    position: int
    stored: bytes
    recomputed: bytes | None
    moment: int


def copied(connection: "psycopg.Connection[Any]", query: sql.SQL) -> Iterator[Columns]:
    """The columns of each row. To be read to its end."""
    with connection.cursor().copy(query) as copy:
        first = True
        for data in copy:
            row = bytes(data)
            if first:
                row, first = row[_HEADER_BYTES:], False
            if len(row) > _COUNT.size:
                yield _columns(row)


def _columns(row: bytes) -> Columns:
    (count,) = _COUNT.unpack_from(row)
    columns: Columns = []
    place = _COUNT.size
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(row, place)
        place += _LENGTH.size
        columns.append(None if length < 0 else row[place : place + length])
        place += max(length, 0)
    return columns


def event_row(columns: Columns) -> LeafRow:
    position, recorded, stream, version, patient, seq, stored_name, occurred, precision, key, leaf, payload = columns
    name = stored_name or b""
    envelope = b"".join(
        (
            b"\x00\x01", position or b"", recorded or b"", stream or b"", version or b"",
            patient or _ABSENT_UUID, seq or _ABSENT_INT, _LENGTH.pack(len(name)), name,
            occurred or b"", precision or b"", key or _ABSENT_UUID, sha256(payload or b"").digest(),
        )
    )  # fmt: skip
    return LeafRow(number(position), leaf or b"", sha256(envelope).digest(), number(recorded))


def access_row(columns: Columns) -> LeafRow:
    position, leaf, access_id, at, patient, through, *told = columns
    if access_id is None:
        return LeafRow(number(position), leaf or b"", None, 0)
    parts = (_ABSENT_LENGTH if each is None else _LENGTH.pack(len(each)) + each for each in told)
    envelope = b"".join(
        (
            b"\x00A\x01", position or b"", access_id, at or b"", patient or _ABSENT_UUID,
            through or _ABSENT_BIGINT, *parts,
        )
    )  # fmt: skip
    return LeafRow(number(position), leaf or b"", sha256(envelope).digest(), number(at))


def number(column: bytes | None) -> int:
    return int.from_bytes(column or b"", "big", signed=True)
