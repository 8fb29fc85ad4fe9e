"""What one transaction appends, column by column, and how the statement takes it."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from infra.arrays import booleans, byteas, integers, moments, texts, uuids


@dataclass(slots=True)
class Batch:
    """The arguments of `append`, column by column. Empty columns are sent as nulls."""

    stream_ids: list[UUID] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    patient_ids: list[UUID] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    occurred_ats: list[datetime] = field(default_factory=list)
    precisions: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    key_ids: list[UUID] = field(default_factory=list)
    new_key_ids: list[UUID] = field(default_factory=list)
    new_key_patients: list[UUID] = field(default_factory=list)
    new_keys: list[bytes] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    digest_patients: list[UUID] = field(default_factory=list)
    receipt_keys: list[bytes] = field(default_factory=list)
    receipt_sources: list[str] = field(default_factory=list)
    receipt_digests: list[bytes] = field(default_factory=list)
    receipt_outcomes: list[str] = field(default_factory=list)
    receipt_answers: list[bytes] = field(default_factory=list)
    receipt_firsts: list[int] = field(default_factory=list)
    receipt_counts: list[int] = field(default_factory=list)
    receipt_replaces: list[bool] = field(default_factory=list)
    raw_keys: list[bytes] = field(default_factory=list)
    raw_key_ids: list[UUID | None] = field(default_factory=list)
    raw_sealed: list[bytes] = field(default_factory=list)
    merges: list[dict[str, Any]] = field(default_factory=list)
    rejections: list[dict[str, Any]] = field(default_factory=list)
    offsets: list[dict[str, Any]] = field(default_factory=list)

    def arguments(self) -> list[Any]:
        columns = (getattr(self, each.name) for each in fields(self))
        return [write(column) if column else None for write, column in zip(_WRITTEN, columns, strict=True)]


def _letters(values: list[str]) -> str:
    return "".join(values)


# How each column of a batch is written, and the type that the statement gives it.
_EVENTS = ((uuids, "uuid[]"), (integers, "int4[]"), (uuids, "uuid[]"), (texts, "text[]"), (moments, "timestamptz[]"),
           (_letters, "text"), (byteas, "bytea[]"), (uuids, "uuid[]"))  # fmt: skip
_KEYS_AND_LINKS = ((uuids, "uuid[]"), (uuids, "uuid[]"), (byteas, "bytea[]"), (byteas, "bytea[]"), (uuids, "uuid[]"))
_RECEIPT = ((byteas, "bytea[]"), (texts, "text[]"), (byteas, "bytea[]"), (texts, "text[]"), (byteas, "bytea[]"),
            (integers, "int4[]"), (integers, "int4[]"), (booleans, "bool[]"))  # fmt: skip
_RAW = ((byteas, "bytea[]"), (uuids, "uuid[]"), (byteas, "bytea[]"))
_RARE = ((Jsonb, "jsonb"), (Jsonb, "jsonb"), (Jsonb, "jsonb"))
_COLUMNS: tuple[tuple[Callable[[Any], Any], str], ...] = (*_EVENTS, *_KEYS_AND_LINKS, *_RECEIPT, *_RAW, *_RARE)
_WRITTEN = tuple(write for write, _ in _COLUMNS)
PLACES = ", ".join(f"%b::{kind}" for _, kind in _COLUMNS)
