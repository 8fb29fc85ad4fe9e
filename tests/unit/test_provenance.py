"""Provenance is written piece by piece; it must be the JSON that the class itself would write."""

from datetime import UTC, datetime

import pytest

from consumers.envelope import envelope, opened
from consumers.provenance import provenance_of
from domain.facts import Agent, Provenance
from tests.events import SOURCE, binary, diagnosis, structured

ODD = 'é "quoted" \\ \U0001f600 </script>'
TRACE = "0af7651916cd43dd8448eb211c80319c"
QUOTED = f'"\\{TRACE[2:]}'
PERFORMERS = [
    None,
    Agent(kind="device"),
    Agent(kind="professional", identifier=ODD, name="\u2028\x7f\t\x1f", role="b\b\f"),
]


def written(performer: Agent | None, event_id: str = "1", **others: str) -> bytes:
    return provenance_of(envelope(opened(binary(event_id, diagnosis(), **others)))).by(performer)


@pytest.mark.parametrize("performer", PERFORMERS)
@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ({}, {"organisation": "RXX"}),
        ({"source": f"https://example.org/{TRACE}"}, {}),
        (
            {"recordedtime": "2026-03-01T10:00:00.25+01:00"},
            {"organisation": "RXX", "recorded_at_source": "2026-03-01T09:00:00.250000Z"},
        ),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, {"organisation": "RXX", "correlation_id": TRACE}),
        ({"traceparent": f"00-{TRACE}-01"}, {"organisation": "RXX"}),
        ({"traceparent": f"00-{QUOTED}-b7ad6b7169203331-01"}, {"organisation": "RXX", "correlation_id": QUOTED}),
    ],
)
def test_it_says_what_the_message_says_and_nothing_else(
    performer: Agent | None, others: dict[str, str], expected: dict[str, str]
) -> None:
    told = {"source": others.get("source", SOURCE), "source_event_id": ODD, **expected}
    assert Provenance.model_validate_json(written(performer, ODD, **others)) == Provenance.model_validate(
        told | {"performer": performer}
    )


@pytest.mark.parametrize("performer", PERFORMERS)
def test_it_is_as_compact_as_the_class_writes_it(performer: Agent | None) -> None:
    told = written(performer, ODD, recordedtime="2026-03-01T10:00:00Z", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    own = Provenance.model_validate_json(told).model_dump_json(exclude_none=True)
    assert told.decode() == own.replace('T10:00:00Z"', 'T10:00:00+00:00"')


def test_when_its_source_had_it_is_said_once() -> None:
    """What a part of the message says of itself counts, and not what its envelope says of all."""
    read = envelope(opened(binary("1", diagnosis(), recordedtime="2026-03-01T10:00:00Z")))
    told = provenance_of(read, datetime(2026, 2, 28, 9, tzinfo=UTC)).plain
    assert told.count(b"recorded_at_source") == 1
    assert Provenance.model_validate_json(told).recorded_at_source == datetime(2026, 2, 28, 9, tzinfo=UTC)


def test_a_trace_that_is_no_text_is_no_trace() -> None:
    told = envelope(opened(structured("1", diagnosis(), traceparent=[1, 2])))  # type: ignore[arg-type]
    assert b"correlation_id" not in provenance_of(told).plain
