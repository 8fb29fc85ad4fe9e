"""The leaves of an event and of an access, recomputed from docs/evidence.md alone."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

LAYOUT = 1
_EPOCH = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
_ABSENT = UUID(int=0)


def envelope(event: Mapping[str, Any]) -> bytes:
    """The bytes that are logged: `event` has the columns of log.events under their names."""
    stored = event["type"].encode()
    return b"".join(
        (
            bytes([LAYOUT]),
            event["position"].to_bytes(8, "big", signed=True),
            _microseconds(event["recorded_at"]),
            event["stream_id"].bytes,
            event["version"].to_bytes(4, "big", signed=True),
            (event["patient_id"] or _ABSENT).bytes,
            (event["patient_seq"] or 0).to_bytes(4, "big", signed=True),
            len(stored).to_bytes(4, "big", signed=True),
            stored,
            _microseconds(event["occurred_at"]),
            event["occurred_precision"].encode(),
            (event["key_id"] or _ABSENT).bytes,
            hashlib.sha256(event["payload"]).digest(),
        )
    )


def leaf(event: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(b"\x00" + envelope(event)).digest()


def access_envelope(position: int, access: Mapping[str, Any]) -> bytes:
    """`access` has the columns of access.reads under their names."""
    texts = [access[name] for name in ("actor", "role", "organisation", "purpose", "outcome", "projection")]
    told = [None if text is None else text.encode() for text in texts]
    correlation = access["correlation_id"]
    told += [access["answer_hash"], None if correlation is None else correlation.encode()]
    return b"".join(
        (
            b"A\x01",
            position.to_bytes(8, "big", signed=True),
            access["access_id"].to_bytes(8, "big", signed=True),
            _microseconds(access["at"]),
            (access["patient_id"] or _ABSENT).bytes,
            (access["through_position"] or 0).to_bytes(8, "big", signed=True),
            *(b"\xff" * 4 if part is None else len(part).to_bytes(4, "big", signed=True) + part for part in told),
        )
    )


def access_leaf(position: int, access: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(b"\x00" + access_envelope(position, access)).digest()


def _microseconds(moment: datetime) -> bytes:
    return ((moment - _EPOCH) // timedelta(microseconds=1)).to_bytes(8, "big", signed=True)
