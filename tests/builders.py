"""Histories for tests: recorded events with dense positions, made from (target, fact, occurred)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from domain.facts import CARE_PLAN, PATIENT, Agent, Category, Fact, Provenance, Recorded, Target
from domain.persons import Merge, Persons
from domain.times import Occurred, on
from projections.past.moments import History

PATIENT_ID = UUID("00000000-0000-7000-8000-000000000001")
FIRST_RECORDING = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
REPORTED = Provenance(source="/nhs/england/RXX/pas/test", source_event_id="m-1", organisation="RXX")
WRITTEN_BY_PATIENT = REPORTED.model_copy(update={"author": Agent(kind="patient", name="Made Up")})

Happening: TypeAlias = tuple[Target, Fact, Occurred]


def pathway(key: str = "breast") -> Target:
    return Target(Category.PATHWAY, key)


def appointment(key: str = "first") -> Target:
    return Target(Category.APPOINTMENT, key)


def referral(key: str = "gp") -> Target:
    return Target(Category.REFERRAL, key)


def day(number: int) -> Occurred:
    """The day that many days after 1 January 2026, as a date without time."""
    return on(date(2026, 1, 1) + timedelta(days=number))


def target_of(fact: Fact, key: str = "a") -> Target:
    """A stream in which this fact may stand; annotations may stand in any and get the plan."""
    word = fact.stored.split(".", 1)[0]
    if word in ("annotation", Category.CARE_PLAN):
        return CARE_PLAN
    return PATIENT if word == Category.PATIENT else Target(Category(word), key)


def recorded(
    happenings: Iterable[Happening], provenance: Provenance | Sequence[Provenance] = REPORTED
) -> list[Recorded]:
    """Positions from 1 and versions by stream in the order given, one recorded a second after the other."""
    versions: dict[UUID, int] = {}
    events = []
    for position, (target, fact, occurred) in enumerate(happenings, start=1):
        stream_id = target.stream_id(PATIENT_ID)
        versions[stream_id] = versions.get(stream_id, 0) + 1
        origin = provenance if isinstance(provenance, Provenance) else provenance[position - 1]
        events.append(
            Recorded(
                position=position,
                recorded_at=FIRST_RECORDING + timedelta(seconds=position),
                stream_id=stream_id,
                version=versions[stream_id],
                patient_id=PATIENT_ID,
                patient_seq=position,
                occurred=occurred,
                fact=fact,
                provenance_json=origin.model_dump_json(exclude_none=True).encode(),
            )
        )
    return events


def in_turn(*acts: tuple[Target, Fact]) -> list[Recorded]:
    """Each act a day after the one before it, recorded in the order in which it happened."""
    return recorded([(target, fact, day(number)) for number, (target, fact) in enumerate(acts)])


def past_of(events: Sequence[Recorded], merges: Iterable[Merge] = ()) -> History:
    """What is read of the one record, whose events these are."""
    return History(PATIENT_ID, list(events), Persons(merges), max((event.position for event in events), default=0))


def plan_of(*facts: Fact) -> list[Recorded]:
    """Facts of the plan and the patient, a day apart."""
    return in_turn(*((target_of(fact), fact) for fact in facts))
