"""The rules of each aggregate: already so, not allowed, or recorded."""

import json
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from domain.annotation import MarkedInError, MovedIn, Retract, Withdrawn
from domain.appointment import (
    AppointmentAttended,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCancelledByProvider,
    ChangeRefused,
    ChangeRequestedByPatient,
    RequestChange,
)
from domain.care_plan import (
    AcceptSupport,
    ActionAgreed,
    ActionDropped,
    ActionFinished,
    AgreeAction,
    AssessmentOffered,
    AssessmentSubmitted,
    DeclineSupport,
    FinishAction,
    GoalSet,
    NeedRaised,
    NeedResolved,
    OfferAssessment,
    PathwayPoint,
    RaiseNeed,
    ResolveNeed,
    SetGoal,
    SubmitAssessment,
    SuggestSupport,
    SupportAccepted,
    SupportDeclined,
    SupportOffered,
    SupportStarted,
    SupportSuggested,
)
from domain.facts import Category, NotFound
from domain.pathway import (
    AgreeDiagnosis,
    CancerRuledOut,
    DiagnosisAgreed,
    EndTreatment,
    InformedOfOutcome,
    InformPatient,
    Modality,
    PathwayClosed,
    StartTreatment,
    Told,
    TreatmentEnded,
    TreatmentStarted,
)
from domain.patient import (
    AboutMeWritten,
    CareLeadEnded,
    CareLeadNamed,
    CareLeadRole,
    DeathRecordedFormally,
    DeathReportedInformally,
    NameCareLead,
    PatientToldOfCareLead,
    TellOfCareLead,
    WriteAboutMe,
)
from domain.referral import (
    AcceptReferral,
    ReferralAccepted,
    ReferralCancelled,
    ReferralReceived,
    ReferralRejected,
    RejectReferral,
)
from domain.times import Precision, on
from tests.builders import FIRST_RECORDING
from tests.deciding import AFTER_ALL, carry_out, given, stream_of, told_at

NURSE = CareLeadRole.CANCER_NURSE_SPECIALIST
AMINA = CareLeadNamed(role=NURSE, professional="p1", name="Amina Example")
BRONWEN = NameCareLead(role=NURSE, professional="p2", name="Bronwen Example")
BRONWEN_NAMED = CareLeadNamed(**BRONWEN.model_dump())
BREAST = DiagnosisAgreed(icd10="C50.9")
EARLIER, LATER = (told_at(AFTER_ALL.at + timedelta(hours=hours)) for hours in (-6, 6))
DIAGNOSIS_TOLD = Told(what="diagnosis")


class TestCareLead:
    def test_a_first_care_lead_is_named(self) -> None:
        given().when(BRONWEN).then(BRONWEN_NAMED)

    def test_a_successor_ends_the_predecessor(self) -> None:
        given(AMINA).when(BRONWEN).then(CareLeadEnded(role=NURSE, professional="p1"), BRONWEN_NAMED)

    def test_the_holder_is_not_named_again(self) -> None:
        given(AMINA).when(NameCareLead(**AMINA.model_dump())).then_nothing()

    def test_the_holders_new_telephone_ends_nobody(self) -> None:
        given(AMINA).when(NameCareLead(**AMINA.model_dump() | {"telephone": "020 7946 0000"})).then(
            AMINA.model_copy(update={"telephone": "020 7946 0000"})
        )

    def test_three_roles_are_held_side_by_side(self) -> None:
        key_worker = NameCareLead(role=CareLeadRole.KEY_WORKER, professional="p2", name="Bronwen Example")
        given(AMINA).when(key_worker).then(CareLeadNamed(**key_worker.model_dump()))

    def test_nobody_leads_the_care_of_the_dead(self) -> None:
        given(DeathRecordedFormally()).when(BRONWEN).then_refused("death")

    def test_an_informal_report_of_death_closes_nothing(self) -> None:
        given(DeathReportedInformally()).when(BRONWEN).then(BRONWEN_NAMED)

    def test_the_patient_is_told_of_whoever_holds_the_role(self) -> None:
        given(AMINA).when(TellOfCareLead(role=NURSE)).then(PatientToldOfCareLead(role=NURSE, professional="p1"))

    def test_the_patient_is_told_of_a_successor_anew(self) -> None:
        told = PatientToldOfCareLead(role=NURSE, professional="p1")
        given(AMINA, told).when(TellOfCareLead(role=NURSE)).then_nothing()
        given(AMINA, told, BRONWEN_NAMED).when(TellOfCareLead(role=NURSE)).then(
            PatientToldOfCareLead(role=NURSE, professional="p2")
        )

    def test_there_must_be_someone_to_tell_of(self) -> None:
        ended = CareLeadEnded(role=NURSE, professional="p1")
        given(AMINA, ended).when(TellOfCareLead(role=NURSE)).then_refused("no care lead")

    def test_the_ending_of_another_ends_nobody(self) -> None:
        other = CareLeadEnded(role=NURSE, professional="p9")
        given(AMINA, other).when(NameCareLead(**AMINA.model_dump())).then_nothing()


def test_about_me_is_written_as_often_as_the_person_likes() -> None:
    written = AboutMeWritten(heading="what is most important to me", words="my choir")
    given(written).when(WriteAboutMe(heading=written.heading, words="my allotment")).then(
        written.model_copy(update={"words": "my allotment"})
    )


class TestNeeds:
    def test_a_need_is_raised_once(self) -> None:
        given().when(RaiseNeed(need="n", concern="sleep", score=7)).then(NeedRaised(need="n", concern="sleep", score=7))
        given(NeedRaised(need="n", concern="sleep")).when(RaiseNeed(need="n", concern="sleep")).then_nothing()

    def test_a_resolved_need_cannot_be_raised_again(self) -> None:
        given(NeedRaised(need="n", concern="sleep"), NeedResolved(need="n")).when(
            RaiseNeed(need="n", concern="sleep")
        ).then_refused("raise a new one")

    def test_a_need_is_resolved_once(self) -> None:
        raised = NeedRaised(need="n", concern="sleep")
        given(raised).when(ResolveNeed(need="n", outcome="well")).then(NeedResolved(need="n", outcome="well"))
        given(raised, NeedResolved(need="n")).when(ResolveNeed(need="n", outcome="well")).then_nothing()

    def test_only_a_need_of_the_plan_is_resolved(self) -> None:
        given().when(ResolveNeed(need="n")).then_refused("no such need", NotFound)


class TestGoalsAndActions:
    def test_a_goal_answers_needs_of_the_plan(self) -> None:
        raised = NeedRaised(need="n", concern="sleep")
        given(raised).when(SetGoal(goal="g", words="six hours", needs=("n",))).then(
            GoalSet(goal="g", words="six hours", needs=("n",))
        )
        given(raised).when(SetGoal(goal="g", words="six hours", needs=("n", "m"))).then_refused("a need", NotFound)

    def test_a_goal_is_set_once(self) -> None:
        given(GoalSet(goal="g", words="six hours")).when(SetGoal(goal="g", words="seven")).then_nothing()

    def test_an_action_serves_a_goal_of_the_plan(self) -> None:
        agreed = AgreeAction(action="a", what="evening walk", goal="g", due=date(2026, 6, 1), confidence=8)
        given(GoalSet(goal="g", words="sleep")).when(agreed).then(ActionAgreed(**agreed.model_dump()))
        given().when(agreed).then_refused("a goal", NotFound)

    def test_an_action_serves_a_need_even_when_resolved(self) -> None:
        raised, resolved = NeedRaised(need="n", concern="sleep"), NeedResolved(need="n")
        agreed = AgreeAction(action="a", what="evening walk", need="n")
        given(raised, resolved).when(agreed).then(ActionAgreed(**agreed.model_dump()))
        given().when(agreed).then_refused("a need", NotFound)

    @pytest.mark.parametrize("over", [ActionFinished(action="a"), ActionDropped(action="a")])
    def test_an_action_that_is_over_is_agreed_under_a_new_name(self, over: ActionFinished | ActionDropped) -> None:
        agreed = ActionAgreed(action="a", what="walk")
        given(agreed, over).when(AgreeAction(action="a", what="walk")).then_refused("agree a new one")

    def test_an_action_is_finished_once(self) -> None:
        agreed = ActionAgreed(action="a", what="walk")
        given(agreed).when(FinishAction(action="a")).then(ActionFinished(action="a"))
        given(agreed, ActionFinished(action="a")).when(FinishAction(action="a")).then_nothing()
        given().when(FinishAction(action="a")).then_refused("no such action", NotFound)


class TestAssessmentAndSupport:
    def test_an_assessment_is_offered_once_at_each_point(self) -> None:
        offered = AssessmentOffered(point=PathwayPoint.DIAGNOSIS)
        given(offered).when(OfferAssessment(point=PathwayPoint.DIAGNOSIS)).then_nothing()
        given(offered).when(OfferAssessment(point=PathwayPoint.END_OF_TREATMENT)).then(
            AssessmentOffered(point=PathwayPoint.END_OF_TREATMENT)
        )

    def test_no_concerns_is_a_finished_assessment(self) -> None:
        given().when(SubmitAssessment(point=PathwayPoint.DIAGNOSIS, form_version="1")).then(
            AssessmentSubmitted(point=PathwayPoint.DIAGNOSIS, form_version="1")
        )

    @pytest.mark.parametrize(
        "put_forward",
        [SupportSuggested(support="s", service="choir"), SupportOffered(support="s", service="choir")],
    )
    def test_what_was_put_forward_may_be_accepted_or_declined(
        self, put_forward: SupportSuggested | SupportOffered
    ) -> None:
        given(put_forward).when(AcceptSupport(support="s")).then(SupportAccepted(support="s"))
        given(put_forward).when(DeclineSupport(support="s")).then(SupportDeclined(support="s"))

    def test_one_may_change_ones_mind_until_it_starts(self) -> None:
        suggested = SupportSuggested(support="s", service="choir")
        given(suggested, SupportDeclined(support="s")).when(AcceptSupport(support="s")).then(
            SupportAccepted(support="s")
        )
        given(suggested, SupportStarted(support="s")).when(DeclineSupport(support="s")).then_refused("has started")

    def test_nobody_accepts_what_was_not_put_forward(self) -> None:
        given().when(AcceptSupport(support="s")).then_refused("neither suggested nor offered", NotFound)

    def test_support_is_suggested_once(self) -> None:
        given(SupportOffered(support="s", service="choir")).when(
            SuggestSupport(support="s", service="choir")
        ).then_nothing()


class TestPathway:
    def test_a_diagnosis_must_be_recorded_before_it_is_told(self) -> None:
        inform = InformPatient(told=(DIAGNOSIS_TOLD,), professional="p1")
        given().when(inform).then_refused("no diagnosis is recorded")
        given(BREAST).when(inform).then(InformedOfOutcome(told=(DIAGNOSIS_TOLD,), professional="p1"))

    def test_being_told_nothing_is_not_being_told(self) -> None:
        given(BREAST).when(InformPatient(told=(), professional="p1")).then_refused("name what")

    def test_what_was_told_is_not_noted_twice(self) -> None:
        told = InformedOfOutcome(told=(DIAGNOSIS_TOLD, Told(what="stage")))
        given(BREAST, told).when(InformPatient(told=(DIAGNOSIS_TOLD,), professional="p1")).then_nothing()

    def test_a_ruling_out_can_be_told_without_a_diagnosis(self) -> None:
        inform = InformPatient(told=(Told(what="ruled-out"),), professional="p1")
        given(CancerRuledOut()).when(inform).then(InformedOfOutcome(**inform.model_dump()))

    def test_a_closed_pathway_takes_no_diagnosis_and_no_treatment(self) -> None:
        closed = PathwayClosed()
        given(closed).when(AgreeDiagnosis(icd10="C50.9")).then_refused("closed")
        given(closed).when(StartTreatment(treatment="t", modality=Modality.SURGERY)).then_refused("closed")

    def test_a_treatment_starts_once_and_ends_once(self) -> None:
        start, end = StartTreatment(treatment="t", modality=Modality.SURGERY), EndTreatment(treatment="t")
        started = TreatmentStarted(treatment="t", modality=Modality.SURGERY)
        given().when(start).then(started)
        given(started, PathwayClosed()).when(start).then_nothing()
        given(started).when(end).then(TreatmentEnded(treatment="t"))
        given(started, TreatmentEnded(treatment="t")).when(end).then_nothing()
        given().when(end).then_refused("has not started")


class TestAppointment:
    def test_a_change_is_requested_and_the_old_slot_stands(self) -> None:
        given(AppointmentBooked()).when(RequestChange(wish="cancel")).then(ChangeRequestedByPatient(wish="cancel"))

    def test_there_must_be_a_booking(self) -> None:
        given().when(RequestChange(wish="cancel")).then_refused("no booking")

    @pytest.mark.parametrize(
        ("over", "why"),
        [
            (AppointmentCancelled(), "cancelled"),
            (AppointmentCancelledByProvider(), "cancelled"),
            (AppointmentAttended(), "past"),
        ],
    )
    def test_what_is_over_cannot_be_changed(
        self, over: AppointmentCancelled | AppointmentCancelledByProvider | AppointmentAttended, why: str
    ) -> None:
        given(AppointmentBooked(), over).when(RequestChange(wish="reschedule")).then_refused(why)

    def test_a_new_booking_may_be_changed_again(self) -> None:
        given(AppointmentBooked(), AppointmentCancelled(), AppointmentBooked(place="2")).when(
            RequestChange(wish="cancel")
        ).then(ChangeRequestedByPatient(wish="cancel"))

    def test_a_refused_wish_may_be_told_again(self) -> None:
        wish = ChangeRequestedByPatient(wish="cancel")
        given(AppointmentBooked(), wish).when(RequestChange(wish="cancel")).then_nothing()
        given(AppointmentBooked(), wish, ChangeRefused()).when(RequestChange(wish="cancel")).then(wish)


class TestReferral:
    def test_a_received_referral_is_accepted_or_rejected(self) -> None:
        given(ReferralReceived()).when(AcceptReferral(provider="RXX")).then(ReferralAccepted(provider="RXX"))
        given(ReferralReceived()).when(RejectReferral(reason="r")).then(ReferralRejected(reason="r"))

    def test_an_answer_is_given_once_and_may_change(self) -> None:
        accepted = ReferralAccepted()
        given(ReferralReceived(), accepted).when(AcceptReferral()).then_nothing()
        given(ReferralReceived(), accepted).when(RejectReferral(reason="r")).then(ReferralRejected(reason="r"))

    def test_nobody_answers_what_was_not_received_or_is_cancelled(self) -> None:
        given().when(AcceptReferral()).then_refused("no such referral")
        given(ReferralReceived(), ReferralCancelled()).when(RejectReferral(reason="r")).then_refused("cancelled")


class TestCorrections:
    def test_a_closure_marked_in_error_no_longer_refuses(self) -> None:
        stream = stream_of(Category.PATHWAY, PathwayClosed())
        carry_out(stream, MarkedInError(versions=(1,)))
        assert carry_out(stream, AgreeDiagnosis(icd10="C50.9"))

    def test_a_diagnosis_marked_in_error_can_be_reported_again(self) -> None:
        stream = stream_of(Category.PATHWAY, BREAST)
        first_day = stream.events[0].occurred
        assert carry_out(stream, BREAST, first_day) == []
        carry_out(stream, Retract(as_of=AFTER_ALL.at, reason="wrong patient"))
        assert stream.state().diagnosed is False
        assert [each.fact for each in carry_out(stream, BREAST, first_day)] == [BREAST]

    def test_nothing_is_retracted_twice(self) -> None:
        stream = stream_of(Category.PATHWAY, BREAST, PathwayClosed())
        assert [each.fact for each in carry_out(stream, Retract(as_of=AFTER_ALL.at))] == [Withdrawn(as_of=AFTER_ALL.at)]
        assert carry_out(stream, Retract(as_of=AFTER_ALL.at)) == []

    def test_what_is_withdrawn_before_it_comes_is_recorded_once_and_never_stands(self) -> None:
        stream = stream_of(Category.PATHWAY)
        assert carry_out(stream, Retract(as_of=AFTER_ALL.at))
        assert [each.fact for each in carry_out(stream, BREAST, provenance=EARLIER)] == [BREAST]
        assert stream.effective() == []
        assert stream.state().diagnosed is False
        assert carry_out(stream, BREAST, provenance=EARLIER) == []

    def test_what_is_told_after_it_was_withdrawn_stands(self) -> None:
        stream = stream_of(Category.PATHWAY)
        carry_out(stream, BREAST, provenance=EARLIER)
        carry_out(stream, Retract(as_of=AFTER_ALL.at))
        assert [each.fact for each in carry_out(stream, BREAST, provenance=LATER)] == [BREAST]
        assert stream.state().diagnosed is True
        assert carry_out(stream, BREAST, provenance=EARLIER) == []
        assert carry_out(stream, Retract(as_of=AFTER_ALL.at - timedelta(days=1))) == []

    def test_what_somebody_writes_falls_if_it_was_written_before_the_withdrawal_came(self) -> None:
        stream = stream_of(Category.PATHWAY, PathwayClosed())
        carry_out(stream, Retract(as_of=AFTER_ALL.at - timedelta(days=300)))
        carry_out(stream, BREAST)
        assert [event.fact for event in stream.effective()] == [BREAST]

    def test_what_somebody_moved_here_falls_by_when_that_was_done(self) -> None:
        moved = MovedIn(
            from_patient=UUID(int=1), from_stream=UUID(int=2), from_version=1, moved=BREAST.stored,
            fact=BREAST.model_dump(), occurred_at=AFTER_ALL.at, precision=Precision.INSTANT, recorded_at=AFTER_ALL.at,
            provenance=json.loads(EARLIER),
        )  # fmt: skip
        stream = stream_of(Category.PATHWAY)
        carry_out(stream, moved)
        carry_out(stream, Retract(as_of=AFTER_ALL.at))
        assert stream.effective() == []
        carry_out(stream, moved)
        assert [event.fact for event in stream.effective()] == [BREAST]

    def test_a_mistyped_year_takes_nothing_that_is_told_until_then(self) -> None:
        stream = stream_of(Category.PATHWAY)
        mistyped = Retract(as_of=datetime(2066, 5, 1, tzinfo=UTC))
        assert carry_out(stream, mistyped)
        assert carry_out(stream, mistyped) == []
        carry_out(stream, BREAST, provenance=told_at(FIRST_RECORDING + timedelta(hours=1)))
        assert [event.fact for event in stream.effective()] == [BREAST]
        assert carry_out(stream, Retract(as_of=FIRST_RECORDING + timedelta(hours=2)))
        assert stream.effective() == []

    def test_what_a_withdrawal_takes_is_asked_anew_once_it_is_known_when_it_was_recorded(self) -> None:
        """Only then is the time believed that its source tells."""
        stream = stream_of(Category.PATHWAY)
        ahead, recorded_at = FIRST_RECORDING + timedelta(hours=25), FIRST_RECORDING + timedelta(hours=2)
        carry_out(stream, BREAST, provenance=told_at(ahead))
        stream.settle(0, 0, recorded_at)
        carry_out(stream, Retract(as_of=ahead))
        assert stream.state().diagnosed is True
        stream.settle(1, 0, recorded_at)
        assert stream.state().diagnosed is False
        assert carry_out(stream, BREAST, provenance=told_at(ahead)) == []

    def test_a_late_report_between_two_equal_ones_leaves_all_three(self) -> None:
        stream = stream_of(Category.PATHWAY)
        other = DiagnosisAgreed(icd10="C50.4")
        for fact, month in ((BREAST, 1), (BREAST, 5), (other, 3)):
            carry_out(stream, fact, on(date(2026, month, 1)))
        assert [event.fact for event in stream.effective()] == [BREAST, other, BREAST]

    def test_a_fact_of_another_kind_of_stream_is_a_fault_of_ours(self) -> None:
        with pytest.raises(ValueError, match="does not belong"):
            stream_of(Category.APPOINTMENT).decide(BREAST, AFTER_ALL)
        with pytest.raises(ValueError, match="not a command"):
            stream_of(Category.APPOINTMENT).decide(AcceptReferral(), AFTER_ALL)
