"""What one transaction appends, row by row, and how the statement takes it: column by column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from psycopg.types.json import Jsonb

from infra.writing.arrays import booleans, byteas, integers, moments, texts, uuids

# Stream, version, patient, type, occurred at, precision's letter, payload, key.
EventRow: TypeAlias = tuple[UUID, int, UUID, str, datetime, str, bytes, UUID]
# Key, its patient, wrapped.
KeyRow: TypeAlias = tuple[UUID, UUID, bytes]
# Identifier's digest and the patient whom it names.
LinkRow: TypeAlias = tuple[bytes, UUID]
# Key, source, digest, outcome, answer, place of the first event, how many, whether it stands in another's place.
ReceiptRow: TypeAlias = tuple[bytes, str, bytes, str, bytes, int, int, bool]
# Receipt, key, sealed bytes.
RawRow: TypeAlias = tuple[bytes, UUID, bytes]


@dataclass(slots=True)
class Batch:
    """The arguments of `append`. Rows are plain tuples, since there are several for every message."""

    events: list[EventRow] = field(default_factory=list)
    keys: list[KeyRow] = field(default_factory=list)
    links: list[LinkRow] = field(default_factory=list)
    receipts: list[ReceiptRow] = field(default_factory=list)
    raws: list[RawRow] = field(default_factory=list)
    merges: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[dict[str, Any]] = field(default_factory=list)
    offsets: list[dict[str, Any]] = field(default_factory=list)

    def arguments(self) -> list[Any]:
        """What is empty is sent as nulls."""
        rare = [Jsonb(each) if each else None for each in (self.merges, self.rejections, self.offsets)]
        tables: tuple[Sequence[tuple[Any, ...]], ...] = (self.events, self.keys, self.links, self.receipts, self.raws)
        columns = [column for rows, kinds in zip(tables, _TABLES, strict=True) for column in _columns(rows, kinds)]
        return [*columns, *rare]


_Write: TypeAlias = Callable[[Any], Any]
_Kind: TypeAlias = tuple[_Write, str]
_UUIDS, _BYTEAS, _TEXTS, _INTEGERS = (uuids, "uuid[]"), (byteas, "bytea[]"), (texts, "text[]"), (integers, "int4[]")
_MOMENTS, _BOOLEANS, _LETTERS = (moments, "timestamptz[]"), (booleans, "bool[]"), ("".join, "text")
# How each column of each table is written, and the type that the statement gives it.
_TABLES: tuple[tuple[_Kind, ...], ...] = (
    (_UUIDS, _INTEGERS, _UUIDS, _TEXTS, _MOMENTS, _LETTERS, _BYTEAS, _UUIDS),
    (_UUIDS, _UUIDS, _BYTEAS),
    (_BYTEAS, _UUIDS),
    (_BYTEAS, _TEXTS, _BYTEAS, _TEXTS, _BYTEAS, _INTEGERS, _INTEGERS, _BOOLEANS),
    (_BYTEAS, _UUIDS, _BYTEAS),
)
_RARE = ("jsonb",) * 3
PLACES = ", ".join(f"%b::{kind}" for kind in (*(kind for table in _TABLES for _, kind in table), *_RARE))


def _columns(rows: Sequence[tuple[Any, ...]], kinds: tuple[_Kind, ...]) -> list[Any]:
    if not rows:
        return [None] * len(kinds)
    return [write(column) for (write, _), column in zip(kinds, zip(*rows, strict=True), strict=True)]
