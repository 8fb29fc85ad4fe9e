"""The bytes that a leaf is the hash of: the envelope of one stored event, layout 1 (docs/evidence.md)."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

LAYOUT = 1
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ABSENT = UUID(int=0)

# The columns of log.events that a Stored has, in its order.
COLUMNS = (
    "position, recorded_at, stream_id, version, patient_id, patient_seq, type, occurred_at, "
    "occurred_precision::text, payload, key_id, leaf_hash"
)


class Stored(NamedTuple):
    """One row of log.events, sealed as it stands. Patient, sequence and key are None where an event has none."""

    position: int
    recorded_at: datetime
    stream_id: UUID
    version: int
    patient_id: UUID | None
    patient_seq: int | None
    type: str
    occurred_at: datetime
    occurred_precision: str
    payload: bytes
    key_id: UUID | None
    leaf_hash: bytes


def envelope(event: Stored) -> bytes:
    stored = event.type.encode()
    parts = (
        bytes([LAYOUT]),
        event.position.to_bytes(8, "big"),
        _moment(event.recorded_at),
        event.stream_id.bytes,
        event.version.to_bytes(4, "big"),
        (event.patient_id or _ABSENT).bytes,
        (event.patient_seq or 0).to_bytes(4, "big"),
        len(stored).to_bytes(4, "big"),
        stored,
        _moment(event.occurred_at),
        event.occurred_precision.encode(),
        (event.key_id or _ABSENT).bytes,
        sha256(event.payload).digest(),
    )
    return b"".join(parts)


def _moment(at: datetime) -> bytes:
    return ((at - _EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True)
