"""The Personalised Cancer Plan, in the shape of PRSB Personalised Care and Support Plan v2.0.

Needs hold their goals, goals their actions; what hangs on nothing recorded stands in a list of its own, never lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import MappingProxyType

from domain import care_plan
from projections.folds import assessments, person
from projections.folds.assessments import Assessments, Support
from projections.folds.folding import NOT_RECORDED, Document, Entry, Handlers, Part, Projection, empty_sections
from projections.folds.person import Person


@dataclass
class Strengths:
    strengths: list[Document] = field(default_factory=list)


@dataclass
class Needs:
    needs: dict[str, Document] = field(default_factory=dict)
    goals: dict[str, Document] = field(default_factory=dict)
    actions: dict[str, Document] = field(default_factory=dict)


@dataclass
class ContingencyPlan:
    contingency_plan: Document | None = None


@dataclass
class Agreements:
    plans_received: dict[str, Document] = field(default_factory=dict)
    signposts: list[Document] = field(default_factory=list)
    agreed: Document | None = None
    next_review: Document | None = None
    reviews_held: list[Document] = field(default_factory=list)


def _strength_noted(plan: Strengths, _: care_plan.StrengthNoted, entry: Entry) -> None:
    plan.strengths.append(entry.item)


def _need_raised(plan: Needs, fact: care_plan.NeedRaised, entry: Entry) -> None:
    plan.needs[fact.need] = entry.item | {"status": entry.stamped("raised"), "outcome": NOT_RECORDED}


def _need_resolved(plan: Needs, fact: care_plan.NeedResolved, entry: Entry) -> None:
    resolved = entry.item
    raised = plan.needs.get(fact.need) or _blank("need", fact.need, ("concern", "score", "words"), entry)
    plan.needs[fact.need] = raised | {"status": entry.stamped("resolved"), "outcome": resolved["outcome"]}


def _goal_set(plan: Needs, fact: care_plan.GoalSet, entry: Entry) -> None:
    reviewed = plan.goals[fact.goal]["outcomes"] if fact.goal in plan.goals else []
    plan.goals[fact.goal] = entry.item | {"status": entry.stamped("set"), "outcomes": reviewed}


def _goal_reviewed(plan: Needs, fact: care_plan.GoalReviewed, entry: Entry) -> None:
    goal = plan.goals.get(fact.goal)
    if goal is None:
        goal = _blank("goal", fact.goal, ("words", "importance"), entry) | {"needs": [], "outcomes": []}
    outcomes = [*goal["outcomes"], entry.stamped(fact.outcome)]
    plan.goals[fact.goal] = goal | {"status": entry.stamped("reviewed"), "outcomes": outcomes}


_ACTION_FIELDS = ("what", "goal", "need", "plan", "owner", "due", "confidence")


def _action_agreed(plan: Needs, fact: care_plan.ActionAgreed, entry: Entry) -> None:
    noted = plan.actions[fact.action]["notes"] if fact.action in plan.actions else []
    later = {"status": entry.stamped("agreed"), "outcome": NOT_RECORDED, "notes": noted}
    plan.actions[fact.action] = entry.item | later


def _action_progressed(plan: Needs, fact: care_plan.ActionProgressed, entry: Entry) -> None:
    action = _action(plan, fact.action, entry)
    notes = [*action["notes"], entry.stamped(fact.note)]
    status = action["status"] if action["status"]["value"] in ("finished", "dropped") else entry.stamped("in-progress")
    plan.actions[fact.action] = action | {"status": status, "notes": notes}


def _action_finished(plan: Needs, fact: care_plan.ActionFinished, entry: Entry) -> None:
    over = {"status": entry.stamped("finished"), "outcome": entry.item["outcome"]}
    plan.actions[fact.action] = _action(plan, fact.action, entry) | over


def _action_dropped(plan: Needs, fact: care_plan.ActionDropped, entry: Entry) -> None:
    over = {"status": entry.stamped("dropped"), "outcome": entry.item["reason"]}
    plan.actions[fact.action] = _action(plan, fact.action, entry) | over


def _action(plan: Needs, key: str, entry: Entry) -> Document:
    """A source may tell what became of an action without ever having told of its agreement."""
    agreed = plan.actions.get(key)
    if agreed is not None:
        return agreed
    return _blank("action", key, _ACTION_FIELDS, entry) | {"outcome": NOT_RECORDED, "notes": []}


def _blank(kind: str, key: str, fields: Iterable[str], entry: Entry) -> Document:
    unknown = dict.fromkeys(fields, NOT_RECORDED)
    return {kind: key, **unknown, **entry.stamp, "status": {"value": NOT_RECORDED}}


def _contingency_plan_set(plan: ContingencyPlan, _: care_plan.ContingencyPlanSet, entry: Entry) -> None:
    plan.contingency_plan = entry.item


def _plan_received(plan: Agreements, fact: care_plan.PlanReceived, entry: Entry) -> None:
    plan.plans_received[fact.plan] = entry.item


def _signpost_given(plan: Agreements, _: care_plan.SignpostGiven, entry: Entry) -> None:
    plan.signposts.append(entry.item)


def _plan_agreed(plan: Agreements, _: care_plan.PlanAgreed, entry: Entry) -> None:
    plan.agreed = entry.item


def _review_scheduled(plan: Agreements, _: care_plan.ReviewScheduled, entry: Entry) -> None:
    plan.next_review = entry.item


def _review_held(plan: Agreements, _: care_plan.ReviewHeld, entry: Entry) -> None:
    plan.reviews_held.append(entry.item)
    plan.next_review = None


_NEEDS: Handlers = MappingProxyType(
    {
        care_plan.NeedRaised: _need_raised,
        care_plan.NeedResolved: _need_resolved,
        care_plan.GoalSet: _goal_set,
        care_plan.GoalReviewed: _goal_reviewed,
        care_plan.ActionAgreed: _action_agreed,
        care_plan.ActionProgressed: _action_progressed,
        care_plan.ActionFinished: _action_finished,
        care_plan.ActionDropped: _action_dropped,
    }
)
_AGREEMENTS: Handlers = MappingProxyType(
    {
        care_plan.PlanReceived: _plan_received,
        care_plan.SignpostGiven: _signpost_given,
        care_plan.PlanAgreed: _plan_agreed,
        care_plan.ReviewScheduled: _review_scheduled,
        care_plan.ReviewHeld: _review_held,
    }
)


def _agreements(plan: Agreements) -> Document:
    return {
        "plans_received": list(plan.plans_received.values()),
        "signposts": list(plan.signposts),
        "agreed": plan.agreed or NOT_RECORDED,
        "next_review": plan.next_review or NOT_RECORDED,
        "reviews_held": list(plan.reviews_held),
    }


def _needs_goals_actions(plan: Needs) -> Document:
    """Each goal once, under the first of its needs that is recorded; each action once, under its goal or need."""
    of_goal: dict[str, list[Document]] = {key: [] for key in plan.goals}
    of_need: dict[str, list[Document]] = {key: [] for key in plan.needs}
    other_actions: list[Document] = []
    for action in plan.actions.values():
        of_goal.get(action["goal"], of_need.get(action["need"], other_actions)).append(action)
    goals_of_need: dict[str, list[Document]] = {key: [] for key in plan.needs}
    other_goals: list[Document] = []
    for key, goal in plan.goals.items():
        need = next((need for need in goal["needs"] if need in goals_of_need), "")
        goals_of_need.get(need, other_goals).append(goal | {"actions": of_goal[key]})
    needs = [need | {"goals": goals_of_need[key], "actions": of_need[key]} for key, need in plan.needs.items()]
    return {"needs": needs, "other_goals": other_goals, "other_actions": other_actions}


def _what_is_missing(members: Document) -> Document:
    """Names the sections about which nothing is recorded; goals and actions count wherever they hang."""
    goals = [*members["other_goals"], *(goal for need in members["needs"] for goal in need["goals"])]
    missing = empty_sections(members, _NEVER_MISSING)
    if not goals:
        missing.append("goals")
    if not members["other_actions"] and not any(holder["actions"] for holder in (*members["needs"], *goals)):
        missing.append("actions")
    return {"not_recorded": missing}


# Every heading of these is there whether or not anything is recorded; others say what hangs on nothing.
_NEVER_MISSING = frozenset(("patient", "about_me", "contacts", "other_goals", "other_actions"))
_PARTS = (
    Part(Person, {**person.IDENTITY, **person.PREFERENCES}, lambda state: {"patient": person.demographics(state)}),
    Part(person.OwnWords, person.OWN_WORDS, lambda state: {"about_me": person.about_me(state)}),
    Part(person.Contacts, person.CONTACTS, lambda state: {"contacts": person.contacts(state)}),
    Part(
        Strengths,
        {care_plan.StrengthNoted: _strength_noted},
        lambda state: {"strengths": list(state.strengths)},
    ),
    Part(Needs, _NEEDS, _needs_goals_actions),
    Part(
        ContingencyPlan,
        {care_plan.ContingencyPlanSet: _contingency_plan_set},
        lambda state: {"contingency_plan": state.contingency_plan or NOT_RECORDED},
    ),
    Part(Support, assessments.SUPPORT, lambda state: {"support": assessments.support(state)}),
    Part(Assessments, assessments.ASSESSMENTS, lambda state: {"assessments": list(state.assessments)}),
    Part(Agreements, _AGREEMENTS, _agreements),
)
PLAN = Projection("plan", 1, _PARTS, _what_is_missing)
