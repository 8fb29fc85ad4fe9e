"""What patients and professionals do to the plan: care leads, needs, goals, actions, support, assessments."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from api.commands import Asked, Body, carry_out, made_id
from api.subjects import ByClinician, ByPatientOrClinician
from domain import care_plan, patient
from domain.care_plan import ConcernScore, Importance, PathwayPoint, Score
from domain.facts import CARE_PLAN, PATIENT, Key, Text, Word
from domain.patient import CareLeadRole

routes = APIRouter(tags=["command"])
clinical = APIRouter(tags=["command"])

Named = Annotated[str, Path(min_length=1, max_length=300)]
Said = Annotated[Text, Field(min_length=1)]


class CareLead(Body):
    role: CareLeadRole
    professional: Key
    name: Key
    organisation: Word | None = None
    telephone: Word | None = None


class Need(Body):
    concern: Key
    score: Score | None = None
    words: Text | None = None
    need: Key | None = None


class Outcome(Body):
    outcome: Text | None = None


class Goal(Body):
    words: Said
    importance: Importance | None = None
    needs: Annotated[tuple[Key, ...], Field(max_length=50)] = ()
    goal: Key | None = None


class Action(Body):
    what: Said
    goal: Key | None = None
    need: Key | None = None
    owner: Word | None = None
    due: date | None = None
    confidence: Score | None = None
    action: Key | None = None


class Support(Body):
    service: Key
    need: Key | None = None
    why: Text | None = None
    contact: Word | None = None
    support: Key | None = None


class Assessment(Body):
    point: PathwayPoint
    form_version: Key
    concerns: Annotated[tuple[ConcernScore, ...], Field(max_length=100)] = ()
    staff_role: Word | None = None


class AboutMe(Body):
    heading: Key
    words: Said


@clinical.post("/care-leads", status_code=201, summary="Name the professional who holds a care lead role")
async def name_care_lead(intent: ByClinician, body: CareLead) -> Response:
    return await carry_out(intent, Asked(PATIENT, patient.NameCareLead(**body.model_dump()), body))


@clinical.post("/care-leads/{role}/told", status_code=201, summary="Note that the patient was told who their lead is")
async def tell_of_care_lead(intent: ByClinician, role: CareLeadRole) -> Response:
    return await carry_out(intent, Asked(PATIENT, patient.TellOfCareLead(role=role), None))


@routes.post("/about-me", status_code=201, summary="Write what the person wants others to know")
async def write_about_me(intent: ByPatientOrClinician, body: AboutMe) -> Response:
    return await carry_out(intent, Asked(PATIENT, patient.WriteAboutMe(**body.model_dump()), body))


@routes.post("/plan/needs", status_code=201, summary="Raise a need")
async def raise_need(intent: ByPatientOrClinician, body: Need) -> Response:
    need = made_id(intent, body.need)
    command = care_plan.RaiseNeed(**body.model_dump() | {"need": need})
    return await carry_out(intent, Asked(CARE_PLAN, command, body, made=need))


@routes.post("/plan/needs/{need}/resolution", status_code=201, summary="Resolve a need")
async def resolve_need(intent: ByPatientOrClinician, need: Named, body: Outcome) -> Response:
    command = care_plan.ResolveNeed(need=need, outcome=body.outcome)
    return await carry_out(intent, Asked(CARE_PLAN, command, body, refers=(("need", need),)))


@routes.post("/plan/goals", status_code=201, summary="Set a goal")
async def set_goal(intent: ByPatientOrClinician, body: Goal) -> Response:
    goal = made_id(intent, body.goal)
    command = care_plan.SetGoal(**body.model_dump() | {"goal": goal})
    refers = tuple(("need", need) for need in body.needs)
    return await carry_out(intent, Asked(CARE_PLAN, command, body, made=goal, refers=refers))


@routes.post("/plan/actions", status_code=201, summary="Agree an action")
async def agree_action(intent: ByPatientOrClinician, body: Action) -> Response:
    action = made_id(intent, body.action)
    command = care_plan.AgreeAction(**body.model_dump() | {"action": action})
    refers = _told(goal=body.goal, need=body.need)
    return await carry_out(intent, Asked(CARE_PLAN, command, body, made=action, refers=refers))


@routes.post("/plan/actions/{action}/completion", status_code=201, summary="Note that an action is done")
async def finish_action(intent: ByPatientOrClinician, action: Named, body: Outcome) -> Response:
    command = care_plan.FinishAction(action=action, outcome=body.outcome)
    return await carry_out(intent, Asked(CARE_PLAN, command, body, refers=(("action", action),)))


@clinical.post("/plan/support", status_code=201, summary="Suggest support")
async def suggest_support(intent: ByClinician, body: Support) -> Response:
    support = made_id(intent, body.support)
    command = care_plan.SuggestSupport(**body.model_dump() | {"support": support})
    return await carry_out(intent, Asked(CARE_PLAN, command, body, made=support))


@routes.post("/plan/support/{support}/acceptance", status_code=201, summary="Accept support")
async def accept_support(intent: ByPatientOrClinician, support: Named) -> Response:
    command = care_plan.AcceptSupport(support=support)
    return await carry_out(intent, Asked(CARE_PLAN, command, None, refers=(("support", support),)))


@routes.post("/plan/support/{support}/declination", status_code=201, summary="Decline support")
async def decline_support(intent: ByPatientOrClinician, support: Named) -> Response:
    command = care_plan.DeclineSupport(support=support)
    return await carry_out(intent, Asked(CARE_PLAN, command, None, refers=(("support", support),)))


@routes.post("/plan/assessments", status_code=201, summary="Submit a needs assessment; no concerns is valid")
async def submit_assessment(intent: ByPatientOrClinician, body: Assessment) -> Response:
    command = care_plan.SubmitAssessment(**body.model_dump())
    return await carry_out(intent, Asked(CARE_PLAN, command, body))


def _told(**refers: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in refers.items() if value is not None)
