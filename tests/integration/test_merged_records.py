"""Two records that become one, are parted again, and events that move between them: through the writer, in the log."""

from typing import Any
from uuid import UUID

import pytest

from domain.annotation import Assign, Correct, MarkInError, Move
from domain.care_plan import NeedRaised, RaiseNeed, ResolveNeed
from domain.facts import CARE_PLAN, PATIENT, Category, Command, Recorded, Target
from domain.pathway import PerformanceStatusAssessed
from domain.patient import CareLeadNamed, CareLeadRole, NameCareLead, PatientRegistered
from infra.writing.work import Act
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.records import Ward
from tests.works import MARCH, PATHWAY, PROVENANCE, called, message, part

pytestmark = pytest.mark.postgres

NURSE = NameCareLead(role=CareLeadRole.CANCER_NURSE_SPECIALIST, professional="n-1", name="Nia Made-Up")


@pytest.fixture
def ward(database: Database, writer: Writer) -> Ward:
    return Ward(database, writer)


def test_merge_then_unmerge_gives_back_exactly_what_was(ward: Ward) -> None:
    before = {each: ward.told(each) for each in (ward.first, ward.second)}
    assert ward.merge(ward.second, ward.first).outcome == "recorded"
    joined = ward.told(ward.first)
    assert joined.count("care-plan.need-raised.v1") == 2
    assert ward.told(ward.second) == joined

    assert ward.unmerge(ward.second, ward.first).outcome == "recorded"
    merging = ("patient.merge", "patient.unmerged")
    after = {each: [told for told in ward.told(each) if not told.startswith(merging)] for each in before}
    assert after == before


def test_a_merge_that_is_told_twice_is_recorded_once_and_a_circle_is_refused(ward: Ward) -> None:
    ward.merge(ward.second, ward.first)
    assert ward.merge(ward.second, ward.first).outcome == "nothing-new"
    assert ward.merge(ward.first, ward.second).outcome == "rejected"
    assert ward.unmerge(ward.first, ward.second).outcome == "rejected"


def test_a_command_sees_all_records_of_the_person_and_is_recorded_in_the_surviving_one(ward: Ward) -> None:
    ward.does(ward.second, (PATIENT, NURSE))
    ward.merge(ward.second, ward.first)
    assert ward.does(ward.first, (PATIENT, NURSE)).outcome == "nothing-new"  # the other record has her already
    assert ward.does(ward.second, (CARE_PLAN, ResolveNeed(need="1"))).outcome == "recorded"
    resolved = next(each for each in ward.history(ward.first) if each.fact.stored == "care-plan.need-resolved.v1")
    assert resolved.patient_id == ward.first
    assert resolved.provenance.merged_with == (ward.second,)


def test_what_was_written_while_merged_is_shown_on_neither_until_it_is_assigned(ward: Ward) -> None:
    ward.merge(ward.second, ward.first)
    ward.does(ward.first, (CARE_PLAN, RaiseNeed(need="3", concern="food")))
    ward.does(ward.first, (CARE_PLAN, RaiseNeed(need="4", concern="money")))
    written = [each for each in ward.history(ward.first) if each.provenance.merged_with]
    ward.unmerge(ward.second, ward.first)
    assert {each.fact.need for each in needs(ward, ward.first)} == {"1"}
    assert {each.fact.need for each in needs(ward, ward.second)} == {"2"}
    # a decision does not see it either
    assert ward.does(ward.first, (CARE_PLAN, ResolveNeed(need="3"))).outcome == "rejected"

    stay, go = written
    ward.does(ward.first, on(stay, Assign(versions=(stay.version,), reason="hers")))
    ward.does(ward.first, to(go, ward.second))
    assert {each.fact.need for each in needs(ward, ward.first)} == {"1", "3"}
    assert {each.fact.need for each in needs(ward, ward.second)} == {"2", "4"}
    assert ward.does(ward.first, (CARE_PLAN, ResolveNeed(need="3"))).outcome == "recorded"


def test_a_moved_event_stands_in_the_other_record_under_its_key_and_can_be_moved_back(ward: Ward) -> None:
    (need,) = needs(ward, ward.first)
    ward.does(ward.first, to(need, ward.second))
    assert needs(ward, ward.first) == []
    moved = next(each for each in needs(ward, ward.second) if each.fact == need.fact)
    assert (moved.occurred, moved.recorded_at) == (need.occurred, need.recorded_at)
    assert moved.provenance == need.provenance
    assert ward.does(ward.first, (CARE_PLAN, ResolveNeed(need="1"))).outcome == "rejected"
    assert ward.does(ward.second, (CARE_PLAN, ResolveNeed(need="1"))).outcome == "recorded"

    ward.does(ward.second, to(moved, ward.first))
    assert [each.fact for each in needs(ward, ward.first)] == [need.fact]
    assert ward.does(ward.first, to(need, ward.second)).outcome == "rejected"  # it stands under another id now


def test_a_moved_pathway_stands_in_a_stream_of_its_own_and_can_be_added_to(ward: Ward) -> None:
    status = PerformanceStatusAssessed(scale="ECOG", value="2")
    ward.writer.submit(message("status", [part((PATHWAY, status), patient=called("1"))]))
    event = next(each for each in ward.history(ward.first) if each.fact == status)
    ward.does(ward.first, to(event, ward.second))
    moved = next(each for each in ward.history(ward.second) if each.fact == status)
    assert moved.stream_id == Target(Category.PATHWAY, f"moved|{event.stream_id}").stream_id(ward.second)
    correction = Correct(version=moved.version, replacement={"scale": "ECOG", "value": "1"}, reason="mistyped")
    assert ward.does(ward.second, on(moved, correction)).outcome == "recorded"
    assert PerformanceStatusAssessed(scale="ECOG", value="1") in [each.fact for each in ward.history(ward.second)]


def test_marks_and_corrections_of_what_is_not_there_are_refused(ward: Ward) -> None:
    (need,) = needs(ward, ward.first)
    registered = next(each for each in ward.history(ward.first) if isinstance(each.fact, PatientRegistered))
    for act in (
        on(need, MarkInError(versions=(9,), reason="x")),
        on(need, Correct(version=need.version, replacement={"need": 1}, reason="x")),
        on(need, Correct(version=need.version, occurred="yesterday", reason="x")),
        on(need, Assign(versions=(need.version,), reason="x")),
        on(registered, MarkInError(versions=(registered.version,), reason="x")),
        to(need, ward.first),
        to(need, UUID(int=7)),
    ):
        assert ward.does(ward.first, act).outcome == "rejected"
    corrected = Correct(version=need.version, occurred="2026-02-01", reason="x")
    assert ward.does(ward.first, on(need, corrected)).outcome == "recorded"
    assert ward.does(ward.first, on(need, corrected)).outcome == "nothing-new"
    assert needs(ward, ward.first)[0].occurred.words() == "2026-02-01"


def test_another_writer_that_does_not_know_of_a_merge_decides_again(ward: Ward) -> None:
    other = Writer(ward.database.log(), ward.database.keys)
    try:
        nia = Act(PATIENT, NURSE, MARCH, PROVENANCE)
        other.submit(message("warm", [part((CARE_PLAN, ResolveNeed(need="9")), patient=ward.first)]))
        ward.does(ward.second, (PATIENT, NURSE))
        ward.merge(ward.second, ward.first)
        assert other.submit(message("late", [part(nia, patient=ward.first)])).outcome == "nothing-new"
    finally:
        other.close()
    leads = [each.fact for each in ward.history(ward.first) if isinstance(each.fact, CareLeadNamed)]
    assert len(leads) == 1


def needs(ward: Ward, patient: UUID) -> list[Any]:
    return [each for each in ward.history(patient) if isinstance(each.fact, NeedRaised)]


def on(event: Recorded, command: Command) -> Act:
    category = Category(event.fact.stored.split(".")[0])
    return Act(Target(category), command, MARCH, PROVENANCE, stream_id=event.stream_id)


def to(event: Recorded, patient: UUID) -> Act:
    category = Category(event.fact.stored.split(".")[0])
    key = "" if category in (Category.PATIENT, Category.CARE_PLAN) else f"moved|{event.stream_id}"
    command = Move(versions=(event.version,), to=patient, reason="wrong number")
    return Act(Target(category, key), command, MARCH, PROVENANCE, stream_id=event.stream_id, patient_id=patient)
