"""How an event's fact and provenance become stored bytes, and come back.

A payload is two lines of JSON, the fact and its provenance, sealed under the patient's key and bound to its place
(stream, version, type), so that no payload can be moved to another event unnoticed. The one that says that the key is
gone stands in clear.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.annotation import Destroyed
from domain.evolution import read
from domain.facts import Fact, Recorded, fact_json
from domain.retention import KeyDestroyed
from domain.times import Occurred, Precision
from infra.keys import DataKey

PRECISION_LETTERS = {Precision.YEAR: "Y", Precision.MONTH: "M", Precision.DAY: "D", Precision.INSTANT: "I"}
_PRECISIONS = {letter: precision for precision, letter in PRECISION_LETTERS.items()}
PRECISION_BYTES = {letter.encode(): precision for letter, precision in _PRECISIONS.items()}
_BY_LETTER: Mapping[Any, Precision] = {**_PRECISIONS, **PRECISION_BYTES}

_SERVERS_UTC = ZoneInfo("UTC")
IN_CLEAR = frozenset((KeyDestroyed.stored,))
Row: TypeAlias = tuple[Any, ...]
# A fact as JSON, the end of its line, its provenance as JSON.
Lines: TypeAlias = tuple[bytes, bytes, bytes]
_DESTROYED: Lines = (b"", b"\n", b'{"source":"destroyed","source_event_id":"destroyed"}')

# The columns that `recorded` reads, in its order.
COLUMNS = (
    "position, recorded_at, stream_id, version, patient_id, patient_seq, type, occurred_at, occurred_precision, payload"
)


def place(stream_id: UUID, version: int, stored: str) -> bytes:
    return stream_id.int.to_bytes(16, "big") + version.to_bytes(4, "big") + stored.encode()


def seal(
    key: DataKey,
    stream_id: UUID,
    version: int,
    stored: str,
    body: bytes,
    provenance: bytes,
    nonce: bytes | None = None,
) -> bytes:
    if stored in IN_CLEAR:
        raise ValueError("only a custodian records that a key was destroyed, and in clear")
    return key.seal(body + b"\n" + provenance, place(stream_id, version, stored), nonce)


def in_clear(fact: Fact, provenance: bytes) -> bytes:
    """The payload of a fact whose stored name is among IN_CLEAR."""
    return fact_json(fact) + b"\n" + provenance


def recorded(row: Row, key: DataKey | None) -> Recorded:
    """`row` has COLUMNS; `key` is None where it was destroyed, and what it sealed comes back as a tombstone.
    Raises KeyUnusable, UnknownFact, or pydantic's ValidationError."""
    return recorded_each([row], [key])[0]


def recorded_each(rows: Sequence[Row], keys: Iterable[DataKey | None]) -> list[Recorded]:
    """The same of several rows, each with its key. All are opened, then all are read: so a processor has the code of
    each at hand, and takes a tenth less. Raises as `recorded` does."""
    lines = [
        opened(row[9], key, row[6], place(row[2], row[3], row[6])) for row, key in zip(rows, keys, strict=True)
    ]  # fmt: skip
    facts = [fact_in(each, row[6]) for each, row in zip(lines, rows, strict=True)]
    return [
        Recorded(row[0], _utc(row[1]), row[2], row[3], row[4], row[5], occurred(row[7], row[8]), fact, provenance)
        for row, fact, (_, _, provenance) in zip(rows, facts, lines, strict=True)
    ]


def opened(payload: bytes, key: DataKey | None, stored: str, at: bytes) -> Lines:
    """`at` is the event's `place`. Raises KeyUnusable."""
    if stored in IN_CLEAR:
        return bytes(payload).partition(b"\n")
    return _DESTROYED if key is None else key.open(payload, at).partition(b"\n")


def fact_in(lines: Lines, stored: str) -> Fact:
    """Raises UnknownFact, or pydantic's ValidationError."""
    return Destroyed(was=stored) if lines is _DESTROYED else read(stored, lines[0])


def plain(row: Row, key: DataKey) -> tuple[bytes, bytes]:
    """The fact and its provenance as JSON, of a `row` with COLUMNS. Raises KeyUnusable."""
    _, _, stream_id, version, _, _, stored, _, _, payload = row
    body, _, provenance = opened(payload, key, stored, place(stream_id, version, stored))
    return body, provenance


def occurred(at: datetime, letter: bytes | str) -> Occurred:
    """From the columns `occurred_at` and `occurred_precision`."""
    return Occurred(_utc(at), _BY_LETTER[letter])


def _utc(at: datetime) -> datetime:
    """Whatever zone a session of the server is in: documents give times with their offset."""
    if at.tzinfo is UTC:
        return at
    # As nearly always; moving a time from one zone to another takes three times as long.
    return at.replace(tzinfo=UTC) if at.tzinfo is _SERVERS_UTC else at.astimezone(UTC)
