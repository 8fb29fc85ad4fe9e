"""What the past of a person is made of, and which of it may still be seen.

Going back in time never shows more: what is open was open then and is open now. What was moved to another patient, or
stands in a record that is no part of this person any more, is shown to auditors alone.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from domain.annotation import Destroyed
from domain.disclosure import as_seen_by_patient
from domain.facts import EventId, Recorded
from domain.history import effective, elsewhere, sorts_at
from domain.patient import RestrictionApplied
from domain.persons import Persons
from projections.folds.folding import fold_in_order
from projections.folds.patient_index import PATIENT_INDEX


class Audience(StrEnum):
    """Whose eyes a document is for: patients see what the disclosure gate has opened, auditors what stood then."""

    STAFF = "staff"
    AUDITOR = "auditor"
    PATIENT = "patient"


class Moment(NamedTuple):
    """`position`: as known when the log ended there. `as_of`: as it was at the end of that London day."""

    position: int
    as_of: date | None = None


class History(NamedTuple):
    """Everything recorded, in order of position, of one record and of all that ever were one person with it.
    `head` is the log's end."""

    patient_id: UUID
    events: list[Recorded]
    persons: Persons
    head: int

    def of_person(self, position: int | None = None) -> list[Recorded]:
        """What was known at a position (None: now) of the person as whom this record stood then."""
        members = self.members(position)
        return [
            event
            for event in self.events
            if event.patient_id in members and (position is None or event.position <= position)
        ]

    def members(self, position: int | None = None) -> frozenset[UUID]:
        return self.persons.members(self.persons.person_of(self.patient_id, position), position)

    @property
    def is_of_one_record(self) -> bool:
        return self.persons.is_alone(self.patient_id)


class Shown(NamedTuple):
    """What an audience may see of a moment: `standing` in the order of the effective history, `arrived` in the order
    of recording. `is_withheld`: it is restricted now, so what would be withheld now is withheld then too."""

    standing: list[Recorded]
    arrived: list[Recorded]
    is_withheld: bool


def shown(history: History, moment: Moment, audience: Audience) -> Shown:
    then, now = history.of_person(moment.position), history.of_person()
    is_withheld = is_restricted(now)
    if audience is not Audience.AUDITOR:
        then = _still_theirs(then, now, history.members())
    if audience is Audience.PATIENT:
        seen = _renumbered(_until(moment.as_of, _open_then_and_now(then, now)))
        return Shown(seen, seen, is_withheld)
    return Shown(_until(moment.as_of, effective(then)), _until(moment.as_of, then), is_withheld)


def destroyed(history: History, moment: Moment, audience: Audience) -> int:
    """How many events of that moment say nothing any more, since their key was destroyed: what a document of that
    moment does not have may have stood in one of them. None of it is for patients."""
    known = _until(moment.as_of, history.of_person(moment.position))
    gone = [event for event in known if isinstance(event.fact, Destroyed)]
    match audience:
        case Audience.PATIENT:
            return 0
        case Audience.STAFF:
            return sum(event.patient_id in history.members() for event in gone)
        case Audience.AUDITOR:
            return len(gone)


def is_restricted(history: list[Recorded]) -> bool:
    if not any(isinstance(event.fact, RestrictionApplied) for event in history):
        return False
    index = fold_in_order([PATIENT_INDEX], effective(history))[PATIENT_INDEX.name]
    return bool(index["restricted"]["value"] == "yes")


def _still_theirs(then: list[Recorded], now: list[Recorded], members: frozenset[UUID]) -> list[Recorded]:
    gone = elsewhere(now)
    return [event for event in then if event.patient_id in members and event.event_id not in gone]


def _open_then_and_now(then: list[Recorded], now: list[Recorded]) -> list[Recorded]:
    seen = as_seen_by_patient(effective(then))
    if len(then) == len(now):
        return seen
    standing = effective(now)
    closed = {_fact(event) for event in standing} - {_fact(event) for event in as_seen_by_patient(standing)}
    return [event for event in seen if _fact(event) not in closed]


def _fact(event: Recorded) -> tuple[EventId, int]:
    """The gate may open one of several facts as which an event of an older version is read, and not another."""
    return event.event_id, event.part


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
