"""What holds for every rule, whatever was recorded before."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.annotation import Corrected, MarkedInError, Retract
from domain.catalogue import FACTS, category_of
from domain.evolution import read
from domain.facts import Category, Command, Fact, NotAllowed, fact_json
from domain.history import effective
from domain.patient import HEEDED, Patient
from domain.patient import evolve as evolve_patient
from domain.stream import AGGREGATES, Decided, Stream
from domain.times import Occurred, on
from tests.builders import FIRST_RECORDING
from tests.deciding import AFTER_ALL, as_loaded, carry_out, stream_of
from tests.strategies import REPORTABLE, facts, of_model, times

Act: TypeAlias = tuple[Fact | Command, Occurred]

CATEGORIES = st.sampled_from(list(Category))
# So far after its recording that its place depends on when that was.
AHEAD = st.just(Occurred(FIRST_RECORDING + timedelta(hours=27)))


def reports(category: Category) -> st.SearchStrategy[Fact]:
    return facts([kind for kind in REPORTABLE if category_of(kind) is category])


def commands(category: Category) -> st.SearchStrategy[Command]:
    kinds: list[type[Any]] = [*AGGREGATES[category].decisions, Retract]
    return st.sampled_from(kinds).flatmap(of_model)


def corrections() -> st.SearchStrategy[Fact]:
    return st.lists(st.integers(1, 6), min_size=1, max_size=2).map(
        lambda versions: MarkedInError(versions=tuple(versions))
    )


@st.composite
def acts(draw: st.DrawFn, category: Category) -> list[Act]:
    each = st.one_of(reports(category), commands(category), corrections())
    return draw(st.lists(st.tuples(each, st.one_of(times(), AHEAD)), max_size=12))


def replay(stream: Stream) -> Any:
    """The state, from nothing but the stored form of the events."""
    stored = [event._replace(fact=read(event.fact.stored, fact_json(event.fact))) for event in stream.events]
    aggregate = AGGREGATES[stream.category]
    return reduce(aggregate.evolve, effective(stored), aggregate.initial)


def happened(category: Category, told: Sequence[Act]) -> Stream:
    """A stream in which each act was carried out unless its rule refused."""
    stream = stream_of(category)
    for act, occurred in told:
        try:
            carry_out(stream, act, occurred)
        except NotAllowed:
            continue
    return stream


@given(st.data(), CATEGORIES)
def test_any_command_twice_records_once(data: st.DataObject, category: Category) -> None:
    stream = happened(category, data.draw(acts(category)))
    command, occurred = data.draw(st.tuples(commands(category), times()))
    before = stream.version
    try:
        carry_out(stream, command, occurred)
    except NotAllowed:
        assert stream.version == before
        with pytest.raises(NotAllowed):
            carry_out(stream, command, occurred)
    else:
        assert carry_out(stream, command, occurred) == []


@given(st.data(), CATEGORIES)
def test_replay_equals_the_state_decided_on(data: st.DataObject, category: Category) -> None:
    """After every act, and after decisions that were taken back or became durable elsewhere than was supposed."""
    stream = stream_of(category)
    for act, occurred in data.draw(acts(category)):
        durable = stream.last_position
        try:
            carry_out(stream, act, occurred)
        except NotAllowed:
            continue
        assert stream.state() == replay(stream)
        if data.draw(st.booleans()):
            stream.settle(durable, data.draw(st.integers(0, 5)), datetime(2026, 6, 2, tzinfo=UTC))
        else:
            stream.undo(durable)
        assert stream.state() == replay(stream)


@given(st.data(), CATEGORIES)
def test_reports_are_never_refused_for_their_order(data: st.DataObject, category: Category) -> None:
    told = data.draw(st.lists(st.tuples(reports(category), times()), max_size=12))
    arrived = data.draw(st.permutations(told))
    in_order, as_arrived = stream_of(category), stream_of(category)
    for stream, each in ((in_order, told), (as_arrived, arrived)):
        for fact, occurred in each:
            carry_out(stream, fact, occurred)
    content = [[(event.fact, event.occurred) for event in stream.effective()] for stream in (in_order, as_arrived)]
    assert content[0] == content[1]
    assert len(content[0]) == len(set(told))
    assert in_order.state() == as_arrived.state()


@given(st.data(), CATEGORIES)
def test_the_same_state_is_not_the_same_fact(data: st.DataObject, category: Category) -> None:
    """A in January, A again in May, then B for March told late leaves A, B, A."""
    first = data.draw(reports(category))
    other = data.draw(reports(category).filter(lambda fact: fact != first))
    stream = stream_of(category)
    for fact, month in ((first, 1), (first, 5), (other, 3), (first, 1), (other, 3), (first, 5)):
        carry_out(stream, fact, on(date(2026, month, 1)))
    assert [event.fact for event in stream.effective()] == [first, other, first]


@given(st.data(), CATEGORIES)
def test_a_retraction_reopens_everything(data: st.DataObject, category: Category) -> None:
    told = data.draw(st.lists(st.tuples(reports(category), times()), min_size=1, max_size=8, unique_by=repr))
    stream = happened(category, told)
    carry_out(stream, Retract(as_of=AFTER_ALL.at))
    assert stream.state() == AGGREGATES[category].initial
    again = [carry_out(stream, fact, occurred) for fact, occurred in dict.fromkeys(told)]
    assert all(len(each) == 1 for each in again)


@given(st.data(), CATEGORIES)
def test_what_a_correction_voids_can_be_reported_again(data: st.DataObject, category: Category) -> None:
    told = list(dict.fromkeys(data.draw(st.lists(st.tuples(reports(category), times()), min_size=2, max_size=6))))
    stream = happened(category, told)
    void = data.draw(st.integers(0, len(told) - 1))
    carry_out(stream, MarkedInError(versions=(void + 1,)))
    for place, (fact, occurred) in enumerate(told):
        assert len(carry_out(stream, fact, occurred)) == (1 if place == void else 0)


@given(st.data(), CATEGORIES)
def test_a_corrected_fact_no_longer_stands_and_its_replacement_does(data: st.DataObject, category: Category) -> None:
    (told, occurred), right = data.draw(st.tuples(reports(category), times())), data.draw(reports(category))
    stream = happened(category, [(told, occurred)])
    replacement = right.model_dump(mode="json", exclude_none=True)
    carry_out(stream, Corrected(version=1, replaced_by=right.stored, replacement=replacement))
    assert [event.fact for event in stream.effective()] == [right]
    assert carry_out(stream, right, occurred) == []
    assert len(carry_out(stream, told, occurred)) == (0 if told == right else 1)


def told_of(stream: Stream) -> tuple[Any, ...]:
    """What can be asked of a stream without opening it."""
    return stream.category, stream.count, stream.is_empty, stream.owner, stream.version, stream.last_position


def answer(stream: Stream, act: Fact | Command, occurred: Occurred) -> list[Decided] | str:
    try:
        return carry_out(stream, act, occurred)
    except NotAllowed as refused:
        return str(refused)


@given(st.data(), CATEGORIES)
def test_what_nobody_has_read_yet_decides_as_what_was_read(data: st.DataObject, category: Category) -> None:
    stream = happened(category, data.draw(acts(category)))
    loaded, through = as_loaded(stream), stream.last_position
    assert told_of(loaded) == told_of(stream)
    for act, occurred in data.draw(acts(category)):
        assert answer(loaded, act, occurred) == answer(stream, act, occurred)
        assert told_of(loaded) == told_of(stream)
        if data.draw(st.booleans()):
            assert loaded.state() == stream.state()
    for each in (loaded, stream):
        each.undo(through)
        assert_decides_as_new(each, data.draw(acts(category)))


def assert_decides_as_new(stream: Stream, told: Sequence[Act]) -> None:
    """As one that has never decided anything."""
    new = Stream(stream.stream_id, stream.category, list(stream.events))
    for act, occurred in told:
        assert answer(stream, act, occurred) == answer(new, act, occurred)


@given(st.data(), CATEGORIES)
def test_what_is_taken_back_was_never_decided(data: st.DataObject, category: Category) -> None:
    """All since the last that is durable, or a part of it."""
    stream = as_loaded(happened(category, data.draw(acts(category))))
    loaded = stream.last_position
    for act, occurred in data.draw(acts(category)):
        answer(stream, act, occurred)
    stream.settle(loaded, 0, FIRST_RECORDING)
    durable, told = stream.last_position, data.draw(acts(category))
    for act, occurred in told:
        answer(stream, act, occurred)
    stream.undo(data.draw(st.integers(durable, stream.last_position)))
    assert_decides_as_new(stream, told)


@given(st.data())
def test_the_state_is_that_of_all_events_when_few_are_opened(data: st.DataObject) -> None:
    stream = happened(Category.PATIENT, data.draw(acts(Category.PATIENT)))
    assert as_loaded(stream).state() == replay(stream)


_UNHEEDED = [fact for fact in FACTS if fact not in HEEDED]


@given(st.data(), st.sampled_from(_UNHEEDED))
def test_what_is_not_heeded_leaves_the_state_as_it_is(data: st.DataObject, kind: type[Fact]) -> None:
    before: Patient = happened(Category.PATIENT, data.draw(acts(Category.PATIENT))).state()
    (event,) = stream_of(Category.PATIENT, data.draw(of_model(kind))).events
    assert evolve_patient(before, event) is before
