"""The effective history against an oracle that is slow and plainly right."""

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from domain.annotation import Corrected, MarkedInError, Withdrawn
from domain.catalogue import CATALOGUE, FACTS
from domain.facts import Fact, Recorded, fact_json
from domain.history import effective
from domain.pathway import PerformanceStatusAssessed
from domain.times import Occurred, Precision, parse
from tests.builders import Happening, recorded, target_of
from tests.strategies import REPORTABLE, VERSIONED, facts, happenings, origins, times


def slow_effective(events: list[Recorded]) -> list[Recorded]:
    standing = [stands for event in events for stands in _as_it_stands(event, events)]
    result: list[Recorded] = []
    while standing:
        first = standing[0]
        for other in standing:
            if _key(other) < _key(first):
                first = other
        standing.remove(first)
        result.append(first)
    return result


def _as_it_stands(event: Recorded, events: list[Recorded]) -> list[Recorded]:
    if isinstance(event.fact, MarkedInError | Withdrawn | Corrected):
        return []
    fact: Fact = event.fact
    occurred = event.occurred
    last = 0
    for other in events:
        if other.stream_id == event.stream_id and isinstance(other.fact, Withdrawn) and _was_withdrawn(event, other):
            return []
        if other.stream_id != event.stream_id or other.version < event.version:
            continue  # of another stream, or recorded before there was anything to speak of
        if isinstance(other.fact, MarkedInError) and event.version in other.fact.versions:
            return []
        if isinstance(other.fact, Corrected) and other.fact.version == event.version and other.position > last:
            last = other.position
            fact = CATALOGUE[other.fact.replaced_by](**other.fact.replacement)
            occurred = parse(other.fact.occurred) if other.fact.occurred else occurred
    return [event._replace(fact=fact, occurred=occurred, corrected_at=last or None)]


def _was_withdrawn(event: Recorded, by: Recorded) -> bool:
    assert isinstance(by.fact, Withdrawn)
    told = json.loads(event.provenance_json).get("recorded_at_source")
    if told is None:
        return event.version < by.version
    return _believed(datetime.fromisoformat(told), event) <= _believed(by.fact.as_of, by)


def _believed(told: datetime, event: Recorded) -> datetime:
    return event.recorded_at if told - event.recorded_at > timedelta(days=1) else told


def _key(event: Recorded) -> tuple[Any, ...]:
    at, precision = event.occurred
    if at - event.recorded_at > timedelta(days=1):
        at, precision = event.recorded_at, Precision.INSTANT
    london_day = at.astimezone(ZoneInfo("Europe/London")).strftime("%Y-%m-%d")
    dated_first = 0 if precision != Precision.INSTANT else 1
    kind = list(FACTS).index(type(event.fact))
    told = (fact_json(event.fact), event.occurred.at, str(event.occurred.precision))
    return london_day, dated_first, at, kind, *told, event.stream_id, event.position


@st.composite
def annotated(draw: st.DrawFn) -> list[Recorded]:
    """Facts, some of them later marked in error or corrected, or withdrawn at any time, and some said to happen or to
    be told years ahead."""
    told = draw(happenings(max_size=15))
    told = [_perhaps_mistyped(draw, each) for each in told]
    for _ in range(draw(st.integers(0, 6)) if told else 0):
        target, _, occurred = draw(st.sampled_from(told))
        version = draw(st.integers(1, 4))
        told.append((target, draw(_annotations(version)), occurred))
    for _ in range(draw(st.integers(0, 2)) if told else 0):
        target, _, occurred = draw(st.sampled_from(told))
        told.insert(draw(st.integers(0, len(told))), (target, draw(_WITHDRAWALS), occurred))
    return recorded(told, draw(origins(len(told))))


_WITHDRAWALS = st.sampled_from(VERSIONED).map(lambda moment: Withdrawn(as_of=moment))


def _perhaps_mistyped(draw: st.DrawFn, happening: Happening) -> Happening:
    target, fact, occurred = happening
    years = draw(st.sampled_from([0, 0, 0, 40]))
    return target, fact, Occurred(occurred.at + timedelta(days=365 * years), occurred.precision)


def _annotations(version: int) -> st.SearchStrategy[Fact]:
    replacement = PerformanceStatusAssessed(scale="ECOG", value="2")
    corrected = Corrected(version=version, replaced_by=replacement.stored, replacement=replacement.model_dump())
    dated = corrected.model_copy(update={"occurred": "2026-01-30"})
    return st.sampled_from([MarkedInError(versions=(version, version + 1)), corrected, dated])


@given(annotated(), st.randoms(use_true_random=False))
def test_it_is_what_the_oracle_says_in_whatever_order_events_are_read(events: list[Recorded], random: Any) -> None:
    read = list(events)
    random.shuffle(read)
    assert effective(read) == slow_effective(events)


@given(annotated())
def test_it_is_its_own_effective_history(events: list[Recorded]) -> None:
    standing = effective(events)
    assert effective(standing) == standing


@given(st.lists(st.tuples(facts(REPORTABLE), times()), max_size=12, unique_by=repr), st.randoms(use_true_random=False))
def test_arrival_does_not_change_its_order(told: list[tuple[Fact, Occurred]], random: Any) -> None:
    arrived = list(dict.fromkeys((target_of(fact), fact, occurred) for fact, occurred in told))
    shuffled = list(arrived)
    random.shuffle(shuffled)
    assert _content(effective(recorded(shuffled))) == _content(effective(recorded(arrived)))


def _content(events: list[Recorded]) -> list[tuple[Fact, Occurred]]:
    return [(event.fact, event.occurred) for event in events]
