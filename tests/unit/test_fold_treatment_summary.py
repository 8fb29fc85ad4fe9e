"""The drafted end-of-treatment summary: sixteen headings, each line with its event, gaps with who could fill them."""

from datetime import UTC, datetime
from typing import Any

from domain.appointment import AppointmentAttended, AppointmentBooked
from domain.care_plan import (
    ActionAgreed,
    ActionFinished,
    ContingencyPlanSet,
    SupportAccepted,
    SupportDeclined,
    SupportOffered,
)
from domain.facts import Coding, Fact, Target
from domain.pathway import (
    DiagnosisAgreed,
    Intent,
    Modality,
    StagedBeforeTreatment,
    StageFinding,
    TreatmentEnded,
    TreatmentStarted,
)
from domain.patient import CareLeadNamed, CareLeadRole, DemographicsRecorded, Name, RestrictionApplied
from domain.times import parse
from projections.folds.folding import fold_all
from projections.folds.treatment_summary import TREATMENT_SUMMARY
from tests.builders import PATIENT_ID, in_turn, pathway, recorded, target_of

AGREED = DiagnosisAgreed(icd10="C50.9", name="Breast cancer", laterality=Coding(system="s", code="L", display="Left"))
STARTED = TreatmentStarted(treatment="t", modality=Modality.SURGERY, name="Wide local excision", intent=Intent.CURATIVE)


def drafts(*told: Fact | tuple[Target, Fact]) -> Any:
    acts = [each if isinstance(each, tuple) else (target_of(each), each) for each in told]
    return fold_all([TREATMENT_SUMMARY], in_turn(*acts))["treatment_summary"]["drafts"]


def heading(key: str, *told: Fact) -> Any:
    (draft,) = drafts(*told) or drafts(*told, DiagnosisAgreed(icd10="C50.9"))  # a draft needs a pathway
    (found,) = (each for each in draft["headings"] if each["heading"] == key)
    return found


def texts(key: str, *told: Fact) -> list[str]:
    return [line["text"] for line in heading(key, *told)["lines"]]


def test_nothing_is_drafted_before_a_pathway_says_anything() -> None:
    assert drafts() == []


def test_each_of_sixteen_headings_says_who_could_fill_it() -> None:
    (draft,) = drafts(DiagnosisAgreed(icd10="C50.9"))
    assert (draft["pathway"], draft["status"], len(draft["headings"])) == ("not-recorded", "draft", 16)
    empty = [each for each in draft["headings"] if not each["lines"]]
    assert len(empty) == 14
    for each in empty:
        assert all(gap["what"] and gap["could_be_given_by"] for gap in each["not_recorded"])
        assert each["not_recorded"]


def test_each_treated_pathway_has_a_draft_of_its_own() -> None:
    left, right, untreated = pathway("left"), pathway("right"), pathway("untreated")
    found = drafts(
        (left, AGREED), (left, STARTED), (right, STARTED), (untreated, DiagnosisAgreed(icd10="C18.7", name="Bowel"))
    )
    assert [each["pathway"] for each in found] == [str(each.stream_id(PATIENT_ID)) for each in (left, right)]
    assert "Bowel" not in str(found)
    assert [each["headings"][1]["lines"] == [] for each in found] == [False, True]


def test_diagnosis_site_stage_and_treatment_each_with_its_event() -> None:
    told = (
        AGREED,
        StagedBeforeTreatment(findings=(StageFinding(axis="T", value="2"),), edition="8"),
        STARTED,
        TreatmentEnded(treatment="t", reason="as planned"),
    )
    assert texts("diagnosis", *told) == ["Breast cancer (C50.9)"]
    assert texts("date-of-diagnosis", *told) == ["2026-01-01"]
    assert texts("site-and-staging", *told) == ["Left (L)", "Before treatment: T 2 (edition 8)"]
    assert texts("treatments", *told) == [
        "Wide local excision (surgery), started 2026-01-03",
        "Wide local excision (surgery), ended 2026-01-04: as planned.",
    ]
    assert texts("aim-of-treatment", *told) == ["curative"]
    stream = target_of(AGREED).stream_id(PATIENT_ID)
    assert [line["because"] for line in heading("treatments", *told)["lines"]] == [f"{stream}/3", f"{stream}/4"]


def test_a_date_in_a_text_is_as_precise_as_it_was_told_and_in_london() -> None:
    events = recorded([(pathway(), AGREED, parse("2026-03")), (pathway(), STARTED, parse("2026-06-30T23:30:00Z"))])
    (draft,) = fold_all([TREATMENT_SUMMARY], events)["treatment_summary"]["drafts"]
    shown = {each["heading"]: each["lines"] for each in draft["headings"]}
    assert shown["date-of-diagnosis"][0]["text"] == "2026-03"
    assert shown["treatments"][0]["text"].endswith("started 2026-07-01")


def test_who_to_call_in_and_out_of_hours_or_that_it_is_missing() -> None:
    lead = CareLeadNamed(
        role=CareLeadRole.CANCER_NURSE_SPECIALIST, professional="n", name="Nia", telephone="01632 960002"
    )
    with_lead = heading("who-to-call", lead)
    assert [line["text"] for line in with_lead["lines"]] == ["Nia, cancer nurse specialist, 01632 960002"]
    assert [gap["what"] for gap in with_lead["not_recorded"]] == ["Who to call out of hours"]
    complete = heading("who-to-call", ContingencyPlanSet(call_in_hours="the ward", call_out_of_hours="the night line"))
    assert [line["text"] for line in complete["lines"]] == [
        "Call in hours: the ward",
        "Call out of hours: the night line",
    ]
    assert complete["not_recorded"] == []


def test_a_new_contingency_plan_leaves_no_old_number() -> None:
    old = ContingencyPlanSet(call_out_of_hours="old number", warning_signs=("old sign",))
    read = drafts(old, ContingencyPlanSet(call_in_hours="new number"))
    assert "old" not in str(read)


def test_urgent_symptoms_are_marked_and_come_first() -> None:
    lines = heading("alert-symptoms", ContingencyPlanSet(urgent_signs=("fever",), warning_signs=("lump",)))["lines"]
    assert [(line["text"], line["urgent"]) for line in lines] == [("fever", "yes"), ("lump", "no")]


def test_support_shows_while_it_holds() -> None:
    offered = SupportOffered(support="s", service="Money advice", contact="01632 960005")
    assert texts("support", offered, SupportAccepted(support="s")) == ["Support accepted: Money advice (01632 960005)."]
    assert texts("support", offered, SupportDeclined(support="s")) == []
    agreed = ActionAgreed(action="a", what="walk daily")
    assert texts("support", agreed) == ["Action agreed: walk daily."]
    assert texts("support", agreed, ActionFinished(action="a")) == []


def test_only_appointments_to_come_are_in_the_plan_ahead() -> None:
    booked = AppointmentBooked(start=datetime(2026, 7, 1, 9, 30, tzinfo=UTC), kind="follow-up")
    assert texts("ongoing-hospital-plan", booked) == ["Appointment: 2026-07-01 10:30, follow-up."]
    assert texts("ongoing-hospital-plan", booked, AppointmentAttended()) == []


def test_the_practice_of_a_restricted_person_is_withheld() -> None:
    told = DemographicsRecorded(name=Name(given=("Avery",), family="Example"), registered_practice="Z00001")
    assert texts("person-and-gp", told) == ["Avery Example", "GP practice: Z00001"]
    assert texts("person-and-gp", told, RestrictionApplied(code="R")) == ["Avery Example", "GP practice: withheld"]
