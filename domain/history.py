"""The effective history: what stands after corrections, in an order that arrival does not change.

Every projection folds it and every decision rests on it; nothing else knows of corrections or lateness.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from domain.annotation import Assigned, Corrected, MarkedInError, MovedAway, MovedIn
from domain.catalogue import RANK, fact_class
from domain.facts import EventId, Fact, Recorded, fact_json
from domain.merging import Merged, MergeReceived, MergeReleased, Unmerged
from domain.times import Occurred, is_after, parse

# Clocks of hospital systems differ by minutes; more than this ahead is a mistyped date, not a skew.
FUTURE_TOLERANCE = timedelta(hours=24)
_first = itemgetter(0)


def effective(events: Iterable[Recorded]) -> list[Recorded]:
    """`events` of all records of one person in any order, as known at some position, in the total order."""
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
        if type(event.fact) not in _ACTS:
            if event.event_id not in self._annotated:
                return self._insert(event)
        else:
            self._annotated.update(_speaks_of(event))
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


class _Acts:
    """What annotations and merges make of the other events, in the order of recording: the last word holds."""

    def __init__(self) -> None:
        self.void: set[EventId] = set()
        self.corrections: dict[EventId, tuple[Corrected, int]] = {}
        self.parted: set[UUID] = set()
        self.assigned: set[EventId] = set()

    def correct(self, event: Recorded) -> None:
        if isinstance(event.fact, Corrected):
            self.corrections[EventId(event.stream_id, event.fact.version)] = event.fact, event.position

    def avoid(self, event: Recorded) -> None:
        self.void.update(_speaks_of(event))

    def assign(self, event: Recorded) -> None:
        self.assigned.update(_speaks_of(event))

    def join(self, event: Recorded) -> None:
        self.parted.discard(_other(event.fact))

    def part(self, event: Recorded) -> None:
        self.parted.add(_other(event.fact))

    def admit(self, _: Recorded) -> None:
        """Nothing that stood before is affected by what comes from elsewhere."""

    def change(self) -> bool:
        return bool(self.void or self.corrections or self.parted)

    def leave(self, event: Recorded) -> bool:
        """Whether the event stands: it did happen, here, and it is known for whom it was written."""
        if event.event_id in self.void:
            return False
        return not (self.parted and self._is_of_parted(event)) or event.event_id in self.assigned

    def corrected(self, event: Recorded) -> Recorded:
        correction = self.corrections.get(event.event_id)
        return event if correction is None else _corrected(event, *correction)

    def _is_of_parted(self, event: Recorded) -> bool:
        """A quotation mark inside JSON text is escaped, so these bytes are there for a member of that name only."""
        if _MERGED_WITH not in event.provenance_json:
            return False
        return not self.parted.isdisjoint(event.provenance.merged_with or ())


_MERGED_WITH = b'"merged_with":'
# Facts that change what other events amount to.
_ACTS: dict[type[Fact], Callable[[_Acts, Recorded], None]] = {
    MarkedInError: _Acts.avoid,
    MovedAway: _Acts.avoid,
    Corrected: _Acts.correct,
    Assigned: _Acts.assign,
    Merged: _Acts.join,
    MergeReceived: _Acts.join,
    Unmerged: _Acts.part,
    MergeReleased: _Acts.part,
    MovedIn: _Acts.admit,
}
_ANNOTATIONS = (MarkedInError, MovedAway, Corrected, Assigned)


def _standing(arrived: list[Recorded]) -> list[Recorded]:
    acts = _Acts()
    facts: list[Recorded] = []
    for event in arrived:
        act = _ACTS.get(type(event.fact))
        if act is None:
            facts.append(event)
            continue
        act(acts, event)
        if not isinstance(event.fact, _ANNOTATIONS):
            facts.append(_as_moved(event) if isinstance(event.fact, MovedIn) else event)
    if not acts.change():
        return facts
    return [acts.corrected(event) for event in facts if acts.leave(event)]


def changes_others(fact: Fact) -> bool:
    """Whether recording it changes what other events amount to, or itself amounts to another fact."""
    return type(fact) in _ACTS


def _speaks_of(event: Recorded) -> list[EventId]:
    match event.fact:
        case MarkedInError(versions=versions) | MovedAway(versions=versions) | Assigned(versions=versions):
            return [EventId(event.stream_id, version) for version in versions]
        case Corrected(version=version):
            return [EventId(event.stream_id, version)]
        case _:
            return []


def _other(fact: Fact) -> UUID:
    """The record that one record is joined with or parted from."""
    match fact:
        case Merged(into=other) | MergeReceived(patient=other) | Unmerged(out_of=other) | MergeReleased(patient=other):
            return other
        case _:
            raise TypeError(f"{fact.stored} neither joins nor parts records")


def _corrected(event: Recorded, correction: Corrected, position: int) -> Recorded:
    occurred = event.occurred if correction.occurred is None else parse(correction.occurred)
    fact = fact_class(correction.replaced_by).model_validate(correction.replacement)
    return event._replace(fact=fact, occurred=occurred, corrected_at=position)


def _as_moved(event: Recorded) -> Recorded:
    """It stands here, under its new id, as it was recorded there."""
    told = event.fact
    if not isinstance(told, MovedIn):
        raise TypeError(f"{told.stored} moves nothing")
    return event._replace(
        fact=fact_class(told.moved).model_validate(told.fact),
        occurred=Occurred(told.occurred_at, told.precision),
        recorded_at=told.recorded_at,
        provenance_json=json.dumps(told.provenance, separators=(",", ":")).encode(),
    )


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
