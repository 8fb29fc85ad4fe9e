"""How an event's fact and provenance become stored bytes, and come back.

A payload is two lines of JSON, the fact and its provenance, sealed under the patient's key and bound to its place
(stream, version, type), so that no payload can be moved to another event unnoticed. The one that says that the key is
gone stands in clear.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
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
_GONE = b'{"source":"destroyed","source_event_id":"destroyed"}'

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


def recorded(row: tuple[Any, ...], key: DataKey | None) -> Recorded:
    """`row` has COLUMNS; `key` is None where it was destroyed, and what it sealed comes back as a tombstone.
    Raises KeyUnusable, UnknownFact, or pydantic's ValidationError."""
    position, recorded_at, stream_id, version, patient_id, patient_seq, stored, at, letter, payload = row
    fact, provenance = opened(payload, key, stored, place(stream_id, version, stored))
    when = occurred(at, letter)
    return Recorded(position, _utc(recorded_at), stream_id, version, patient_id, patient_seq, when, fact, provenance)


def opened(payload: bytes, key: DataKey | None, stored: str, at: bytes) -> tuple[Fact, bytes]:
    """The fact, and its provenance as JSON; `at` is its `place`. Raises as `recorded` does."""
    if key is None or stored in IN_CLEAR:
        return _without_key(stored, payload)
    body, _, provenance = key.open(payload, at).partition(b"\n")
    return read(stored, body), provenance


def plain(row: tuple[Any, ...], key: DataKey) -> tuple[bytes, bytes]:
    """The fact and its provenance as JSON, of a `row` with COLUMNS. Raises KeyUnusable."""
    _, _, stream_id, version, _, _, stored, _, _, payload = row
    if stored not in IN_CLEAR:
        payload = key.open(payload, place(stream_id, version, stored))
    body, _, provenance = payload.partition(b"\n")
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


def _without_key(stored: str, payload: bytes) -> tuple[Fact, bytes]:
    if stored not in IN_CLEAR:
        return Destroyed(was=stored), _GONE
    body, _, provenance = bytes(payload).partition(b"\n")
    return read(stored, body), provenance
