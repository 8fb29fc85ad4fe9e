"""The effective history: what stands after corrections, in an order that arrival does not change.

Every projection folds it and every decision rests on it; nothing else knows of corrections or lateness.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import groupby
from operator import eq, itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from domain.annotation import Assigned, Corrected, Destroyed, MarkedInError, MovedAway, MovedIn, Withdrawn
from domain.catalogue import RANK
from domain.evolution import Several, revived
from domain.facts import EventId, Fact, Recorded, fact_json
from domain.times import FUTURE_TOLERANCE, Occurred, is_after, parse
from domain.withdrawal import falls, withdrawals

# Of an event its position, of a placed one its moment.
_first = itemgetter(0)


def effective(events: Iterable[Recorded], *, of_one_stream: bool = False) -> list[Recorded]:
    """`events` of all records of one person in any order, as known at some position, in the total order.

    Those of one stream do not tell who the person is, so what was written in view of merged records stands.
    """
    arrived = sorted(events, key=_first)
    standing = _standing(arrived)
    if not of_one_stream:
        standing = _without_views_of_others(standing, arrived)
    placed = [(moment(event), event) for event in standing]
    placed.sort(key=_first)
    return _content_order_within_ties(placed)


class Growing:
    """The effective history of one person while events are added in order of recording: `events` always equals
    `effective` of all that were added, without sorting them all anew for each."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self._arrived: list[Recorded] = []
        self._moments: list[tuple[Any, ...]] = []
        self._records: set[int] = set()
        # Streams of which something was withdrawn, by the numbers of their ids.
        self._withdrawn: set[int] = set()

    def add(self, event: Recorded) -> int | None:
        """The place in `events` where it stands; None where what stood before may have changed."""
        self._arrived.append(event)
        record = event.patient_id.int
        is_of_another_record = bool(self._records) and record not in self._records
        self._records.add(record)
        if not is_of_another_record and self._is_plain(event):
            return self._insert(event)
        if isinstance(event.fact, Withdrawn):
            self._withdrawn.add(event.stream_id.int)
        self.events = effective(self._arrived)
        self._moments = [moment(each) for each in self.events]
        return None

    def _is_plain(self, event: Recorded) -> bool:
        """Whether it stands as it is, and beside what stood before."""
        if self._withdrawn and event.stream_id.int in self._withdrawn:
            return False
        return not changes_others(event.fact) and _MERGED_WITH not in event.provenance_json

    def _insert(self, event: Recorded) -> int:
        at = moment(event)
        if not self._moments or at > self._moments[-1]:
            self.events.append(event)
            self._moments.append(at)
            return len(self.events) - 1
        place, end = bisect_left(self._moments, at), bisect_right(self._moments, at)
        if place < end:
            place = bisect_left(self.events, _content(event), place, end, key=_content)
        self.events.insert(place, event)
        self._moments.insert(place, at)
        return place


# A quotation mark inside JSON text is escaped, so these bytes stand only for a member of this name.
_MERGED_WITH = b'"merged_with":'
_ANNOTATIONS = frozenset((MarkedInError, Withdrawn, MovedAway, Corrected, Assigned, MovedIn, Destroyed))
ALTERING = _ANNOTATIONS | {Several}


class _Correction(NamedTuple):
    """The last one of an event, at `position`; a time that one before it told still holds where it tells none."""

    told: Corrected
    occurred: str | None
    position: int


def changes_others(fact: Fact) -> bool:
    """Whether it changes what other events amount to, or itself amounts to another fact."""
    return type(fact) in ALTERING


def _standing(arrived: list[Recorded]) -> list[Recorded]:
    """Annotations act in the order in which they were recorded: the last word on an event holds. Only what a source
    withdrew falls whenever it came."""
    if ALTERING.isdisjoint([type(event.fact) for event in arrived]):
        return arrived
    void = _withdrawn(arrived)
    corrections: dict[EventId, _Correction] = {}
    facts: list[Recorded] = []
    for event in arrived:
        if type(event.fact) not in _ANNOTATIONS:
            facts.append(event)
            continue
        match event.fact:
            case MovedIn() as told:
                facts.append(_as_moved(event, told))
            case Corrected() as correction:
                corrections.update(
                    (each, _after(corrections.get(each), correction, event)) for each in _speaks_of(event)
                )
            case MarkedInError() | MovedAway():
                void.update(_speaks_of(event))
    if not void and not corrections:
        return _apart(facts)
    left = (event for event in facts if event.event_id not in void)
    return _apart([_corrected(event, corrections.get(event.event_id)) for event in left])


def withdrawn(arrived: Iterable[Recorded]) -> list[Recorded]:
    """Those facts that fall with what their sources withdrew, each by itself and as it was recorded."""
    events = list(arrived)
    void = _withdrawn(events)
    return _apart([event for event in events if event.event_id in void])


def _withdrawn(arrived: list[Recorded]) -> set[EventId]:
    by_stream = withdrawals(arrived)
    if not by_stream:
        return set()
    return {event.event_id for event in arrived if falls(event, by_stream.get(event.stream_id, ()))}


def _apart(standing: list[Recorded]) -> list[Recorded]:
    """Each fact by itself, where an event of an older version is read as several."""
    if not any(type(event.fact) is Several for event in standing):
        return standing
    apart: list[Recorded] = []
    for event in standing:
        facts = event.fact.facts if isinstance(event.fact, Several) else (event.fact,)
        apart.extend(event._replace(fact=fact, part=part) for part, fact in enumerate(facts))
    return apart


def _without_views_of_others(standing: list[Recorded], arrived: list[Recorded]) -> list[Recorded]:
    """Without what someone wrote in view of records that are not this person's any more, unless it was assigned."""
    if not any(_MERGED_WITH in event.provenance_json for event in standing):
        return standing
    records = {event.patient_id for event in arrived}
    assigned = {each for event in arrived if isinstance(event.fact, Assigned) for each in _speaks_of(event)}
    return [event for event in standing if event.event_id in assigned or _was_in_view_of(event) <= records]


def elsewhere(events: Iterable[Recorded]) -> frozenset[EventId]:
    """Those of one person's events that are not the person's: what was moved away, and what was written in view of
    records that are not theirs any more. What was marked in error is not among them."""
    arrived = sorted(events, key=_first)
    moved = {each for event in arrived if isinstance(event.fact, MovedAway) for each in _speaks_of(event)}
    left = {event.event_id for event in _without_views_of_others(arrived, arrived)}
    return frozenset(moved.union(event.event_id for event in arrived if event.event_id not in left))


def _was_in_view_of(event: Recorded) -> set[UUID]:
    if _MERGED_WITH not in event.provenance_json:
        return set()
    return set(event.provenance.merged_with or ())


def versions_named(event: Recorded) -> list[int]:
    """Of its stream, by an annotation. It speaks of nothing that was recorded after it: whoever wrote it had not seen
    that, and what is told today must not fall with a number that was mistyped long ago."""
    match event.fact:
        case MarkedInError(versions=versions) | MovedAway(versions=versions) | Assigned(versions=versions):
            return [version for version in versions if version < event.version]
        case Corrected(version=version) if version < event.version:
            return [version]
        case _:
            return []


def _speaks_of(event: Recorded) -> list[EventId]:
    return [EventId(event.stream_id, version) for version in versions_named(event)]


def _after(before: _Correction | None, told: Corrected, event: Recorded) -> _Correction:
    return _Correction(told, told.occurred or (before.occurred if before else None), event.position)


def _corrected(event: Recorded, correction: _Correction | None) -> Recorded:
    if correction is None:
        return event
    occurred = event.occurred if correction.occurred is None else parse(correction.occurred)
    fact = revived(correction.told.replaced_by, correction.told.replacement)
    return event._replace(fact=fact, occurred=occurred, corrected_at=correction.position)


def _as_moved(event: Recorded, told: MovedIn) -> Recorded:
    """It stands here, under its new id, as it was recorded there."""
    return event._replace(
        fact=revived(told.moved, told.fact),
        occurred=Occurred(told.occurred_at, told.precision),
        recorded_at=told.recorded_at,
        provenance_json=json.dumps(told.provenance, separators=(",", ":")).encode(),
    )


def sorts_at(event: Recorded) -> Occurred:
    """An event said to occur well after it was recorded sorts at its recording."""
    return Occurred(event.recorded_at) if is_ahead(event) else event.occurred


def is_ahead(event: Recorded) -> bool:
    """Whether its place depends on when it was recorded, which a decision does not know yet."""
    occurred, recorded_at = event.occurred, event.recorded_at
    return occurred.at > recorded_at and is_after(occurred, recorded_at, FUTURE_TOLERANCE)


def moment(event: Recorded) -> tuple[Any, ...]:
    """An event of a later moment stands after; those of the same moment stand in the order of their content."""
    occurred = sorts_at(event)
    return occurred.london_date, not occurred.is_date_only, occurred.at, RANK[type(event.fact)]


def _content_order_within_ties(placed: list[tuple[tuple[Any, ...], Recorded]]) -> list[Recorded]:
    """Facts of one kind and moment stand in an order that arrival cannot change."""
    moments = [at for at, _ in placed]
    if not any(map(eq, moments, moments[1:])):
        return [event for _, event in placed]
    result: list[Recorded] = []
    for _, ties in groupby(placed, key=_first):
        group = [event for _, event in ties]
        if len(group) > 1:
            group.sort(key=_content)
        result.extend(group)
    return result


def _content(event: Recorded) -> tuple[Any, ...]:
    """A month and its first day are one moment told twice, so the time as told counts too."""
    return fact_json(event.fact), event.occurred, event.stream_id, event.position, event.part
