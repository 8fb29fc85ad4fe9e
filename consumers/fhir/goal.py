"""FHIR Goal of another system's care plan."""

from consumers.fhir.care_plan import belongs_to_other_plans
from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import Outcome
from consumers.fhir.reading import concept_words, first_occurred
from consumers.translation import Instruction
from domain.care_plan import GoalSet
from domain.facts import CARE_PLAN


def goal(message: Message, resource: Resource) -> Outcome:
    if resource.get("lifecycleStatus").key() == "entered-in-error":
        raise resource.get("lifecycleStatus").withdrawal("goal", "a plan")
    if resource.get("lifecycleStatus").key() in ("proposed", "rejected", "cancelled"):
        return "a goal that is not agreed"
    if belongs_to_other_plans(message, resource, "goal"):
        return "a goal of a care plan that is not about cancer"
    words = concept_words(resource.get("description"))
    if words is None:
        raise resource.get("description").missing("send what the goal is, in words")
    when = first_occurred(resource.get("startDate"), resource.get("statusDate")) or message.versioned_at(resource)
    fact = GoalSet(goal=message.key_of(resource), words=words)
    return (Instruction(CARE_PLAN, fact, when),)
