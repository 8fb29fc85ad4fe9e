"""What people may say of events that were recorded wrongly: in error, otherwise, of someone else.

Decided on one stream, whoever its record is part of; the facts are in `annotation`, their effect in `history`.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from domain.annotation import (
    Assign,
    Assigned,
    Correct,
    Corrected,
    MarkedInError,
    MarkInError,
    Move,
    MovedAway,
    MovedIn,
    Retract,
    Withdrawn,
)
from domain.catalogue import category_of, fact_class
from domain.evolution import Several
from domain.facts import (
    CARE_PLAN,
    NOTHING_NEW,
    PATIENT,
    Category,
    Command,
    Fact,
    NotAllowed,
    NotFound,
    Recorded,
    Target,
)
from domain.history import effective
from domain.merging import FACTS as OF_MERGING
from domain.patient import IdentifierLinked, PatientRegistered
from domain.times import parse
from domain.withdrawal import credible

# Everything recorded in one stream, oldest first.
Events = Sequence[Recorded]
# What ties a record to a person; corrected by linking, merging and parting.
_OF_IDENTITY: tuple[type[Fact], ...] = (PatientRegistered, IdentifierLinked, *OF_MERGING)


class Relocation(NamedTuple):
    """A move, as it is recorded: one event in the stream that is left, one for each event in the other."""

    away: MovedAway
    into: tuple[MovedIn, ...]


def retract(events: Events, command: Retract) -> tuple[Fact, ...]:
    """Also where nothing stands: what is withdrawn may still be on its way."""
    if any(_withdraws(event, command.as_of) for event in events):
        return NOTHING_NEW
    return (Withdrawn(as_of=command.as_of, reason=command.reason),)


def _withdraws(event: Recorded, as_of: datetime) -> bool:
    """Whether it is the same withdrawal, or a later one, which takes all that this one would."""
    if not isinstance(event.fact, Withdrawn):
        return False
    return event.fact.as_of == as_of or credible(event.fact.as_of, event.recorded_at) >= as_of


def mark_in_error(events: Events, command: MarkInError) -> tuple[Fact, ...]:
    _changeable(events, command.versions)
    return (MarkedInError(versions=command.versions, reason=command.reason),)


def correct(events: Events, command: Correct) -> tuple[Fact, ...]:
    """The replacement is a fact of the same kind: what is of another kind is marked in error and told anew."""
    (event,) = _changeable(events, (command.version,))
    _refuse_several(events, (command.version,))
    fact = _replacement(event, command.replacement)
    occurred = None if command.occurred is None else _parsed(command.occurred)
    if fact == event.fact and occurred in (None, event.occurred.words()):
        return NOTHING_NEW
    told = fact.model_dump(mode="json", exclude_none=True)
    return (
        Corrected(
            version=command.version, replaced_by=fact.stored, replacement=told, occurred=occurred, reason=command.reason
        ),
    )


def assign(events: Events, command: Assign) -> tuple[Fact, ...]:
    """Only what was written in view of several records needs assigning; saying it again is harmless."""
    told = _changeable(events, command.versions)
    if any(event.provenance.merged_with is None for event in told):
        raise NotAllowed("this was not written while records were merged; it stands where it is")
    assigned = {version for event in events if isinstance(event.fact, Assigned) for version in event.fact.versions}
    left = tuple(event.version for event in told if event.version not in assigned)
    return (Assigned(versions=left, reason=command.reason),) if left else NOTHING_NEW


def relocate(events: Events, command: Move) -> Relocation:
    """Raises NotFound, NotAllowed."""
    moving = _changeable(events, command.versions)
    _refuse_several(events, command.versions)
    if any(event.patient_id == command.to for event in moving):
        raise NotAllowed("the event is this patient's already")
    into = tuple(_moved_in(event, command) for event in moving)
    return Relocation(MovedAway(versions=command.versions, to_patient=command.to, reason=command.reason), into)


def place_in_other_record(event: Recorded) -> Target:
    """Where a moved event stands by default: whoever has one such stream has it there; a pathway, referral or
    appointment goes into a stream of its own, since the source's key for it is not known."""
    match category_of(type(event.fact)):
        case Category.PATIENT:
            return PATIENT
        case Category.CARE_PLAN:
            return CARE_PLAN
        case Category() as category:
            return Target(category, f"moved|{event.stream_id}")
        case _:
            raise NotAllowed("an annotation is not moved")


def _standing(events: Events) -> list[Recorded]:
    return effective(events, of_one_stream=True)


def _changeable(events: Events, versions: tuple[int, ...]) -> list[Recorded]:
    by_version = {event.version: event for event in _standing(events)}
    missing = [version for version in versions if version not in by_version]
    if missing or not versions:
        raise NotFound("no such event stands in this stream")
    found = [by_version[version] for version in dict.fromkeys(versions)]
    if any(isinstance(event.fact, _OF_IDENTITY) for event in found):
        raise NotAllowed("what identifies a record is not corrected here; merge or part records instead")
    return found


def _refuse_several(events: Events, versions: tuple[int, ...]) -> None:
    if any(isinstance(event.fact, Several) and event.version in versions for event in events):
        raise NotAllowed(
            "this event of an older version stands for several facts; mark it in error and record them anew"
        )


def _replacement(event: Recorded, told: dict[str, Any] | None) -> Fact:
    if told is None:
        return event.fact
    try:
        replacement: Fact = fact_class(event.fact.stored).model_validate(told)
    except ValidationError as error:
        places = ", ".join("/".join(map(str, each["loc"])) for each in error.errors(include_input=False)[:5])
        raise NotAllowed(f"the replacement is not a {event.fact.stored}: look at {places}") from None
    return replacement


def _parsed(told: str) -> str:
    try:
        return parse(told).words()
    except (ValueError, OverflowError):
        raise NotAllowed("`occurred` is a year, month, date or an instant with an offset") from None


def _moved_in(event: Recorded, command: Move) -> MovedIn:
    return MovedIn(
        from_patient=event.patient_id,
        from_stream=event.stream_id,
        from_version=event.version,
        moved=event.fact.stored,
        fact=event.fact.model_dump(mode="json", exclude_none=True),
        occurred_at=event.occurred.at,
        precision=event.occurred.precision,
        recorded_at=event.recorded_at,
        # in whose view it was written does not matter where someone has now put it
        provenance={name: each for name, each in json.loads(event.provenance_json).items() if name != "merged_with"},
        reason=command.reason,
    )


# Command class to its rule: (events of the stream, command) -> facts for the same stream.
DECISIONS: dict[type[Command], Callable[[Events, Any], tuple[Fact, ...]]] = {
    Retract: retract,
    MarkInError: mark_in_error,
    Correct: correct,
    Assign: assign,
}
