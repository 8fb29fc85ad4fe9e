"""The effective history: what stands after corrections, in an order that arrival does not change.

Every projection folds it and every decision rests on it; nothing else knows of corrections or lateness.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from domain.annotation import Corrected, MarkedInError
from domain.catalogue import RANK, fact_class
from domain.facts import EventId, Fact, Recorded, fact_json
from domain.times import Occurred, is_after

# Clocks of hospital systems differ by minutes; more than this ahead is a mistyped date, not a skew.
FUTURE_TOLERANCE = timedelta(hours=24)
_first = itemgetter(0)


def effective(events: Iterable[Recorded]) -> list[Recorded]:
    """`events` of one person in any order, as known at some position; the result is in the total order."""
    arrived = sorted(events, key=lambda event: event.position)
    placed = [(moment(event), event) for event in _standing(arrived)]
    placed.sort(key=_first)
    return _content_order_within_ties(placed)


class Growing:
    """The effective history of one person while events are added in order of recording: `events` always equals
    `effective` of all that were added, without sorting them all anew for each."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self._arrived: list[Recorded] = []
        self._moments: list[tuple[Any, ...]] = []
        self._annotated: set[EventId] = set()

    def add(self, event: Recorded) -> int | None:
        """The place in `events` where it stands; None where what stood before may have changed."""
        self._arrived.append(event)
        if isinstance(event.fact, MarkedInError):
            self._annotated.update(EventId(event.stream_id, version) for version in event.fact.versions)
        elif isinstance(event.fact, Corrected):
            self._annotated.add(EventId(event.stream_id, event.fact.version))
        elif event.event_id not in self._annotated:
            return self._insert(event)
        self.events = effective(self._arrived)
        self._moments = [moment(each) for each in self.events]
        return None

    def _insert(self, event: Recorded) -> int:
        at = moment(event)
        place, end = bisect_left(self._moments, at), bisect_right(self._moments, at)
        if place < end:
            place = bisect_left(self.events, _content(event), place, end, key=_content)
        self.events.insert(place, event)
        self._moments.insert(place, at)
        return place


def _standing(arrived: list[Recorded]) -> list[Recorded]:
    """Annotations act in the order in which they were recorded: the last word on an event holds."""
    void: set[EventId] = set()
    corrections: dict[EventId, tuple[Fact, int]] = {}
    facts: list[Recorded] = []
    for event in arrived:
        match event.fact:
            case MarkedInError(versions=versions):
                void.update(EventId(event.stream_id, version) for version in versions)
            case Corrected() as correction:
                corrections[EventId(event.stream_id, correction.version)] = _replacement(correction), event.position
            case _:
                facts.append(event)
    if not void and not corrections:
        return facts
    left = (event for event in facts if event.event_id not in void)
    return [_corrected(event, corrections.get(event.event_id)) for event in left]


def _corrected(event: Recorded, correction: tuple[Fact, int] | None) -> Recorded:
    return event if correction is None else event._replace(fact=correction[0], corrected_at=correction[1])


def _replacement(correction: Corrected) -> Fact:
    return fact_class(correction.replaced_by).model_validate(correction.replacement)


def sorts_at(event: Recorded) -> Occurred:
    """An event said to occur well after it was recorded sorts at its recording."""
    return Occurred(event.recorded_at) if is_ahead(event) else event.occurred


def is_ahead(event: Recorded) -> bool:
    """Whether its place depends on when it was recorded, which a decision does not know yet."""
    return is_after(event.occurred, event.recorded_at, FUTURE_TOLERANCE)


def moment(event: Recorded) -> tuple[Any, ...]:
    """An event of a later moment stands after; those of the same moment stand in the order of their content."""
    occurred = sorts_at(event)
    return occurred.london_date, not occurred.is_date_only, occurred.at, RANK[type(event.fact)]


def _content_order_within_ties(placed: list[tuple[tuple[Any, ...], Recorded]]) -> list[Recorded]:
    """Facts of one kind and moment stand in an order that arrival cannot change."""
    result: list[Recorded] = []
    for _, ties in groupby(placed, key=_first):
        group = [event for _, event in ties]
        if len(group) > 1:
            group.sort(key=_content)
        result.extend(group)
    return result


def _content(event: Recorded) -> tuple[Any, ...]:
    """A month and its first day are one moment told twice, so the time as told counts too."""
    return fact_json(event.fact), event.occurred, event.stream_id, event.position
