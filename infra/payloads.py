"""How an event's fact and provenance become stored bytes, and come back.

A payload is two lines of JSON, the fact and its provenance, sealed under the patient's key and bound to its place
(stream, version, type), so that no payload can be moved to another event unnoticed.
"""

from typing import Any
from uuid import UUID

from domain.catalogue import fact_class
from domain.facts import Fact, Recorded
from domain.times import Occurred, Precision
from infra.keys import DataKey

PRECISION_LETTERS = {Precision.YEAR: "Y", Precision.MONTH: "M", Precision.DAY: "D", Precision.INSTANT: "I"}
_PRECISIONS = {letter: precision for precision, letter in PRECISION_LETTERS.items()}
_PRECISION_BYTES = {letter.encode(): precision for letter, precision in _PRECISIONS.items()}

# The columns that `recorded` reads, in its order.
COLUMNS = (
    "position, recorded_at, stream_id, version, patient_id, patient_seq, type, occurred_at, occurred_precision, payload"
)


def place(stream_id: UUID, version: int, stored: str) -> bytes:
    return stream_id.bytes + version.to_bytes(4, "big") + stored.encode()


def seal(key: DataKey, stream_id: UUID, version: int, stored: str, body: bytes, provenance: bytes) -> bytes:
    return key.seal(body + b"\n" + provenance, place(stream_id, version, stored))


def recorded(row: tuple[Any, ...], key: DataKey) -> Recorded:
    """`row` has COLUMNS. Raises KeyUnusable, UnknownFact, or pydantic's ValidationError."""
    position, recorded_at, stream_id, version, patient_id, patient_seq, stored, at, letter, payload = row
    plain = key.open(payload, place(stream_id, version, stored))
    body, _, provenance = plain.partition(b"\n")
    fact = decode(stored, body)
    occurred = Occurred(at, _precision(letter))
    return Recorded(position, recorded_at, stream_id, version, patient_id, patient_seq, occurred, fact, provenance)


def decode(stored: str, body: bytes) -> Fact:
    fact: Fact = fact_class(stored).__pydantic_validator__.validate_json(body)
    return fact


def _precision(letter: bytes | str) -> Precision:
    return _PRECISION_BYTES[letter] if isinstance(letter, bytes) else _PRECISIONS[letter]
