"""The documented layout of a leaf, recomputed from its own examples."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from tests.leaves import envelope, leaf

_PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"


def read(told: dict[str, Any]) -> dict[str, Any]:
    ids = {name: UUID(told[name]) if told[name] else None for name in ("stream_id", "patient_id", "key_id")}
    moments = {name: datetime.fromisoformat(told[name]) for name in ("recorded_at", "occurred_at")}
    return told | ids | moments | {"payload": bytes.fromhex(told["payload"])}


def documented() -> list[dict[str, Any]]:
    found = re.search(r"```json\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    assert found is not None
    return [read(each) for each in orjson.loads(found[1])]


@pytest.mark.parametrize("event", documented(), ids=["with a patient", "without"])
def test_the_documented_leaf_is_the_leaf(event: dict[str, Any]) -> None:
    assert leaf(event).hex() == event["leaf_hash"]
    assert len(envelope(event)) == 118 + len(event["type"].encode())


def test_the_documented_offsets_lead_to_the_documented_content() -> None:
    event = documented()[0]
    rows = re.findall(r"^\| (\d+)(?: \+ \*n\*)? \| (\d+|\*n\*) \| (.*?) \|$", _PAGE.read_text(), re.MULTILINE)
    size = len(event["type"])
    places = [int(offset) + (size if int(offset) > 61 or place > 8 else 0) for place, (offset, *_) in enumerate(rows)]
    lengths = [size if length == "*n*" else int(length) for _, length, _ in rows]
    assert [place + length for place, length in zip(places, lengths, strict=True)] == [
        *places[1:],
        len(envelope(event)),
    ]


@pytest.mark.parametrize(
    ("column", "changed"),
    [
        ("position", 40),
        ("recorded_at", datetime.fromisoformat("2026-03-02T09:15:30.123457+00:00")),
        ("stream_id", uuid4()),
        ("version", 4),
        ("patient_id", uuid4()),
        ("patient_seq", 8),
        ("type", "pathway.diagnosis-agreed.v2"),
        ("occurred_at", datetime.fromisoformat("2026-03-02T00:00:00+00:00")),
        ("occurred_precision", "I"),
        ("payload", b""),
        ("key_id", None),
    ],
)
def test_each_column_is_covered(column: str, changed: Any) -> None:
    event = documented()[0]
    assert leaf(event | {column: changed}) != leaf(event)
