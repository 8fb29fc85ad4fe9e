"""The fold of the record: pathways, referrals, appointments, conditions and death."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.annotation import Corrected, MarkedInError
from domain.appointment import (
    AppointmentAttended,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCancelledByPatient,
    AppointmentCancelledByProvider,
    AppointmentNotAttended,
    ChangeConfirmed,
    ChangeRefused,
    ChangeRequestedByPatient,
)
from domain.facts import Coding, Fact, Target
from domain.pathway import (
    CancerRuledOut,
    DiagnosisAgreed,
    InformedOfOutcome,
    InvestigationPerformed,
    InvestigationReported,
    InvestigationRequested,
    PathwayClosed,
    ResultAcknowledgedByClinician,
    StagedBeforeTreatment,
    StagedIntegrated,
    StageFinding,
    Told,
    TreatmentEnded,
    TreatmentStarted,
)
from domain.patient import DeathRecordedFormally, DeathReportedInformally
from domain.referral import (
    Priority,
    ReferralAccepted,
    ReferralDowngraded,
    ReferralReceived,
    ReferralRejected,
    ReferralTransferredToProvider,
)
from domain.times import parse
from projections.folds.folding import fold_all
from projections.folds.record import RECORD
from tests.builders import PATIENT_ID, in_turn, pathway, recorded, target_of

MORNING = datetime(2026, 1, 12, 9, 30, tzinfo=UTC)
AFTERNOON = MORNING.replace(hour=14)


def record(*told: Fact | tuple[Target, Fact]) -> Any:
    acts = [each if isinstance(each, tuple) else (target_of(each), each) for each in told]
    return fold_all([RECORD], in_turn(*acts))["record"]


def pathway_of(*facts: Fact) -> Any:
    (found,) = record(*facts)["pathways"]
    return found


def appointment_of(*facts: Fact) -> Any:
    (found,) = record(*facts)["appointments"]
    return found


def referral_of(*facts: Fact) -> Any:
    (found,) = record(*facts)["referrals"]
    return found


def staged(axis: str, value: str) -> StageFinding:
    return StageFinding(axis=axis, value=value)


def test_a_pathway_without_a_diagnosis_says_that_none_is_recorded() -> None:
    found = pathway_of(TreatmentStarted(treatment="t"))
    assert (found["diagnosis"], found["ruled_out"]) == ("not-recorded", "not-recorded")
    assert found["treatments"][0]["modality"] == "not-recorded"


def test_pathways_of_two_cancers_stay_apart() -> None:
    left, right = DiagnosisAgreed(icd10="C50.9"), DiagnosisAgreed(icd10="C18.7")
    found = record((pathway("left"), left), (pathway("right"), right))["pathways"]
    assert [each["diagnosis"]["icd10"] for each in found] == ["C50.9", "C18.7"]


def test_a_diagnosis_keeps_codes_certainty_and_the_precision_of_its_date() -> None:
    agreed = DiagnosisAgreed(codes=(Coding(system="s", code="c"),), certainty="confirmed")
    events = recorded([(pathway(), agreed, parse("2026-02"))])
    diagnosis = fold_all([RECORD], events)["record"]["pathways"][0]["diagnosis"]
    assert (diagnosis["occurred"], diagnosis["precision"]) == ("2026-02", "month")
    assert (diagnosis["codes"][0]["code"], diagnosis["certainty"], diagnosis["icd10"]) == (
        "c",
        "confirmed",
        "not-recorded",
    )
    assert diagnosis["because"] == f"{pathway().stream_id(PATIENT_ID)}/1"


def test_a_later_diagnosis_keeps_the_earlier_one() -> None:
    found = pathway_of(DiagnosisAgreed(icd10="C50.9"), DiagnosisAgreed(icd10="C50.1"))
    assert found["diagnosis"]["icd10"] == "C50.1"
    assert [each["icd10"] for each in found["earlier_diagnoses"]] == ["C50.9"]


def test_the_integrated_stage_never_overwrites_the_one_before_treatment() -> None:
    found = pathway_of(
        StagedBeforeTreatment(findings=(staged("T", "2"),), edition="8"),
        StagedBeforeTreatment(findings=(staged("N", "0"),)),
        StagedIntegrated(findings=(staged("T", "1"),)),
        StagedIntegrated(findings=(staged("T", "1c"),)),
    )
    before = [(each["axis"], each["value"], each["edition"]) for each in found["staged_before_treatment"]]
    assert before == [("T", "2", "8"), ("N", "0", "not-recorded")]
    assert [(each["axis"], each["value"]) for each in found["staged_integrated"]] == [("T", "1c")]


def test_an_investigation_is_one_from_request_to_acknowledgement() -> None:
    (scan,) = pathway_of(
        InvestigationRequested(investigation="i", name="CT"),
        InvestigationPerformed(investigation="i"),
        InvestigationReported(investigation="i", result="clear"),
        ResultAcknowledgedByClinician(investigation="i", professional="s1"),
    )["investigations"]
    assert [scan[step]["value"] for step in ("requested", "performed", "reported")] == ["yes"] * 3
    assert (scan["name"], scan["result"], scan["acknowledged"]["professional"]) == ("CT", "clear", "s1")


def test_what_the_patient_was_told_and_when() -> None:
    informed = InformedOfOutcome(told=(Told(what="diagnosis"), Told(what="stage", code="c")), professional="s1")
    told = pathway_of(informed)["told"]
    assert [(each["what"], each["code"]) for each in told] == [("diagnosis", "not-recorded"), ("stage", "c")]
    assert {each["occurred"] for each in told} == {"2026-01-01"}


def test_a_pathway_is_in_treatment_until_the_last_treatment_ended() -> None:
    two = [TreatmentStarted(treatment="a"), TreatmentStarted(treatment="b"), TreatmentEnded(treatment="a")]
    assert pathway_of(*two)["status"]["value"] == "in-treatment"
    over = pathway_of(*two, TreatmentEnded(treatment="b", reason="as planned"))
    assert over["status"]["value"] == "treatment-ended"
    assert [each["end_reason"] for each in over["treatments"]] == ["not-recorded", "as planned"]


def test_the_end_of_a_treatment_without_a_recorded_start() -> None:
    (treatment,) = pathway_of(TreatmentEnded(treatment="a"))["treatments"]
    assert (treatment["started"], treatment["ended"]["value"]) == ({"value": "not-recorded"}, "yes")


def test_the_last_status_stands() -> None:
    assert pathway_of(DiagnosisAgreed(icd10="C50.9"), CancerRuledOut())["status"]["value"] == "ruled-out"
    assert pathway_of(PathwayClosed())["status"]["value"] == "closed"


def test_a_second_booking_for_another_time_is_a_reschedule() -> None:
    found = appointment_of(AppointmentBooked(start=MORNING, place="Clinic 3"), AppointmentBooked(start=AFTERNOON))
    assert (found["status"]["value"], found["rescheduled"]) == ("booked", "yes")
    assert found["start"] == "2026-01-12T14:30:00Z"
    assert found["bookings"][1]["rescheduled_from"] == "2026-01-12T09:30:00Z"
    assert found["place"] == "Clinic 3"


def test_a_second_booking_for_the_same_time_only_tells_more() -> None:
    told = (AppointmentBooked(start=MORNING), AppointmentBooked(start=MORNING, place="Clinic 3"), AppointmentBooked())
    found = appointment_of(*told)
    assert (found["rescheduled"], found["place"], len(found["bookings"])) == ("no", "Clinic 3", 3)


@pytest.mark.parametrize(
    ("fact", "status"),
    [
        (AppointmentAttended(), "attended"),
        (AppointmentNotAttended(), "not-attended"),
        (AppointmentCancelled(), "cancelled"),
        (AppointmentCancelledByPatient(), "cancelled-by-patient"),
        (AppointmentCancelledByProvider(reason="closed"), "cancelled-by-provider"),
        (ChangeRequestedByPatient(wish="cancel"), "change-requested"),
    ],
)
def test_what_came_of_an_appointment(fact: Fact, status: str) -> None:
    found = appointment_of(AppointmentBooked(start=MORNING), fact)
    assert (found["status"]["value"], found["start"]) == (status, "2026-01-12T09:30:00Z")


def test_the_old_slot_stands_until_the_hospital_answers_a_wish() -> None:
    asked = (AppointmentBooked(start=MORNING), ChangeRequestedByPatient(wish="reschedule"))
    refused = appointment_of(*asked, ChangeRefused(reason="full"))
    assert refused["status"]["value"] == "booked"
    assert refused["changes"][0]["answer"]["value"] == "refused"
    confirmed = appointment_of(*asked, ChangeConfirmed(), AppointmentBooked(start=AFTERNOON))
    assert (confirmed["status"]["value"], confirmed["rescheduled"]) == ("booked", "yes")


def test_an_attended_appointment_needs_no_booking() -> None:
    found = appointment_of(AppointmentAttended(start=MORNING, reasons=(Coding(system="s", code="c"),)))
    assert (found["status"]["value"], found["bookings"], found["rescheduled"]) == ("attended", [], "not-recorded")


def test_a_referral_shows_its_present_priority_and_provider_and_each_step() -> None:
    received = ReferralReceived(priority=Priority.URGENT_SUSPECTED_CANCER, provider="RXX", ubrn="1")
    found = referral_of(
        received,
        ReferralDowngraded(to=Priority.ROUTINE),
        ReferralTransferredToProvider(provider="RYY"),
        ReferralAccepted(),
    )
    assert (found["priority"]["value"], found["provider"]["value"]) == ("routine", "RYY")
    assert (found["status"]["value"], found["ubrn"]) == ("accepted", "1")
    assert [each["step"] for each in found["steps"]] == ["downgraded", "transferred", "accepted"]


def test_an_answer_to_a_referral_that_never_arrived() -> None:
    found = referral_of(ReferralRejected(reason="wrong service"))
    assert (found["status"]["value"], found["priority"]) == ("rejected", {"value": "not-recorded"})


def test_death_by_hearsay_is_not_the_formal_notice() -> None:
    told = record(DeathReportedInformally(on="2026-12-01"))
    assert (told["death"]["formally"], told["death"]["informally"]["on"]) == ("not-recorded", "2026-12-01")
    assert record(DeathRecordedFormally())["death"]["formally"]["on"] == "not-recorded"


def test_corrections_count_and_errors_fall_away() -> None:
    wrong = (pathway(), DiagnosisAgreed(icd10="C50.9"))
    right = {"icd10": "C50.1"}
    corrected = Corrected(version=1, replaced_by=DiagnosisAgreed.stored, replacement=right)
    assert record(wrong, (pathway(), corrected))["pathways"][0]["diagnosis"]["icd10"] == "C50.1"
    assert record(wrong, (pathway(), MarkedInError(versions=(1,))))["pathways"] == []
