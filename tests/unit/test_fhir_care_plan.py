"""Care plans, goals and teams of other systems."""

from typing import Any

import pytest

from domain.care_plan import ActionAgreed, ActionDropped, ActionFinished, GoalSet, PlanReceived
from domain.facts import CARE_PLAN, PATIENT
from domain.patient import ProfessionalJoinedTeam
from tests.fhir_documents import (
    SNOMED,
    SOURCE,
    acts,
    asthma,
    breast_cancer,
    bundle,
    concept,
    instructions,
    refusal,
    resource,
    why_unused,
)

TO_ASTHMA = [{"reference": "Condition/a1"}]


def plan(**members: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"status": "active", "intent": "plan", "period": {"start": "2026-02-03"}, **members}
    return resource("CarePlan", id="cp1", **told)


def test_a_plan_is_received_with_its_activities_as_actions() -> None:
    done = {"detail": {"status": "completed", "description": "Arm exercises", "scheduledPeriod": {"end": "2026-02-20"}}}
    going = {"id": "x", "detail": {"status": "in-progress", "code": concept(SNOMED, "243072006", "Cancer education")}}
    told = instructions(plan(title="After surgery", activity=[done, going]))
    assert [type(each.act) for each in told] == [PlanReceived, ActionAgreed, ActionFinished, ActionAgreed]
    assert {each.target for each in told} == {CARE_PLAN}
    received, first, finished, second = (each.act for each in told)
    assert isinstance(received, PlanReceived)
    assert isinstance(first, ActionAgreed)
    assert isinstance(finished, ActionFinished)
    assert isinstance(second, ActionAgreed)
    assert received.plan == first.plan == f"{SOURCE}/CarePlan|cp1"
    assert (first.what, second.what) == ("Arm exercises", "Cancer education")
    assert first.action == finished.action != second.action
    assert [each.occurred.words() for each in told[:3]] == ["2026-02-03", "2026-02-03", "2026-02-20"]


def test_a_stopped_activity_is_dropped_and_one_in_error_is_left_out() -> None:
    stopped = {"detail": {"status": "stopped", "description": "Swimming", "statusReason": {"text": "infection"}}}
    wrong = {"detail": {"status": "entered-in-error", "description": "Running"}}
    *_, dropped = acts(plan(activity=[stopped, wrong, {"outcomeReference": []}]))
    assert isinstance(dropped, ActionDropped)
    assert dropped.reason == "infection"


def test_a_revoked_plan_says_so() -> None:
    [received] = acts(plan(status="revoked"))
    assert isinstance(received, PlanReceived)
    assert received.revoked


@pytest.mark.parametrize(
    "document",
    [
        plan(),
        plan(addresses=[{"reference": "Condition/elsewhere"}]),
        plan(addresses=[{"reference": "Condition/c1"}, *TO_ASTHMA]),
        plan(addresses=TO_ASTHMA, category=[concept(SNOMED, "395082007", "Cancer care plan")]),
        plan(addresses=TO_ASTHMA, category=[{"text": "Self-care plan"}]),
    ],
)
def test_a_plan_is_recorded_unless_it_is_clearly_about_something_else(document: dict[str, Any]) -> None:
    assert isinstance(acts(bundle(breast_cancer(), asthma(), document))[0], PlanReceived)


def test_a_plan_for_another_condition_is_not_used_nor_are_its_goal_and_team() -> None:
    other = plan(addresses=TO_ASTHMA, goal=[{"reference": "Goal/g1"}], careTeam=[{"reference": "CareTeam/t1"}])
    goal = resource("Goal", id="g1", lifecycleStatus="active", description={"text": "Breathe"})
    team = resource("CareTeam", id="t1", status="active")
    assert "not known to be cancer" in why_unused(bundle(asthma(), other))
    assert "not about cancer" in why_unused(bundle(asthma(), other, goal))
    assert "not known to be cancer" in why_unused(bundle(asthma(), other, team))


def test_a_goal_is_set_and_an_action_names_it() -> None:
    goal = resource(
        "Goal", id="g1", lifecycleStatus="active", description={"text": "Swim again"}, startDate="2026-02-03"
    )
    [given] = instructions(goal)
    assert given.act == GoalSet(goal=f"{SOURCE}/Goal|g1", words="Swim again")
    activity = {"detail": {"status": "scheduled", "description": "Pool", "goal": [{"reference": "Goal/g1"}]}}
    agreed = acts(bundle(goal, plan(activity=[activity])))[-1]
    assert isinstance(agreed, ActionAgreed)
    assert agreed.goal == f"{SOURCE}/Goal|g1"
    assert "not agreed" in why_unused({**goal, "lifecycleStatus": "proposed"})


def test_professionals_of_a_team_join_the_patients_team() -> None:
    nurse = {"resourceType": "Practitioner", "id": "n1", "name": [{"text": "Sam Example"}]}
    members = [
        {"member": {"reference": "Practitioner/n1"}, "role": [{"text": "Cancer nurse specialist"}]},
        {"member": {"reference": "Patient/1", "display": "The patient"}},
        {"member": {"reference": "Organization/o1", "display": "A hospital"}},
        {"member": {"reference": "Practitioner/nameless"}},
    ]
    team = resource("CareTeam", status="active", participant=members, period={"start": "2026-02-01"})
    [given] = instructions(bundle(nurse, team))
    assert given.target == PATIENT
    assert given.act == ProfessionalJoinedTeam(
        professional=f"{SOURCE}/Practitioner|n1", name="Sam Example", role="Cancer nurse specialist"
    )
    assert "names no professional" in why_unused(resource("CareTeam", status="active"))


def test_drafts_are_not_used_and_withdrawals_need_a_person() -> None:
    assert "drafted" in why_unused(plan(status="draft"))
    assert refusal(plan(status="entered-in-error")) == ("withdrawal-by-hand", "/status")
