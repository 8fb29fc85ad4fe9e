"""Holds and the end of a record: the rules, and what stands of a record whose key is gone."""

from datetime import UTC, datetime

import pytest

from domain.annotation import Destroyed
from domain.care_plan import NeedRaised
from domain.disclosure import as_seen_by_patient
from domain.facts import CARE_PLAN, PATIENT, Category, Command, Fact, NotAllowed
from domain.history import Growing, effective
from domain.patient import DemographicsRecorded, Name
from domain.retention import (
    DestroyKey,
    KeyDestroyed,
    LiftRetentionHold,
    PlaceRetentionHold,
    RetentionHoldLifted,
    RetentionHoldPlaced,
)
from domain.stream import Stream
from infra.keys import FileKeyProvider, KeyRing
from infra.payloads import in_clear, recorded, seal
from tests.builders import PATIENT_ID, day, in_turn

AT = datetime(2026, 3, 1, tzinfo=UTC)
HELD = RetentionHoldPlaced(hold="inquiry-7", reason="coroner")
DESTROY = DestroyKey(reason="retention ended", requested_by="a", requested_at=AT, confirmed_by="b", confirmed_at=AT)


def decided(command: Command, *before: Fact) -> list[Fact]:
    stream = Stream(PATIENT_ID, Category.PATIENT, in_turn(*((PATIENT, fact) for fact in before)))
    return [each.fact for each in stream.decide(command, day(40))]


def test_a_hold_is_placed_once_and_lifted_by_its_name() -> None:
    assert decided(PlaceRetentionHold(hold="inquiry-7", reason="coroner")) == [HELD]
    assert decided(PlaceRetentionHold(hold="inquiry-7"), HELD) == []
    assert decided(PlaceRetentionHold(hold="claim"), HELD) == [RetentionHoldPlaced(hold="claim")]
    assert decided(LiftRetentionHold(hold="inquiry-7"), HELD) == [RetentionHoldLifted(hold="inquiry-7")]
    for before in ((), (HELD, RetentionHoldLifted(hold="inquiry-7"))):
        with pytest.raises(NotAllowed, match="no hold of this name"):
            decided(LiftRetentionHold(hold="inquiry-7"), *before)


def test_a_hold_may_be_placed_again_after_it_was_lifted() -> None:
    lifted = RetentionHoldLifted(hold="inquiry-7")
    assert decided(PlaceRetentionHold(hold="inquiry-7", reason="again"), HELD, lifted) == [
        RetentionHoldPlaced(hold="inquiry-7", reason="again")
    ]


def test_no_key_is_destroyed_while_any_hold_stands() -> None:
    assert decided(DESTROY) == [KeyDestroyed(**DESTROY.model_dump())]
    lifted = RetentionHoldLifted(hold="inquiry-7")
    assert decided(DESTROY, HELD, lifted) == [KeyDestroyed(**DESTROY.model_dump())]
    with pytest.raises(NotAllowed, match="hold stands"):
        decided(DESTROY, HELD, RetentionHoldPlaced(hold="claim"), lifted)


def test_the_two_people_are_two() -> None:
    with pytest.raises(NotAllowed, match="another than the one who asked"):
        decided(DESTROY.model_copy(update={"confirmed_by": "A"}))


def test_patients_are_not_told_of_the_keeping_of_records() -> None:
    events = in_turn((PATIENT, HELD), (PATIENT, DemographicsRecorded(name=Name(family="X"))))
    assert [type(each.fact) for each in as_seen_by_patient(effective(events))] == [DemographicsRecorded]


def test_tombstones_stand_in_no_effective_history() -> None:
    gone = Destroyed(was="care-plan.need-raised.v1")
    events = in_turn((CARE_PLAN, gone), (CARE_PLAN, NeedRaised(need="1", concern="c")), (CARE_PLAN, gone))
    assert effective(events) == [events[1]]
    growing = Growing()
    for each in events:
        growing.add(each)
    assert growing.events == [events[1]]


def test_without_its_key_an_event_comes_back_as_a_tombstone() -> None:
    row = (7, AT, PATIENT_ID, 3, PATIENT_ID, 5, "patient.about-me-written.v1", AT, b"D", b"sealed")
    found = recorded(row, None)
    assert found.fact == Destroyed(was="patient.about-me-written.v1")
    assert (found.position, found.version, found.patient_seq) == (7, 3, 5)
    assert found.provenance.source == "destroyed"


def test_the_event_that_tells_of_it_is_read_with_or_without_a_key() -> None:
    fact = KeyDestroyed(**DESTROY.model_dump())
    payload = in_clear(fact, b'{"source":"custody","source_event_id":"1"}')
    row = (7, AT, PATIENT_ID, 3, PATIENT_ID, 5, fact.stored, AT, b"I", payload)
    assert recorded(row, None).fact == fact
    assert recorded(row, None).provenance.source == "custody"


def test_nobody_seals_the_event_that_tells_of_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    FileKeyProvider.generate(path)
    key, _ = KeyRing(FileKeyProvider(path)).generate(PATIENT_ID)
    with pytest.raises(ValueError, match="only a custodian"):
        seal(key, PATIENT_ID, 1, KeyDestroyed.stored, b"{}", b"{}")
