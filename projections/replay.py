"""Any projection of one person at any moment: as known at a position of the log, and as it was on a date.

Going back in time never shows more: what a patient may see is decided by the gate of then and of now.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from domain.disclosure import as_seen_by_patient
from domain.facts import Recorded
from domain.history import effective, sorts_at
from projections.differences import difference
from projections.folding import Document, Projection, fold_all, fold_in_order
from projections.unfolding import changes


class Audience(StrEnum):
    """Whose eyes a document is for: patients see what the disclosure gate has opened."""

    STAFF = "staff"
    PATIENT = "patient"


class Moment(NamedTuple):
    """`position`: as known when the log ended there. `as_of`: as it was at the end of that London day."""

    position: int
    as_of: date | None = None


def replay(
    projections: Sequence[Projection], history: Iterable[Recorded], moment: Moment, audience: Audience
) -> dict[str, Document]:
    """Documents by name. `history` is everything recorded of one person until now."""
    recorded = list(history)
    known = [event for event in recorded if event.position <= moment.position]
    if audience is Audience.PATIENT:
        return fold_in_order(projections, _renumbered(_until(moment.as_of, _open_then_and_now(known, recorded))))
    if moment.as_of is None:
        return fold_all(projections, known)
    standing = [each for each in projections if each.input == "effective"]
    arrival = [each for each in projections if each.input == "recorded"]
    return {
        **fold_in_order(standing, _until(moment.as_of, effective(known))),
        **fold_in_order(arrival, _until(moment.as_of, known)),
    }


def steps(
    projections: Sequence[Projection], history: Iterable[Recorded], audience: Audience
) -> list[tuple[Recorded, list[dict[str, Any]]]]:
    """Each event as it was recorded with what it changed: JSON Pointers, before and after."""
    recorded = sorted(history, key=lambda event: event.position)
    if audience is Audience.STAFF:
        return list(zip(recorded, changes(projections, recorded), strict=True))
    return _steps_of_patient(projections, recorded)


def _steps_of_patient(
    projections: Sequence[Projection], recorded: Sequence[Recorded]
) -> list[tuple[Recorded, list[dict[str, Any]]]]:
    """What one event opens may lie anywhere, so every step is replayed."""
    before: Document = {}
    found = []
    for event in recorded:
        after = replay(projections, recorded, Moment(event.position), Audience.PATIENT)
        found.append((event, difference(before, after)))
        before = after
    return found


def _open_then_and_now(known: list[Recorded], recorded: list[Recorded]) -> list[Recorded]:
    then = as_seen_by_patient(effective(known))
    if len(known) == len(recorded):
        return then
    standing = effective(recorded)
    closed = {event.event_id for event in standing} - {event.event_id for event in as_seen_by_patient(standing)}
    return [event for event in then if event.event_id not in closed]


def _renumbered(seen: list[Recorded]) -> list[Recorded]:
    """Versions dense among what the patient sees: a gap in a stream would tell of an event that is not open."""
    counts: Counter[UUID] = Counter()
    renumbered = []
    for event in seen:
        counts[event.stream_id] += 1
        renumbered.append(event._replace(version=counts[event.stream_id]))
    return renumbered


def _until(as_of: date | None, events: Iterable[Recorded]) -> list[Recorded]:
    return [event for event in events if as_of is None or sorts_at(event).london_date <= as_of]
