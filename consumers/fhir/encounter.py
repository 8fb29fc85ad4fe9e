"""FHIR Encounter: a finished outpatient encounter is an attended appointment; other kinds are not the plan's."""

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import Outcome
from consumers.fhir.reading import all_codings, codings, concept_words
from consumers.translation import Instruction
from domain.appointment import AppointmentAttended
from domain.facts import Category, Coding, Target

_OUTPATIENT = ("AMB", "VR", "ambulatory", "outpatient", "virtual")
_OTHER = {
    "EMER": "an emergency attendance",
    "emergency": "an emergency attendance",
    "IMP": "an admission to hospital",
    "ACUTE": "an admission to hospital",
    "NONAC": "an admission to hospital",
    "inpatient": "an admission to hospital",
    "HH": "a visit at home",
    "home": "a visit at home",
}


def encounter(message: Message, resource: Resource) -> Outcome:
    kinds = [each.code for place in resource.get("class").items() for each in codings(place)]
    if isinstance(resource.get("class").value, str):
        kinds = [resource.get("class").key() or ""]
    status = resource.get("status").key()
    if not any(kind in _OUTPATIENT for kind in kinds):
        other = next((_OTHER[kind] for kind in kinds if kind in _OTHER), "an encounter of a kind")
        return f"{other} that is not an appointment"
    if status == "entered-in-error":
        return _withdrawn(message, resource)
    if status not in ("finished", "completed"):
        return "an outpatient encounter that is not finished"
    if not resource.get("period", "start"):
        raise resource.get("period", "start").missing("send when the encounter began")
    began = resource.get("period", "start").occurred() or message.versioned_at(resource)
    return (Instruction(_target(message, resource), _attended(message, resource), began),)


def _target(message: Message, resource: Resource) -> Target:
    """The appointment that it names, else one of its own."""
    for each in resource.get("appointment").items():
        key = message.key_of_reference(each, "Appointment", resource)
        if key is not None:
            return Target(Category.APPOINTMENT, key)
    return Target(Category.APPOINTMENT, message.key_of(resource))


def _attended(message: Message, resource: Resource) -> AppointmentAttended:
    people = (each.first("individual", "actor") for each in resource.get("participant").items())
    names = (message.name_of_actor(each, resource) for each in people if each)
    kinds = (concept_words(each) for each in resource.get("type").items())
    return AppointmentAttended(
        start=resource.get("period", "start").instant(),
        end=resource.get("period", "end").instant(),
        specialty=next(iter(codings(resource.get("serviceType"))), None),
        kind=next((each for each in kinds if each), None),
        organisation=message.name_of_actor(resource.get("serviceProvider"), resource),
        clinician=next((each for each in names if each), None),
        reasons=_reasons(message, resource),
    )


def _reasons(message: Message, resource: Resource) -> tuple[Coding, ...]:
    coded = all_codings(resource.get("reasonCode").items())
    found = (message.resolve(each, resource) for each in resource.get("reasonReference").items())
    return (*coded, *(code for each in found if each is not None for code in codings(each.get("code"))))


def _withdrawn(message: Message, resource: Resource) -> Outcome:
    if resource.get("appointment").items():
        raise resource.get("status").withdrawal("attendance", "an appointment")
    return (Instruction(_target(message, resource), message.retraction(resource), message.versioned_at(resource)),)
