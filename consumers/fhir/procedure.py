"""FHIR Procedure: a cancer treatment that was given, or an investigation made because of a cancer."""

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import About, Link, Outcome, link, sole_cancer
from consumers.fhir.reading import Reading, all_codings, codings, concept_words, extension, first_occurred
from consumers.fhir.subject import subject_of
from consumers.translation import Instruction
from domain.cancer_codes import SNOMED, TreatmentRow
from domain.facts import Agent, Target
from domain.pathway import Intent, InvestigationPerformed, TreatmentDeclined, TreatmentEnded, TreatmentStarted
from domain.times import Occurred

_NOT_BEGUN = ("preparation", "on-hold", "suspended", "draft")
_INTENTS = {
    "373808002": Intent.CURATIVE,
    "363676003": Intent.PALLIATIVE,
    "261004008": Intent.DIAGNOSTIC,
}


def procedure(message: Message, resource: Resource) -> Outcome:
    row = message.codes.treatment(codings(resource.get("code")))
    reason = _reason(message, resource)
    unused = _why_unused(row, reason)
    if unused:
        return unused
    if row is not None and not row.only_for_cancer and reason.about is About.CONDITION_ELSEWHERE:
        raise resource.get("reasonReference").refusal(
            "unresolved-reference",
            "the condition treated is not in the message, and the code alone does not say that it is cancer",
            "send the condition with the procedure, or give its code in reasonCode",
        )
    target = reason.target or sole_cancer(message, subject_of(message, resource))
    return _by_status(message, resource, row, target)


def _reason(message: Message, resource: Resource) -> Link:
    """A cancer named by reference, else by code."""
    told = link(message, resource.get("reasonReference").items(), resource)
    if told.about is About.CANCER:
        return told
    coded = message.codes.cancer(all_codings(resource.get("reasonCode").items()))
    return Link(About.CANCER, told.target) if coded is not None else told


def _why_unused(row: TreatmentRow | None, reason: Link) -> str | None:
    if reason.about is About.CANCER:
        return None
    if reason.about is About.OTHER_CONDITION:
        return "a procedure for a condition that is not known to be cancer"
    if row is not None and (row.only_for_cancer or reason.about is About.CONDITION_ELSEWHERE):
        return None
    if row is not None:
        return "surgery or another treatment without a cancer as its reason"
    return "a procedure that is neither a cancer treatment nor has a cancer as its reason"


def _by_status(message: Message, resource: Resource, row: TreatmentRow | None, target: Target) -> Outcome:
    status = resource.get("status").key()
    if status == "not-done":
        return _not_done(message, resource, row, target)
    if status in _NOT_BEGUN:
        return "a procedure that has not begun"
    if status == "entered-in-error":
        raise resource.get("status").withdrawal("procedure", "a pathway")
    if status not in ("completed", "in-progress", "stopped", "aborted"):
        raise resource.get("status").refusal(
            "unknown-status",
            "the status does not tell whether the procedure was carried out",
            "send completed, in-progress, stopped or not-done",
        )
    by = message.agent(_performer(resource), resource)
    if row is None:
        return (_investigation(message, resource, target, by),)
    return tuple(_treatment(message, resource, row, target, by))


def _not_done(message: Message, resource: Resource, row: TreatmentRow | None, target: Target) -> Outcome:
    refused = any(each.code in message.codes.declined for each in codings(resource.get("statusReason")))
    if row is None or not refused:
        return "a procedure that was not done"
    return (Instruction(target, TreatmentDeclined(modality=row.modality), message.versioned_at(resource)),)


def _treatment(
    message: Message, resource: Resource, row: TreatmentRow, target: Target, by: Agent | None
) -> list[Instruction]:
    key = message.key_of(resource)
    started = TreatmentStarted(
        treatment=key,
        modality=row.modality,
        intent=_intent(resource),
        code=next(iter(codings(resource.get("code"))), None),
        name=concept_words(resource.get("code")),
    )
    given = [Instruction(target, started, performed(resource), by)]
    end = resource.get("performedPeriod", "end").occurred()
    if end is not None:
        reason = concept_words(resource.get("statusReason")) if resource.get("statusReason") else None
        ended = TreatmentEnded(treatment=key, modality=row.modality, reason=reason)
        given.append(Instruction(target, ended, end, by))
    return given


def _investigation(message: Message, resource: Resource, target: Target, by: Agent | None) -> Instruction:
    ended = resource.get("performedPeriod", "end").occurred()
    fact = InvestigationPerformed(
        investigation=message.key_of(resource),
        code=next(iter(codings(resource.get("code"))), None),
        name=concept_words(resource.get("code")),
        ended=ended.words() if ended else None,
    )
    return Instruction(target, fact, performed(resource), by)


def performed(resource: Resource) -> Occurred:
    """When it began. Refuses where no time is told: a treatment's date starts and stops clocks."""
    told = first_occurred(
        resource.get("performedDateTime"),
        resource.get("performedPeriod", "start"),
        resource.get("occurrenceDateTime"),
        resource.get("occurrencePeriod", "start"),
    )
    if told is None:
        raise resource.get("performedDateTime").missing("send when it was carried out")
    return told


def _intent(resource: Resource) -> Intent | None:
    told = codings(extension(resource.reading, "treatment-intent").get("valueCodeableConcept"))
    return next((_INTENTS[each.code] for each in told if each.system == SNOMED and each.code in _INTENTS), None)


def _performer(resource: Resource) -> Reading:
    return next((each.get("actor") for each in resource.get("performer").items()), Reading(None))
