"""The Personalised Cancer Plan: needs, goals, actions, assessments and support. One per patient.

The shape follows PRSB Personalised Care and Support Plan v2.0; assessment codes are COSD CR7900-CR7960.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from domain.facts import (
    NOTHING_NEW,
    Command,
    Decision,
    Decisions,
    Fact,
    Key,
    NotAllowed,
    NotFound,
    Recorded,
    Text,
    Value,
    Word,
)

Score = Annotated[int, Field(ge=0, le=10)]
Importance = Annotated[int, Field(ge=1, le=10)]


class PathwayPoint(StrEnum):
    """COSD CR7940, by its words."""

    DIAGNOSIS = "diagnosis"
    START_OF_TREATMENT = "start-of-treatment"
    DURING_TREATMENT = "during-treatment"
    END_OF_TREATMENT = "end-of-treatment"
    RECURRENCE = "recurrence"
    TRANSITION_TO_PALLIATIVE_CARE = "transition-to-palliative-care"
    PREHABILITATION = "prehabilitation"
    PALLIATIVE_OR_END_OF_LIFE = "palliative-or-end-of-life"
    OTHER = "other"


class ConcernScore(Value):
    """`concern` is a code of the assessment form's version; `words` is the person's own."""

    concern: Key
    score: Score | None = None
    words: Text | None = None


class AssessmentOffered(Fact):
    stored: ClassVar[str] = "care-plan.assessment-offered.v1"
    point: PathwayPoint
    staff_role: Word | None = None


class AssessmentDeclined(Fact):
    stored: ClassVar[str] = "care-plan.assessment-declined.v1"
    point: PathwayPoint


class AssessmentSubmitted(Fact):
    """No concerns is a finished, valid outcome: `concerns` is then empty."""

    stored: ClassVar[str] = "care-plan.assessment-submitted.v1"
    point: PathwayPoint
    form_version: Key
    concerns: tuple[ConcernScore, ...] = ()
    staff_role: Word | None = None


class PlanReceived(Fact):
    """Another system's care plan exists, and says this of itself; its activities come as actions."""

    stored: ClassVar[str] = "care-plan.plan-received.v1"
    plan: Key
    title: Word | None = None
    categories: tuple[Word, ...] = ()
    description: Text | None = None
    begins_on: Word | None = None
    ends_on: Word | None = None
    revoked: bool | None = None


class PlanAgreed(Fact):
    stored: ClassVar[str] = "care-plan.plan-agreed.v1"
    with_whom: tuple[Word, ...] = ()


class StrengthNoted(Fact):
    stored: ClassVar[str] = "care-plan.strength-noted.v1"
    words: Text


class NeedRaised(Fact):
    stored: ClassVar[str] = "care-plan.need-raised.v1"
    need: Key
    concern: Key
    score: Score | None = None
    words: Text | None = None


class NeedResolved(Fact):
    stored: ClassVar[str] = "care-plan.need-resolved.v1"
    need: Key
    outcome: Text | None = None


class GoalSet(Fact):
    stored: ClassVar[str] = "care-plan.goal-set.v1"
    goal: Key
    words: Text
    importance: Importance | None = None
    needs: tuple[Key, ...] = ()


class GoalReviewed(Fact):
    stored: ClassVar[str] = "care-plan.goal-reviewed.v1"
    goal: Key
    outcome: Text


class ActionAgreed(Fact):
    """What is to be done, by whom, when; `confidence` is the person's own, 0-10."""

    stored: ClassVar[str] = "care-plan.action-agreed.v1"
    action: Key
    what: Text
    goal: Key | None = None
    need: Key | None = None
    plan: Key | None = None
    owner: Word | None = None
    due: date | None = None
    confidence: Score | None = None


class ActionProgressed(Fact):
    stored: ClassVar[str] = "care-plan.action-progressed.v1"
    action: Key
    note: Text


class ActionFinished(Fact):
    stored: ClassVar[str] = "care-plan.action-finished.v1"
    action: Key
    outcome: Text | None = None


class ActionDropped(Fact):
    stored: ClassVar[str] = "care-plan.action-dropped.v1"
    action: Key
    reason: Text | None = None


class ContingencyPlanSet(Fact):
    """Who to call, what to look out for, what should happen (PRSB contingency plan)."""

    stored: ClassVar[str] = "care-plan.contingency-plan-set.v1"
    call_in_hours: Word | None = None
    call_out_of_hours: Word | None = None
    warning_signs: tuple[Text, ...] = ()
    urgent_signs: tuple[Text, ...] = ()
    what_should_happen: Text | None = None


class SupportSuggested(Fact):
    stored: ClassVar[str] = "care-plan.support-suggested.v1"
    support: Key
    service: Word
    need: Key | None = None
    why: Text | None = None
    contact: Word | None = None


class SupportOffered(Fact):
    stored: ClassVar[str] = "care-plan.support-offered.v1"
    support: Key
    service: Word
    need: Key | None = None
    contact: Word | None = None


class SupportAccepted(Fact):
    stored: ClassVar[str] = "care-plan.support-accepted.v1"
    support: Key


class SupportDeclined(Fact):
    stored: ClassVar[str] = "care-plan.support-declined.v1"
    support: Key


class SupportStarted(Fact):
    stored: ClassVar[str] = "care-plan.support-started.v1"
    support: Key


class SupportEnded(Fact):
    stored: ClassVar[str] = "care-plan.support-ended.v1"
    support: Key


class SignpostGiven(Fact):
    """Information was given; no data about the person left."""

    stored: ClassVar[str] = "care-plan.signpost-given.v1"
    service: Word
    contact: Word | None = None


class ReviewScheduled(Fact):
    stored: ClassVar[str] = "care-plan.review-scheduled.v1"
    due: date
    owner: Word | None = None


class ReviewHeld(Fact):
    stored: ClassVar[str] = "care-plan.review-held.v1"
    summary: Text | None = None


FACTS: tuple[type[Fact], ...] = (
    AssessmentOffered,
    AssessmentDeclined,
    AssessmentSubmitted,
    PlanReceived,
    StrengthNoted,
    NeedRaised,
    GoalSet,
    ActionAgreed,
    ContingencyPlanSet,
    SupportSuggested,
    SupportOffered,
    SignpostGiven,
    SupportAccepted,
    SupportDeclined,
    SupportStarted,
    SupportEnded,
    ActionProgressed,
    ActionFinished,
    ActionDropped,
    GoalReviewed,
    NeedResolved,
    PlanAgreed,
    ReviewScheduled,
    ReviewHeld,
)


class CarePlan(NamedTuple):
    open_needs: frozenset[str] = frozenset()
    resolved_needs: frozenset[str] = frozenset()
    goals: frozenset[str] = frozenset()
    open_actions: frozenset[str] = frozenset()
    over_actions: frozenset[str] = frozenset()
    support: Mapping[str, str] = MappingProxyType({})
    offered: frozenset[PathwayPoint] = frozenset()


def evolve(plan: CarePlan, event: Recorded) -> CarePlan:
    match event.fact:
        case NeedRaised(need=need):
            return plan._replace(open_needs=plan.open_needs | {need})
        case NeedResolved(need=need):
            return plan._replace(open_needs=plan.open_needs - {need}, resolved_needs=plan.resolved_needs | {need})
        case GoalSet(goal=goal):
            return plan._replace(goals=plan.goals | {goal})
        case ActionAgreed(action=action):
            return plan._replace(open_actions=plan.open_actions | {action})
        case ActionFinished(action=action) | ActionDropped(action=action):
            return plan._replace(open_actions=plan.open_actions - {action}, over_actions=plan.over_actions | {action})
        case AssessmentOffered(point=point):
            return plan._replace(offered=plan.offered | {point})
        case _:
            return _evolve_support(plan, event)


def _evolve_support(plan: CarePlan, event: Recorded) -> CarePlan:
    match event.fact:
        case SupportSuggested(support=key):
            stage = "suggested"
        case SupportOffered(support=key):
            stage = "offered"
        case SupportAccepted(support=key):
            stage = "accepted"
        case SupportDeclined(support=key):
            stage = "declined"
        case SupportStarted(support=key):
            stage = "started"
        case SupportEnded(support=key):
            stage = "ended"
        case _:
            return plan
    return plan._replace(support={**plan.support, key: stage})


class OfferAssessment(Command):
    point: PathwayPoint
    staff_role: Word | None = None


def offer_assessment(plan: CarePlan, command: OfferAssessment) -> Decision:
    if command.point in plan.offered:
        return NOTHING_NEW
    return AssessmentOffered(**command.model_dump())


class SubmitAssessment(Command):
    point: PathwayPoint
    form_version: Key
    concerns: tuple[ConcernScore, ...] = ()
    staff_role: Word | None = None


def submit_assessment(plan: CarePlan, command: SubmitAssessment) -> Decision:
    return AssessmentSubmitted(**command.model_dump())


class RaiseNeed(Command):
    need: Key
    concern: Key
    score: Score | None = None
    words: Text | None = None


def raise_need(plan: CarePlan, command: RaiseNeed) -> Decision:
    if command.need in plan.open_needs:
        return NOTHING_NEW
    if command.need in plan.resolved_needs:
        raise NotAllowed("this need was resolved; raise a new one")
    return NeedRaised(**command.model_dump())


class ResolveNeed(Command):
    need: Key
    outcome: Text | None = None


def resolve_need(plan: CarePlan, command: ResolveNeed) -> Decision:
    if command.need in plan.resolved_needs:
        return NOTHING_NEW
    if command.need not in plan.open_needs:
        raise NotFound("the plan has no such need")
    return NeedResolved(**command.model_dump())


class SetGoal(Command):
    goal: Key
    words: Annotated[Text, Field(min_length=1)]
    importance: Importance | None = None
    needs: tuple[Key, ...] = ()


def set_goal(plan: CarePlan, command: SetGoal) -> Decision:
    if command.goal in plan.goals:
        return NOTHING_NEW
    if not set(command.needs) <= plan.open_needs | plan.resolved_needs:
        raise NotFound("a goal names a need that the plan does not have")
    return GoalSet(**command.model_dump())


class AgreeAction(Command):
    action: Key
    what: Annotated[Text, Field(min_length=1)]
    goal: Key | None = None
    need: Key | None = None
    owner: Word | None = None
    due: date | None = None
    confidence: Score | None = None


def agree_action(plan: CarePlan, command: AgreeAction) -> Decision:
    if command.action in plan.open_actions:
        return NOTHING_NEW
    if command.action in plan.over_actions:
        raise NotAllowed("this action is over; agree a new one")
    if command.goal is not None and command.goal not in plan.goals:
        raise NotFound("the action names a goal that the plan does not have")
    if command.need is not None and command.need not in plan.open_needs | plan.resolved_needs:
        raise NotFound("the action names a need that the plan does not have")
    return ActionAgreed(**command.model_dump())


class FinishAction(Command):
    action: Key
    outcome: Text | None = None


def finish_action(plan: CarePlan, command: FinishAction) -> Decision:
    if command.action in plan.over_actions:
        return NOTHING_NEW
    if command.action not in plan.open_actions:
        raise NotFound("the plan has no such action")
    return ActionFinished(**command.model_dump())


class SuggestSupport(Command):
    support: Key
    service: Key
    need: Key | None = None
    why: Text | None = None
    contact: Word | None = None


def suggest_support(plan: CarePlan, command: SuggestSupport) -> Decision:
    if command.support in plan.support:
        return NOTHING_NEW
    return SupportSuggested(**command.model_dump())


class AcceptSupport(Command):
    support: Key


def accept_support(plan: CarePlan, command: AcceptSupport) -> Decision:
    return _answer_support(plan, command.support, "accepted", SupportAccepted(support=command.support))


class DeclineSupport(Command):
    support: Key


def decline_support(plan: CarePlan, command: DeclineSupport) -> Decision:
    return _answer_support(plan, command.support, "declined", SupportDeclined(support=command.support))


def _answer_support(plan: CarePlan, support: str, answer: str, fact: Fact) -> Decision:
    stage = plan.support.get(support)
    if stage == answer:
        return NOTHING_NEW
    if stage is None:
        raise NotFound("this support was neither suggested nor offered")
    if stage in ("started", "ended"):
        raise NotAllowed("this support has started already")
    return fact


DECISIONS: Decisions = {
    OfferAssessment: offer_assessment,
    SubmitAssessment: submit_assessment,
    RaiseNeed: raise_need,
    ResolveNeed: resolve_need,
    SetGoal: set_goal,
    AgreeAction: agree_action,
    FinishAction: finish_action,
    SuggestSupport: suggest_support,
    AcceptSupport: accept_support,
    DeclineSupport: decline_support,
}
