"""FHIR MedicationAdministration, MedicationStatement and MedicationRequest: cancer medicines that were given."""

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import About, Outcome, link, sole_cancer
from consumers.fhir.reading import Reading, all_codings, codings, concept_words, first_occurred, profiles
from consumers.fhir.subject import subject_of
from consumers.translation import Instruction
from domain.facts import Target
from domain.pathway import Modality, TreatmentEnded, TreatmentStarted
from domain.times import Occurred

_PROFILE = "cancer-related-medication"
_GIVEN = ("completed", "in-progress", "active", "stopped")
_KNOWN = (*_GIVEN, "not-done", "not-taken", "on-hold", "intended", "draft", "cancelled", "unknown", "entered-in-error")


def medication(message: Message, resource: Resource) -> Outcome:
    """`effective…` of an administration or a statement; the date of the order for a prescription that was all given."""
    concept = _medicine(message, resource)
    modality = message.codes.medicine(codings(concept), concept_words(concept))
    claims_cancer = _PROFILE in profiles(resource.reading)
    if modality is not None or claims_cancer:
        _refuse_unreadable(resource)
    if modality is None:
        return "a medicine that is not on the list of cancer medicines"
    told = link(message, resource.get("reasonReference").items(), resource)
    coded = message.codes.cancer(all_codings(resource.get("reasonCode").items()))
    if told.about is About.OTHER_CONDITION and coded is None:
        return "a medicine given for a condition that is not known to be cancer"
    is_linked = told.target is not None or coded is not None or claims_cancer
    if not is_linked:
        return "a medicine without a cancer as its reason"
    if not _was_given(resource):
        return "a cancer medicine that is ordered or planned, and not known to have been given"
    target = told.target or sole_cancer(message, subject_of(message, resource))
    return tuple(_treatment(message, resource, modality, concept, target))


def _refuse_unreadable(resource: Resource) -> None:
    status = resource.get("status")
    if status.key() not in _KNOWN:
        raise status.refusal(
            "unknown-status",
            "the status does not tell whether the medicine was given",
            "send completed, in-progress, active, stopped or not-done",
        )
    if status.value == "entered-in-error" and resource.kind != "MedicationRequest":
        raise status.withdrawal("treatment", "a pathway")


def _medicine(message: Message, resource: Resource) -> Reading:
    concept = resource.reading.first("medicationCodeableConcept", "medication")
    if concept:
        return concept
    found = message.resolve(resource.get("medicationReference"), resource)
    return found.get("code") if found else Reading({"text": resource.get("medicationReference", "display").word()})


def _was_given(resource: Resource) -> bool:
    """An order says what to give; only one whose every part was carried out says that it was given."""
    status = resource.get("status").key()
    return status == "completed" if resource.kind == "MedicationRequest" else status in _GIVEN


def _treatment(
    message: Message, resource: Resource, modality: Modality, concept: Reading, target: Target
) -> list[Instruction]:
    key = message.key_of(resource)
    started = TreatmentStarted(
        treatment=key,
        modality=modality,
        code=next(iter(codings(concept)), None),
        name=concept_words(concept),
    )
    given = [Instruction(target, started, _began(resource))]
    end = resource.get("effectivePeriod", "end").occurred()
    if end is not None and resource.get("status").key() in ("completed", "stopped"):
        given.append(Instruction(target, TreatmentEnded(treatment=key, modality=modality), end))
    return given


def _began(resource: Resource) -> Occurred:
    told = first_occurred(
        resource.get("effectiveDateTime"),
        resource.get("effectivePeriod", "start"),
        resource.get("authoredOn"),
        resource.get("dateAsserted"),
    )
    if told is None:
        raise resource.get("effectiveDateTime").missing("send when the medicine was given")
    return told
