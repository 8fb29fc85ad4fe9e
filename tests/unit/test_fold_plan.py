"""The fold of the plan: needs, goals, actions, support, assessments and the people around them."""

from datetime import date
from typing import Any

from domain.care_plan import (
    ActionAgreed,
    ActionFinished,
    ActionProgressed,
    AssessmentDeclined,
    AssessmentOffered,
    AssessmentSubmitted,
    ConcernScore,
    ContingencyPlanSet,
    GoalReviewed,
    GoalSet,
    NeedRaised,
    NeedResolved,
    PathwayPoint,
    ReviewHeld,
    ReviewScheduled,
    SupportAccepted,
    SupportEnded,
    SupportOffered,
    SupportSuggested,
)
from domain.facts import CARE_PLAN, Fact
from domain.patient import (
    Address,
    CareLeadEnded,
    CareLeadNamed,
    CareLeadRole,
    DemographicsRecorded,
    LanguageRecorded,
    Name,
    PatientToldOfCareLead,
    ProfessionalJoinedTeam,
    ProfessionalLeftTeam,
    RestrictionApplied,
    RestrictionLifted,
)
from projections.folds.folding import fold_all
from projections.folds.plan import PLAN
from tests.builders import PATIENT_ID, plan_of

PLAN_STREAM = CARE_PLAN.stream_id(PATIENT_ID)
NURSE = CareLeadNamed(role=CareLeadRole.CANCER_NURSE_SPECIALIST, professional="n1", name="Nia")
KEY_WORKER = CareLeadNamed(role=CareLeadRole.KEY_WORKER, professional="k1", name="Kit")


def plan(*facts: Fact) -> Any:
    return fold_all([PLAN], plan_of(*facts))["plan"]


def test_an_empty_plan_says_of_each_section_that_nothing_is_recorded() -> None:
    empty = plan()
    assert empty["patient"]["birth_date"] == {"value": "not-recorded"}
    assert {each["words"] for each in empty["about_me"]} == {"not-recorded"}
    assert len(empty["about_me"]) == 8
    assert {each["holder"] for each in empty["contacts"]["care_leads"]} == {"not-recorded"}
    assert {"strengths", "needs", "goals", "actions", "contingency_plan", "next_review"} <= set(empty["not_recorded"])


def test_a_need_holds_its_goals_and_a_goal_its_actions() -> None:
    told = plan(
        NeedRaised(need="n", concern="money", score=7),
        GoalSet(goal="g", words="keep the flat", needs=("elsewhere", "n"), importance=9),
        ActionAgreed(action="a", what="ask the adviser", goal="g", due=date(2026, 3, 1)),
        ActionAgreed(action="b", what="call the landlord", need="n"),
    )
    (need,) = told["needs"]
    assert [goal["goal"] for goal in need["goals"]] == ["g"]
    assert [action["action"] for action in need["goals"][0]["actions"]] == ["a"]
    assert need["goals"][0]["actions"][0]["due"] == "2026-03-01"
    assert [action["action"] for action in need["actions"]] == ["b"]
    assert told["other_goals"] == told["other_actions"] == []


def test_what_hangs_on_nothing_recorded_is_kept_apart() -> None:
    told = plan(GoalSet(goal="g", words="walk", needs=("unknown",)), ActionAgreed(action="a", what="rest", goal="no"))
    assert [goal["goal"] for goal in told["other_goals"]] == ["g"]
    assert [action["action"] for action in told["other_actions"]] == ["a"]


def test_each_step_of_an_action_names_the_event_that_set_it() -> None:
    told = plan(
        ActionAgreed(action="a", what="ask"),
        ActionProgressed(action="a", note="asked"),
        ActionFinished(action="a", outcome="answered"),
    )
    (action,) = told["other_actions"]
    assert action["because"] == f"{PLAN_STREAM}/1"
    assert action["notes"] == [{"value": "asked", "occurred": "2026-01-02", "because": f"{PLAN_STREAM}/2"}]
    assert action["status"] == {"value": "finished", "occurred": "2026-01-03", "because": f"{PLAN_STREAM}/3"}
    assert (action["outcome"], action["owner"]) == ("answered", "not-recorded")


def test_the_end_of_something_never_agreed_is_kept() -> None:
    told = plan(ActionFinished(action="a"), NeedResolved(need="n"), GoalReviewed(goal="g", outcome="half way"))
    assert told["other_actions"][0]["what"] == "not-recorded"
    assert told["needs"][0]["status"]["value"] == "resolved"
    assert told["other_goals"][0]["outcomes"][0]["value"] == "half way"


def test_support_tells_each_stage_and_keeps_what_was_said_first() -> None:
    told = plan(
        SupportSuggested(support="s", service="money advice", why="scored 7"),
        SupportOffered(support="s", service="money advice", contact="01632 960001"),
        SupportAccepted(support="s"),
    )
    (support,) = told["support"]
    assert [stage["value"] for stage in support["stages"]] == ["suggested", "offered", "accepted"]
    assert support["status"]["value"] == "accepted"
    assert (support["why"], support["contact"]) == ("scored 7", "01632 960001")
    assert plan(SupportEnded(support="s"))["support"][0]["service"] == "not-recorded"


def test_no_concerns_is_a_finished_outcome_and_answers_the_offer() -> None:
    offered = AssessmentOffered(point=PathwayPoint.DIAGNOSIS, staff_role="01")
    submitted = AssessmentSubmitted(point=PathwayPoint.DIAGNOSIS, form_version="f1")
    (assessment,) = plan(offered, submitted)["assessments"]
    assert (assessment["outcome"], assessment["concerns"]) == ("no-concerns", [])
    assert assessment["status"]["value"] == "submitted"
    assert assessment["offered"]["staff_role"] == "01"


def test_a_declined_or_unoffered_assessment_has_no_outcome() -> None:
    (declined,) = plan(AssessmentDeclined(point=PathwayPoint.RECURRENCE))["assessments"]
    assert (declined["status"]["value"], declined["outcome"]) == ("declined", "not-recorded")
    assert declined["offered"] == "not-recorded"


def test_an_assessment_at_another_point_answers_no_offer() -> None:
    scored = ConcernScore(concern="pain", score=3)
    submitted = AssessmentSubmitted(point=PathwayPoint.END_OF_TREATMENT, form_version="f1", concerns=(scored,))
    first, second = plan(AssessmentOffered(point=PathwayPoint.DIAGNOSIS), submitted)["assessments"]
    assert (first["status"]["value"], second["outcome"]) == ("offered", "concerns")
    assert second["concerns"] == [{"concern": "pain", "score": 3, "words": "not-recorded"}]


def test_the_three_care_leads_are_apart_and_the_patient_was_told_of_the_holder_only() -> None:
    told_of_nurse = PatientToldOfCareLead(role=NURSE.role, professional="n1")
    successor = NURSE.model_copy(update={"professional": "n2", "name": "Noor"})
    nurse, _, key_worker = plan(NURSE, told_of_nurse, KEY_WORKER)["contacts"]["care_leads"]
    assert (nurse["holder"]["name"], nurse["patient_told"]["value"]) == ("Nia", "yes")
    assert (key_worker["holder"]["name"], key_worker["patient_told"]) == ("Kit", {"value": "not-recorded"})
    nurse, _, _ = plan(NURSE, told_of_nurse, successor)["contacts"]["care_leads"]
    assert (nurse["holder"]["name"], nurse["patient_told"]) == ("Noor", {"value": "not-recorded"})


def test_a_role_is_vacant_only_when_its_holder_left() -> None:
    ended = CareLeadEnded(role=NURSE.role, professional="n1")
    nurse, _, _ = plan(NURSE, ended)["contacts"]["care_leads"]
    assert (nurse["holder"], nurse["former"]["professional"]) == ("not-recorded", "n1")
    other = NURSE.model_copy(update={"professional": "n2"})
    nurse, _, _ = plan(other, ended)["contacts"]["care_leads"]
    assert nurse["holder"]["professional"] == "n2"


def test_the_team_flags_the_key_worker() -> None:
    joined = [ProfessionalJoinedTeam(professional=each, name=each) for each in ("k1", "s1", "gone")]
    members = plan(*joined, ProfessionalLeftTeam(professional="gone"))["contacts"]["team"]
    assert [(each["professional"], each["key_worker"]) for each in members] == [
        ("k1", "not-recorded"),
        ("s1", "not-recorded"),
    ]
    members = plan(*joined[:2], KEY_WORKER)["contacts"]["team"]
    assert [each["key_worker"] for each in members] == ["yes", "no"]


def test_a_review_that_was_held_is_no_longer_due() -> None:
    due = ReviewScheduled(due=date(2026, 8, 1))
    assert plan(due)["next_review"]["due"] == "2026-08-01"
    held = plan(due, ReviewHeld(summary="fits"))
    assert (held["next_review"], held["reviews_held"][0]["summary"]) == ("not-recorded", "fits")


def test_a_new_contingency_plan_stands_in_the_place_of_the_old() -> None:
    told = plan(
        ContingencyPlanSet(call_in_hours="old", urgent_signs=("fever",)), ContingencyPlanSet(call_in_hours="new")
    )
    assert (told["contingency_plan"]["call_in_hours"], told["contingency_plan"]["urgent_signs"]) == ("new", [])


def test_a_restricted_persons_whereabouts_are_withheld_until_the_restriction_is_lifted() -> None:
    lives = DemographicsRecorded(addresses=(Address(postcode="ZZ99 3WZ"),), registered_practice="Z00001")
    restricted = plan(lives, RestrictionApplied(code="R"))["patient"]
    assert (restricted["addresses"]["value"], restricted["registered_practice"]["value"]) == ("withheld", "withheld")
    assert "ZZ99" not in str(restricted)
    lifted = plan(lives, RestrictionApplied(code="R"), RestrictionLifted())["patient"]
    assert lifted["addresses"]["value"][0]["postcode"] == "ZZ99 3WZ"


def test_silence_of_a_later_source_erases_nothing_and_unknown_is_not_no() -> None:
    first = DemographicsRecorded(name=Name(family="Old"), birth_date="1961", gender="unknown")
    later = DemographicsRecorded(name=Name(family="New"))
    person = plan(first, later, LanguageRecorded(language="cy", interpreter_needed=False))["patient"]
    assert [name["family"] for name in person["names"]] == ["New", "Old"]
    assert (person["birth_date"]["value"], person["gender"]["value"]) == ("1961", "not-known")
    assert person["interpreter_needed"]["value"] == "no"
    assert plan(LanguageRecorded(language="cy"))["patient"]["interpreter_needed"] == {"value": "not-recorded"}
