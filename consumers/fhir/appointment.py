"""FHIR Appointment, of R4 and of e-RS (STU3): what was booked, and what came of it."""

from collections.abc import Iterable

from consumers.fhir.message import Message, Resource, kind_of
from consumers.fhir.reading import Reading, all_codings, concept_words, extension
from consumers.fhir.service_request import referral_key_at
from consumers.fhir.subject import patient_at
from consumers.translation import Instruction
from domain.appointment import (
    AppointmentAttended,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCancelledByPatient,
    AppointmentCancelledByProvider,
    AppointmentNotAttended,
    Medium,
)
from domain.facts import Category, Fact, Target
from domain.identity import PatientReference

_NOT_BOOKED = ("proposed", "pending", "waitlist")
_BOOKED = ("booked", "arrived", "checked-in")
_MEDIA = {
    "telephone": Medium.TELEPHONE,
    "phone": Medium.TELEPHONE,
    "video": Medium.VIDEO,
    "videoconference": Medium.VIDEO,
    "in-person": Medium.FACE_TO_FACE,
    "face-to-face": Medium.FACE_TO_FACE,
}
# e-RS: reasons by which a provider gives an appointment back.
_ERS_BY_PROVIDER = ("PROVIDER_CANCELLATION", "SERVICE_INAPPROPRIATE")


def appointment(message: Message, resource: Resource) -> tuple[Instruction, ...] | str:
    status = resource.get("status").key()
    if status in _NOT_BOOKED:
        return "an appointment that is asked for and not booked yet"
    target = Target(Category.APPOINTMENT, message.key_of(resource))
    if status == "entered-in-error":
        return (Instruction(target, message.retraction(resource), message.versioned_at(resource)),)
    if status in _BOOKED:
        return (_booking(message, resource, target),)
    if status not in ("fulfilled", "cancelled", "noshow"):
        raise resource.get("status").refusal(
            "unknown-status",
            "the status is none of an appointment",
            "send proposed, pending, booked, arrived, checked-in, fulfilled, cancelled, noshow or entered-in-error",
        )
    is_known_booking = bool(resource.get("start")) and bool(resource.get("created"))
    before = (_booking(message, resource, target),) if is_known_booking else ()
    return (*before, _end(message, resource, target, status))


def patient_of_appointment(message: Message, resource: Resource) -> PatientReference:
    """The participant who is a patient; a participant alone, of whom nothing else is told, is the patient."""
    places = [each.get("actor") for each in resource.get("participant").items()]
    for actor in places:
        if _is_patient(message, actor, resource):
            found = patient_at(message, actor, resource)
            if found is not None:
                return found
    only = patient_at(message, places[0], resource) if len(places) == 1 else None
    if only is not None:
        return only
    says = "none of these is known to be a patient" if places else "this field is absent, so nobody is named"
    raise resource.get("participant").refusal(
        "no-patient", says, "send a participant whose actor is a Patient, or who has the patient's identifier"
    )


def _is_patient(message: Message, actor: Reading, within: Resource) -> bool:
    found = message.resolve(actor, within)
    if found is not None:
        return found.kind == "Patient"
    system = actor.get("identifier", "system").key() or ""
    return kind_of(actor) == "Patient" or "nhs-number" in system


def _booking(message: Message, resource: Resource, target: Target) -> Instruction:
    if not resource.get("start"):
        raise resource.get("start").missing("send when the appointment is for")
    others = list(_others(message, resource))
    fact = AppointmentBooked(
        start=resource.get("start").instant(),
        end=resource.get("end").instant(),
        specialty=next(iter(all_codings(resource.get("specialty").items())), None),
        kind=_first_words(resource.get("serviceType").items() or resource.get("appointmentType").items()),
        medium=_medium(resource),
        organisation=next((name for kind, name in others if kind in ("Organization", "HealthcareService")), None),
        place=next((name for kind, name in others if kind == "Location"), None),
        clinician=next((name for kind, name in others if kind.startswith("Practitioner")), None),
        referral=_referral(message, resource),
        description=resource.get("description").text(),
    )
    return Instruction(target, fact, resource.get("created").occurred() or message.versioned_at(resource))


def _end(message: Message, resource: Resource, target: Target, status: str | None) -> Instruction:
    held = resource.get("start").occurred() or message.versioned_at(resource)
    if status == "cancelled":
        return Instruction(target, _cancellation(resource), message.versioned_at(resource))
    if status == "noshow":
        return Instruction(target, AppointmentNotAttended(), held)
    fact = AppointmentAttended(
        start=resource.get("start").instant(),
        end=resource.get("end").instant(),
        specialty=next(iter(all_codings(resource.get("specialty").items())), None),
        kind=_first_words(resource.get("serviceType").items() or resource.get("appointmentType").items()),
        reasons=all_codings(resource.get("reasonCode").items()),
    )
    return Instruction(target, fact, held)


def _cancellation(resource: Resource) -> Fact:
    """Whoever cancelled, as far as it was told: an unknown canceller is never counted as the patient."""
    concepts = [*resource.get("cancelationReason").items(), *resource.get("reason").items()]
    reason = _first_words(concepts)
    told = [each.code for each in all_codings(concepts)]
    if any(code == "pat" or code.startswith(("pat-", "PATIENT_")) for code in told):
        return AppointmentCancelledByPatient(reason=reason)
    if any(code == "prov" or code.startswith("prov-") or code in _ERS_BY_PROVIDER for code in told):
        return AppointmentCancelledByProvider(reason=reason)
    return AppointmentCancelled(reason=reason)


def _others(message: Message, resource: Resource) -> Iterable[tuple[str, str]]:
    """Kind and name of each participant who is not the patient."""
    for each in resource.get("participant").items():
        actor = each.get("actor")
        if _is_patient(message, actor, resource):
            continue
        found = message.resolve(actor, resource)
        kind = (found.kind if found else kind_of(actor)) or _kind_by_identifier(actor)
        name = message.name_of_actor(actor, resource)
        if kind and name:
            yield kind, name


def _kind_by_identifier(actor: Reading) -> str | None:
    system = actor.get("identifier", "system").key() or ""
    if system.endswith("ers-service"):
        return "HealthcareService"
    return "Practitioner" if system.endswith("sds-user-id") else None


def _referral(message: Message, resource: Resource) -> str | None:
    places = [*resource.get("basedOn").items(), *resource.get("incomingReferral").items()]
    return referral_key_at(message, places[0], resource) if places else None


def _medium(resource: Resource) -> Medium | None:
    told = extension(resource.reading, "Extension-UKCore-DeliveryChannel").first("valueCode", "valueString").word()
    return None if told is None else _MEDIA.get(told.casefold().replace(" ", "-"))


def _first_words(concepts: list[Reading]) -> str | None:
    return next((words for words in map(concept_words, concepts) if words), None)
