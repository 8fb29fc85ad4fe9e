"""What a sender is told: the common case, written by itself, says what the general one would."""

from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.answers import conclude
from consumers.messages import RawMessage
from consumers.translation import Entry, NotOurs, Translated
from domain.facts import EventId
from domain.identity import PatientReference
from infra.writing.work import PartOutcome

MESSAGE = RawMessage((("content-type", b"application/json; charset=utf-8"),), b"{}", "topic/0/1")
EVENTS = st.lists(st.tuples(st.builds(EventId, st.uuids(), st.integers(1, 10**6)), st.just("a.b.v1")), max_size=4)


def translated(pointer: str = "", kind: str = "pathway.opened.v1") -> Translated:
    return Translated(pointer, kind, PatientReference(identifiers=()), ())


@given(st.text(), st.text(), EVENTS)
def test_one_entry_is_told_as_one_of_many(pointer: str, kind: str, events: list[tuple[EventId, str]]) -> None:
    entry, outcome = translated(pointer, kind), PartOutcome(UUID(int=1), tuple(events))
    alone, beside = conclude([entry], MESSAGE, [outcome]), conclude([entry, entry], MESSAGE, [outcome, outcome])
    told = orjson.loads(beside.answer)
    assert alone.answer == orjson.dumps(told | {"entries": told["entries"][:1]})
    assert (alone.outcome, alone.rejection) == (beside.outcome, None)


@pytest.mark.parametrize("entry", [translated(), NotOurs("", "Claim", "a claim")])
def test_nothing_recorded_is_not_told_as_recorded(entry: Entry) -> None:
    outcomes = [PartOutcome(UUID(int=1))] if isinstance(entry, Translated) else []
    assert conclude([entry], MESSAGE, outcomes).outcome in ("nothing-new", "not-ours")


def test_a_rejection_says_where_the_message_came_from() -> None:
    rejection = conclude([translated()], MESSAGE, [PartOutcome(None, refusal=("name-conflict", "why"))]).rejection
    assert rejection is not None
    assert (rejection.coordinates, rejection.content_type, rejection.owner) == (
        "topic/0/1", "application/json", "identity"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (translated(), "/patient"),
        (translated("/entry/3/resource", "Condition"), "/entry/3/resource"),
    ],
)
def test_what_is_held_back_says_in_which_field(entry: Translated, field: str) -> None:
    rejection = conclude([entry], MESSAGE, [PartOutcome(None, refusal=("name-conflict", "why"))]).rejection
    assert rejection is not None
    assert rejection.reasons[0]["field"] == field
