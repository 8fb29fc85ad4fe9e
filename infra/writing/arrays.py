"""Columns of values as PostgreSQL's arrays in its binary format, each written at once.

psycopg asks a dumper for every element, which took a tenth of ingest and most of a lone command's client time.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Dimensions, whether there are nulls, the elements' type, how many, and the number of the first.
_HEAD = Struct(">iiIii").pack
_LENGTH = Struct(">i").pack
_INTEGER = Struct(">ii").pack
_BIGINT = Struct(">iq").pack
_SIXTEEN = _LENGTH(16)
_TRUE, _FALSE = _LENGTH(1) + b"\1", _LENGTH(1) + b"\0"
# Types by their numbers in pg_type, which never change.
_BOOL, _BYTEA, _INT4, _TEXT, _TIMESTAMPTZ, _UUID = 16, 17, 23, 25, 1184, 2950


class Column(bytes):
    """An array as the server reads it; the statement says of which type, as in `%b::uuid[]`."""

    __slots__ = ()


def uuids(values: Sequence[UUID]) -> Column:
    return _column(_UUID, len(values), [_SIXTEEN + value.int.to_bytes(16, "big") for value in values])


def byteas(values: Sequence[bytes]) -> Column:
    return _column(_BYTEA, len(values), [_LENGTH(len(value)) + value for value in values])


def texts(values: Sequence[str]) -> Column:
    encoded = [value.encode() for value in values]
    return _column(_TEXT, len(values), [_LENGTH(len(value)) + value for value in encoded])


def integers(values: Sequence[int]) -> Column:
    return _column(_INT4, len(values), [_INTEGER(4, value) for value in values])


def booleans(values: Sequence[bool]) -> Column:
    return _column(_BOOL, len(values), [_TRUE if value else _FALSE for value in values])


def moments(values: Sequence[datetime]) -> Column:
    return _column(_TIMESTAMPTZ, len(values), [_BIGINT(8, (value - _EPOCH) // _MICROSECOND) for value in values])


def _column(kind: int, count: int, elements: Iterable[bytes]) -> Column:
    return Column(_HEAD(1, 0, kind, count, 1) + b"".join(elements)) if count else Column(_HEAD(0, 0, kind, 0, 0)[:12])


class _ColumnDumper(Dumper):
    format = Format.BINARY
    oid = 0  # the statement's cast says it

    def dump(self, obj: Any) -> bytes:
        return bytes(obj)


def accept_columns(connection: "psycopg.Connection[Any]") -> None:
    """Lets statements of this connection take a Column wherever they say %b."""
    connection.adapters.register_dumper(Column, _ColumnDumper)
