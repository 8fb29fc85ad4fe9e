"""FHIR CareTeam: professionals who joined the team of the patient."""

from consumers.fhir.care_plan import belongs_to_other_plans
from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import Outcome, cancer_in
from consumers.fhir.reading import Reading, all_codings, concept_words, first_occurred
from consumers.translation import Instruction
from domain.facts import PATIENT
from domain.patient import ProfessionalJoinedTeam


def care_team(message: Message, resource: Resource) -> Outcome:
    if resource.get("status").key() == "entered-in-error":
        raise resource.get("status").withdrawal("team", "the patient")
    if resource.get("status").key() in ("proposed", "inactive", "suspended"):
        return "a care team that is not at work"
    if _is_for_another_condition(message, resource) or belongs_to_other_plans(message, resource, "careTeam"):
        return "a care team for a condition that is not known to be cancer"
    when = first_occurred(resource.get("period", "start")) or message.versioned_at(resource)
    members = [_joined(message, each, resource) for each in resource.get("participant").items()]
    joined = tuple(Instruction(PATIENT, each, when) for each in members if each is not None)
    return joined or "a care team that names no professional"


def _joined(message: Message, participant: Reading, within: Resource) -> ProfessionalJoinedTeam | None:
    member = participant.get("member")
    agent = message.agent(member, within)
    found = message.resolve(member, within)
    kind = found.kind if found else (member.get("reference").text() or "").split("/")[0]
    roles = all_codings(participant.get("role").items())
    if agent is None or agent.name is None or kind in ("Patient", "Organization", "RelatedPerson", "CareTeam"):
        return None
    if any(each.code in ("116153009", "224891009") for each in roles):
        return None  # the patient, and services rather than people, as some systems put them on a team
    return ProfessionalJoinedTeam(
        professional=agent.identifier or agent.name,
        name=agent.name,
        role=next((words for words in map(concept_words, participant.get("role").items()) if words), None),
        organisation=message.name_of_actor(participant.get("onBehalfOf"), within),
    )


def _is_for_another_condition(message: Message, resource: Resource) -> bool:
    reasons = all_codings(resource.get("reasonCode").items())
    found = [message.resolve(each, resource) for each in resource.get("reasonReference").items()]
    conditions = [each for each in found if each is not None and each.kind == "Condition"]
    if message.codes.cancer(reasons) or any(cancer_in(message, each) for each in conditions):
        return False
    return bool(reasons or conditions)
