"""FHIR (R4, and what e-RS sends of STU3) to the plan's facts. One entry for every resource of a document."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from consumers import mns
from consumers.fhir.appointment import appointment, patient_of_appointment
from consumers.fhir.bundle import Part, parts, refused
from consumers.fhir.care_plan import care_plan
from consumers.fhir.care_team import care_team
from consumers.fhir.condition import condition
from consumers.fhir.encounter import encounter
from consumers.fhir.goal import goal
from consumers.fhir.medication import medication
from consumers.fhir.message import Message, Resource
from consumers.fhir.not_ours import NOT_OURS
from consumers.fhir.observation import observation
from consumers.fhir.parameters import refuse_call
from consumers.fhir.pathway import Outcome
from consumers.fhir.patient import patient
from consumers.fhir.procedure import procedure
from consumers.fhir.referral_request import referral_request
from consumers.fhir.service_request import service_request
from consumers.fhir.subject import patient_in, subject_of
from consumers.translation import Entry, NotOurs, Refusal, Refused, Sender, Translated
from domain.cancer_codes import CancerCodes, shipped
from domain.identity import PatientReference

TRANSLATORS: Mapping[str, Callable[[Message, Resource], Outcome]] = MappingProxyType(
    {
        "Appointment": appointment,
        "CarePlan": care_plan,
        "CareTeam": care_team,
        "Condition": condition,
        "Encounter": encounter,
        "Goal": goal,
        "MedicationAdministration": medication,
        "MedicationRequest": medication,
        "MedicationStatement": medication,
        "Observation": observation,
        "Patient": patient,
        "Procedure": procedure,
        "ReferralRequest": referral_request,
        "ServiceRequest": service_request,
    }
)
# Whose it is, where the type does not say so in `subject` or `patient`.
PATIENTS: Mapping[str, Callable[[Message, Resource], PatientReference]] = MappingProxyType(
    {"Appointment": patient_of_appointment, "Patient": patient_in}
)

# Resources of one message name each other, so reading them takes longer than their number alone says.
MOST_RESOURCES = 5_000


def translate(document: Any, sender: Sender, codes: CancerCodes | None = None) -> list[Entry]:
    """`document` is decoded JSON of any shape; `codes` are the shipped lists unless a deployment adds to them.

    Never raises: what cannot be read is refused at its place, and a bad resource never spoils its neighbours.
    """
    if mns.is_signal(document):
        return mns.translate(document, sender)
    found = parts(document)
    if len(found) > MOST_RESOURCES:
        action = "send it in smaller parts"
        return [Refused("", "Bundle", "too-many", "", f"more than {MOST_RESOURCES} resources in one message", action)]
    message = Message(sender, codes or shipped(), (each for each in found if isinstance(each, Resource)))
    return [_entry(message, part) for part in found]


def _entry(message: Message, part: Part) -> Entry:
    if isinstance(part, Refused):
        return part
    place = part.reading.pointer
    try:
        return _translated(message, part, place)
    except Refusal as refusal:
        return refused(place, _known_kind(part.kind), refusal)
    except ValidationError as error:
        return _unfit(part, place, error)


def _translated(message: Message, resource: Resource, place: str) -> Entry:
    if mns.is_notification(resource):
        patient_told, instructions = mns.notification(resource, message.sender)
        return Translated(place, resource.kind, patient_told, instructions)
    if resource.kind == "Parameters":
        raise refuse_call(resource)
    translator = TRANSLATORS.get(resource.kind)
    if translator is None:
        return _not_ours(resource, place)
    outcome = translator(message, resource)
    if isinstance(outcome, str):
        return NotOurs(place, resource.kind, outcome)
    whose = PATIENTS.get(resource.kind, subject_of)(message, resource)
    return Translated(place, resource.kind, whose, outcome, message.told_at(resource))


def _not_ours(resource: Resource, place: str) -> NotOurs:
    why = NOT_OURS.get(resource.kind)
    if why is None:
        raise resource.get("resourceType").refusal(
            "unknown-resource-type", "FHIR has no resource of this type", "send a resource type of FHIR R4"
        )
    return NotOurs(place, resource.kind, why)


def _unfit(resource: Resource, place: str, error: ValidationError) -> Refused:
    """A value that reads well but does not fit the fact. Only our own field names are told, never the value."""
    names = sorted({str(each["loc"][0]) for each in error.errors(include_input=False) if each["loc"]})
    return Refused(
        pointer=place,
        kind=_known_kind(resource.kind),
        code="unfit-value",
        field=place,
        detail=f"a value does not fit what is recorded as {', '.join(names) or 'a fact'}",
        action="shorten or correct the value",
    )


def _known_kind(kind: str) -> str:
    """A type of FHIR; anything else is a value of the message and not repeated."""
    return kind if kind in TRANSLATORS or kind in NOT_OURS or kind == "Parameters" else "unknown"
