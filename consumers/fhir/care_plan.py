"""FHIR CarePlan of another system: received beside the Personalised Cancer Plan, never over it."""

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import Outcome, cancer_in
from consumers.fhir.reading import Reading, concept_words, first_occurred, has_code
from consumers.translation import Instruction
from domain.care_plan import ActionAgreed, ActionDropped, ActionFinished, PlanReceived
from domain.facts import CARE_PLAN, Fact, scoped_key
from domain.times import Occurred

_CANCER_CARE_PLAN = "395082007"
_SUPPORT = ("self care", "self-care", "self management", "self-management", "support", "wellbeing")


def care_plan(message: Message, resource: Resource) -> Outcome:
    status = resource.get("status").key()
    if status == "entered-in-error":
        raise resource.get("status").withdrawal("plan", "a plan")
    if status == "draft" or resource.get("intent").key() in ("proposal", "option"):
        return "a care plan that is only proposed or drafted"
    if not is_for_cancer_or_support(message, resource):
        return "a care plan whose conditions are not known to be cancer"
    plan = message.key_of(resource)
    begins = first_occurred(resource.get("period", "start"), resource.get("created")) or message.versioned_at(resource)
    fact = PlanReceived(
        plan=plan,
        title=resource.get("title").word(),
        categories=tuple(words for words in map(concept_words, resource.get("category").items()) if words),
        description=resource.get("description").text(),
        begins_on=resource.get("period", "start").partial_date(),
        ends_on=resource.get("period", "end").partial_date(),
        revoked=True if status in ("revoked", "cancelled") else None,
    )
    author = message.agent(resource.get("author"), resource)
    return (Instruction(CARE_PLAN, fact, begins, author), *_actions(message, resource, plan, begins))


def is_for_cancer_or_support(message: Message, resource: Resource) -> bool:
    """No only where a condition that it addresses is in the message, none is cancer, and it is no support plan."""
    categories = resource.get("category").items()
    if any(has_code(each, _CANCER_CARE_PLAN) for each in categories):
        return True
    words = " ".join(concept_words(each) or "" for each in categories).casefold()
    if any(each in words for each in _SUPPORT):
        return True
    addressed = [message.resolve(each, resource) for each in resource.get("addresses").items()]
    conditions = [each for each in addressed if each is not None and each.kind == "Condition"]
    return not conditions or any(cancer_in(message, each) for each in conditions)


def belongs_to_other_plans(message: Message, resource: Resource, member: str) -> bool:
    """Care plans of the message name it, and none of them is about cancer."""
    plans = message.naming(resource, "CarePlan", member)
    return bool(plans) and not any(is_for_cancer_or_support(message, plan) for plan in plans)


def _actions(message: Message, resource: Resource, plan: str, begins: Occurred) -> list[Instruction]:
    told: list[Instruction] = []
    for index, activity in enumerate(resource.get("activity").items()):
        detail = activity.get("detail")
        what = detail.get("description").text() or (concept_words(detail.get("code")) if detail.get("code") else None)
        if what is None or detail.get("status").key() == "entered-in-error":
            continue
        key = scoped_key(plan, activity.get("id").key() or str(index))
        told.append(Instruction(CARE_PLAN, _agreed(message, detail, resource, key, plan, what), begins))
        over = _over(detail, key)
        if over is not None:
            ended = first_occurred(detail.get("scheduledPeriod", "end"), resource.get("period", "end"))
            told.append(Instruction(CARE_PLAN, over, ended or message.versioned_at(resource)))
    return told


def _agreed(message: Message, detail: Reading, resource: Resource, key: str, plan: str, what: str) -> ActionAgreed:
    goals = (message.resolve(each, resource) for each in detail.get("goal").items())
    owners = (message.name_of_actor(each, resource) for each in detail.get("performer").items())
    return ActionAgreed(
        action=key,
        what=what,
        goal=next((message.key_of(each) for each in goals if each is not None), None),
        plan=plan,
        owner=next((each for each in owners if each), None),
        due=detail.get("scheduledPeriod", "end").day(),
    )


def _over(detail: Reading, key: str) -> Fact | None:
    status = detail.get("status").key()
    if status == "completed":
        return ActionFinished(action=key)
    reason = concept_words(detail.get("statusReason")) if detail.get("statusReason") else None
    return ActionDropped(action=key, reason=reason) if status in ("cancelled", "stopped") else None
