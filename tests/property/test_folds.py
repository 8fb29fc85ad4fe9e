"""Folds hold for any history: in whatever order events arrive, after whichever of them, and as JSON."""

from collections.abc import Iterator
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from domain.annotation import MarkedInError
from domain.facts import Recorded
from projections.catalogue import PROJECTIONS
from projections.folds.differences import difference
from projections.folds.folding import Document, fold_all, fold_each
from tests.builders import Happening, recorded
from tests.strategies import happenings, histories

OF_STANDING_FACTS = tuple(each for each in PROJECTIONS if each.input == "effective")


def by_content(events: list[Recorded]) -> dict[str, Document]:
    """Documents in which each event is named by what it says, since its version tells when it arrived."""
    names = {str(event.event_id): f"{event.stream_id} {event.fact!r} {event.occurred.words()}" for event in events}
    folded = fold_all(OF_STANDING_FACTS, events)
    return {name: _renamed(document, names) for name, document in folded.items()}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _renamed(each, names) for name, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


@given(happenings(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_document(told: list[Happening], random: Any) -> None:
    arrived = list(told)
    random.shuffle(arrived)
    assert by_content(recorded(arrived)) == by_content(recorded(told))


@given(histories(max_size=12))
def test_every_part_of_a_history_folds_into_json(events: list[Recorded]) -> None:
    for end in range(len(events) + 1):
        documents = fold_all(PROJECTIONS, events[:end])
        assert orjson.loads(orjson.dumps(documents)) == documents


@given(st.lists(histories(max_size=12), max_size=4))
def test_people_who_are_folded_together_have_the_documents_of_each_alone(people: list[list[Recorded]]) -> None:
    together = fold_each(PROJECTIONS, people)
    assert orjson.dumps(together) == orjson.dumps([fold_all(PROJECTIONS, events) for events in people])


@given(histories(max_size=12))
def test_a_part_of_two_projections_heeds_every_event_once(events: list[Recorded]) -> None:
    twice = [each._replace(name=f"{each.name} {number}") for each in PROJECTIONS for number in "12"]
    folded = fold_all(twice, events)
    for name, document in fold_all(PROJECTIONS, events).items():
        assert folded[f"{name} 1"] == folded[f"{name} 2"] == document


@given(histories())
def test_folding_twice_says_the_same_twice(events: list[Recorded]) -> None:
    first = orjson.dumps(fold_all(PROJECTIONS, events))
    assert orjson.dumps(fold_all(PROJECTIONS, events)) == first


@given(histories())
def test_nothing_is_left_open_and_every_because_is_an_event_of_this_history(events: list[Recorded]) -> None:
    known = {str(event.event_id) for event in events}
    for name, value in _members(fold_all(PROJECTIONS, events)):
        assert value is not None, name
        assert not isinstance(value, bool), name
        if name == "because" and isinstance(value, str):
            assert value in known


def _members(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, value
    if isinstance(value, dict):
        for member, each in value.items():
            yield from _members(each, member)
    if isinstance(value, list):
        for each in value:
            yield from _members(each, name)


@given(happenings(max_size=12))
def test_what_is_marked_in_error_leaves_no_trace_but_in_the_audit_trail(told: list[Happening]) -> None:
    events = recorded(told)
    wrong = [(event.stream_id, event.version) for event in events[1::2]]
    targets = {target.stream_id(events[0].patient_id): target for target, _, _ in told} if events else {}
    marks: list[Happening] = [
        (targets[stream_id], MarkedInError(versions=(version,)), told[0][2]) for stream_id, version in wrong
    ]
    with_marks = fold_all(PROJECTIONS, recorded([*told, *marks]))
    never_said = fold_all(OF_STANDING_FACTS, [e for e in events if (e.stream_id, e.version) not in wrong])
    assert {name: with_marks[name] for name in never_said} == never_said
    assert len(with_marks["audit_trail"]["lines"]) == len(told) + len(marks)


@given(histories(max_size=10), histories(max_size=10))
def test_a_difference_leads_from_one_document_to_the_other(one: list[Recorded], other: list[Recorded]) -> None:
    before, after = fold_all(PROJECTIONS, one), fold_all(PROJECTIONS, other)
    changes = difference(before, after)
    assert bool(changes) == (before != after)
    for change in changes:
        assert change["before"] != change["after"]
        if change["after"] is not None:
            assert _at(after, change["pointer"]) == change["after"]


def _at(document: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document
