"""What a patient may see: each finding from the moment of being told, and nothing that would betray it before."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from domain.annotation import Corrected, Withdrawn
from domain.appointment import AppointmentBooked
from domain.care_plan import (
    ActionAgreed,
    AssessmentOffered,
    NeedRaised,
    PathwayPoint,
    SupportOffered,
)
from domain.disclosure import as_seen_by_patient
from domain.facts import Category, Coding, Fact, Recorded, Target
from domain.history import effective
from domain.pathway import (
    CancerRecurred,
    CancerRuledOut,
    CancerSuspected,
    DiagnosisAgreed,
    InformedOfOutcome,
    Intent,
    InvestigationReported,
    Modality,
    PathwayOpened,
    StagedBeforeTreatment,
    StageFinding,
    Told,
    TreatmentEnded,
    TreatmentStarted,
)
from domain.patient import AboutMeWritten, CareLeadNamed, CareLeadRole
from domain.referral import ReferralReceived
from projections.catalogue import PROJECTIONS
from projections.folds.folding import NOT_RECORDED
from projections.past.moments import Audience, Moment
from projections.past.replay import replay
from tests.builders import PATIENT_ID, REPORTED, WRITTEN_BY_PATIENT, day, in_turn, past_of, recorded, target_of
from tests.given import given, reading_as_clinician, reading_as_patient

OTHER_BREAST = Target(Category.PATHWAY, "other")


def diagnosis_agreed(icd10: str) -> DiagnosisAgreed:
    return DiagnosisAgreed(icd10=icd10, name=f"cancer {icd10}")


BREAST = diagnosis_agreed("C50.9")


def informed(what: str = "diagnosis", code: str | None = None) -> InformedOfOutcome:
    return InformedOfOutcome(told=(Told(what=what, code=code),))


def recurred(extent: str) -> CancerRecurred:
    return CancerRecurred(extent=extent, code=Coding(system="s", code=f"code of {extent}"))


def told_by(*versions: tuple[Fact, datetime | None]) -> list[Recorded]:
    """In the stream of one pathway, in this order; None where people wrote it."""
    origins = [REPORTED.model_copy(update={"recorded_at_source": at}) for _, at in versions]
    return recorded([(target_of(BREAST), fact, day(number)) for number, (fact, _) in enumerate(versions)], origins)


def test_what_a_source_withdrew_is_never_shown_and_its_withdrawal_betrays_nothing() -> None:
    first, second, third = (datetime(2026, 5, number, tzinfo=UTC) for number in (1, 2, 3))
    withdrawn = (Withdrawn(as_of=second, reason="cancer C50.9 of another"), second)
    for told in permutations([(BREAST, first), withdrawn, (diagnosis_agreed("C50.1"), third)]):
        assert as_seen_by_patient(effective(told_by(*told))) == []
    for told in permutations([(BREAST, first), withdrawn]):
        seen = as_seen_by_patient(effective(told_by(*told, (informed(), None))))
        assert [type(event.fact) for event in seen] == [InformedOfOutcome]


def test_a_talk_about_what_was_withdrawn_opens_nothing_that_is_told_again() -> None:
    first, second, third = (datetime(2026, 5, number, tzinfo=UTC) for number in (1, 2, 3))
    history = told_by((BREAST, first), (informed(), None), (Withdrawn(as_of=second), second), (BREAST, third))
    assert [event.fact for event in effective(history)] == [BREAST]
    assert as_seen_by_patient(effective(history)) == []


def test_a_patient_is_never_shown_a_diagnosis_before_being_told() -> None:
    given(diagnosis_agreed("C50.9")).when(reading_as_patient()).then_shows_nothing_of("C50.9")
    given(diagnosis_agreed("C50.9"), informed()).when(reading_as_patient()).then_shows("C50.9")


def test_a_clinician_is_shown_it_at_once() -> None:
    given(diagnosis_agreed("C50.9")).when(reading_as_clinician()).then_shows("C50.9")


def test_a_later_second_diagnosis_stays_closed_though_a_first_was_told() -> None:
    read = given(diagnosis_agreed("C50.9"), informed(), diagnosis_agreed("C78.0")).when(reading_as_patient())
    read.then_shows("C50.9").then_shows_nothing_of("C78.0")


def test_being_told_of_one_cancer_opens_nothing_of_another() -> None:
    other = (OTHER_BREAST, diagnosis_agreed("C18.7"))
    opened = (OTHER_BREAST, PathwayOpened(tumour_site="bowel"))
    read = given(diagnosis_agreed("C50.9"), opened, other, informed()).when(reading_as_patient())
    read.then_shows("C50.9").then_shows_nothing_of("C18.7", "bowel")


def test_a_code_narrows_what_was_told_to_that_finding() -> None:
    found = (diagnosis_agreed("C50.9"), diagnosis_agreed("C50.1"), informed(code="C50.9"))
    given(*found).when(reading_as_patient()).then_shows("C50.9").then_shows_nothing_of("C50.1")


def test_a_recurrence_told_by_its_code_is_shown() -> None:
    told = informed("recurrence", "code of local")
    read = given(diagnosis_agreed("C50.9"), informed(), recurred("local"), recurred("distant"), told)
    read.when(reading_as_patient()).then_shows("local").then_shows_nothing_of("distant")


def test_a_recurrence_found_and_told_on_one_day_is_shown() -> None:
    target = target_of(recurred("local"))
    found = [(target, informed("recurrence"), day(3)), (target, recurred("local"), day(3))]
    assert len(as_seen_by_patient(effective(recorded(found)))) == 2


def test_the_code_of_one_axis_does_not_open_the_other_axes_of_a_stage() -> None:
    tumour = StageFinding(axis="T", value="size two", code=Coding(system="s", code="t2"))
    spread = StageFinding(axis="M", value="has spread")
    staged = StagedBeforeTreatment(findings=(tumour, spread))
    read = given(diagnosis_agreed("C50.9"), informed(), staged, informed("stage", "t2")).when(reading_as_patient())
    read.then_shows_nothing_of("has spread")


def test_an_investigations_result_waits_though_the_investigation_is_known() -> None:
    reported = InvestigationReported(investigation="scan", result="two new shadows")
    given(diagnosis_agreed("C50.9"), informed(), reported).when(reading_as_patient()).then_shows_nothing_of("shadows")


BETRAYING: list[Fact] = [
    AppointmentBooked(description="betrays"),
    ReferralReceived(description="betrays"),
    SupportOffered(support="s", service="betrays"),
    NeedRaised(need="n", concern="betrays"),
    ActionAgreed(action="a", what="betrays"),
    CareLeadNamed(role=CareLeadRole.KEY_WORKER, professional="p", name="betrays"),
]


@pytest.mark.parametrize("fact", BETRAYING, ids=lambda fact: fact.stored)
@pytest.mark.parametrize("outcome", ["diagnosis", "ruled-out"])
def test_what_would_betray_a_diagnosis_waits_until_an_outcome_was_told(fact: Fact, outcome: str) -> None:
    found = diagnosis_agreed("C50.9") if outcome == "diagnosis" else CancerRuledOut()
    given(fact, found).when(reading_as_patient()).then_shows_nothing_of("betrays")
    given(fact, found, informed("result")).when(reading_as_patient()).then_shows_nothing_of("betrays")
    given(fact, found, informed(outcome)).when(reading_as_patient()).then_shows("betrays")


def test_a_referral_of_which_the_patient_knows_is_open() -> None:
    given(ReferralReceived(description="a lump", patient_told=True)).when(reading_as_patient()).then_shows("a lump")


def test_own_words_are_open_from_the_beginning() -> None:
    need = NeedRaised(need="n", concern="money", words="the rent")
    events = recorded([(target_of(need), need, day(0))], WRITTEN_BY_PATIENT)
    assert as_seen_by_patient(effective(events)) == events
    given(AboutMeWritten(heading="my-wellness", words="I tire")).when(reading_as_patient()).then_shows("I tire")


def test_an_assessment_for_a_recurrence_waits_until_the_recurrence_was_told() -> None:
    offered = AssessmentOffered(point=PathwayPoint.RECURRENCE)
    so_far = (diagnosis_agreed("C50.9"), informed(), recurred("local"), offered)
    assert given(*so_far).when(reading_as_patient())["plan"]["assessments"] == []
    told = given(*so_far, informed("recurrence")).when(reading_as_patient())
    assert [each["point"] for each in told["plan"]["assessments"]] == ["recurrence"]


def test_a_treatment_shows_without_aim_and_reason_while_a_finding_before_it_is_untold() -> None:
    begun = TreatmentStarted(treatment="t", modality=Modality.CYTOTOXIC, intent=Intent.PALLIATIVE, event_type="03")
    ended = TreatmentEnded(treatment="t", reason="it has grown")
    so_far = (diagnosis_agreed("C50.9"), informed(), recurred("local"), begun, ended)
    untold = given(*so_far).when(reading_as_patient())
    untold.then_shows("cytotoxic").then_shows_nothing_of("intent palliative", "it has grown")
    (treatment,) = untold["record"]["pathways"][0]["treatments"]
    assert (treatment["intent"], treatment["event_type"]) == (NOT_RECORDED, NOT_RECORDED)
    told = given(*so_far, informed("recurrence")).when(reading_as_patient())
    told.then_shows("intent palliative", "it has grown")


def test_a_correction_after_the_talk_waits_for_another_talk() -> None:
    breast = target_of(diagnosis_agreed("C50.9"))
    corrected = Corrected(
        version=1, replaced_by=DiagnosisAgreed.stored, replacement={"icd10": "C79.8", "name": "cancer C79.8"}
    )
    told = (diagnosis_agreed("C50.9"), informed(), (breast, corrected))
    given(*told).when(reading_as_patient()).then_shows_nothing_of("C79.8", "C50.9")
    given(*told, informed()).when(reading_as_patient()).then_shows("C79.8")


def test_no_gap_in_the_numbering_tells_of_a_hidden_event() -> None:
    events = in_turn(*((target_of(fact), fact) for fact in (CancerSuspected(), diagnosis_agreed("C50.9"), informed())))
    shown = str(replay(PROJECTIONS, past_of(events), Moment(3), Audience.PATIENT))
    stream = target_of(informed()).stream_id(PATIENT_ID)
    assert {number for number in range(1, 9) if f"{stream}/{number}" in shown} == {1, 2}
