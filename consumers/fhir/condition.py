"""FHIR Condition: a cancer opens or closes a pathway, any other condition is noted on the patient."""

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import Outcome, cancer_in, pathway_of
from consumers.fhir.reading import Reading, all_codings, codings, concept_words, extension, first_occurred, has_code
from consumers.translation import Instruction
from domain.cancer_codes import Cancer
from domain.facts import PATIENT, Coding, Fact, Target
from domain.pathway import CancerRecurred, CancerRuledOut, CancerStateAssessed, CancerSuspected, DiagnosisAgreed
from domain.patient import ConditionNoted
from domain.times import Occurred

_UNCERTAIN = ("unconfirmed", "provisional", "differential")
_ABATED = ("remission", "resolved", "inactive")


def condition(message: Message, resource: Resource) -> Outcome:
    status = resource.get("verificationStatus")
    if not codings(resource.get("code")) and not resource.get("code", "text").text():
        raise resource.get("code").missing("send the code of the condition, or its text")
    cancer = cancer_in(message, resource)
    if cancer is None:
        return _other_condition(message, resource)
    target = pathway_of(message, resource)
    if has_code(status, "entered-in-error"):
        return (Instruction(target, message.retraction(resource), message.versioned_at(resource)),)
    if has_code(status, "refuted"):
        return (Instruction(target, CancerRuledOut(), message.versioned_at(resource)),)
    if has_code(status, *_UNCERTAIN):
        name = concept_words(resource.get("code"))
        suspected = CancerSuspected(tumour_site=name, reasons=codings(resource.get("code")))
        return (Instruction(target, suspected, began(message, resource)),)
    return (_diagnosis(message, resource, cancer, target), *_course(message, resource, target))


def began(message: Message, resource: Resource) -> Occurred:
    """The date of diagnosis if the source asserts one, else of onset, else of recording, as precise as told."""
    told = first_occurred(
        extension(resource.reading, "condition-assertedDate").get("valueDateTime"),
        resource.get("onsetDateTime"),
        resource.get("onsetPeriod", "start"),
        resource.get("recordedDate"),
        resource.get("assertedDate"),
    )
    return told or message.versioned_at(resource)


def _other_condition(message: Message, resource: Resource) -> Outcome:
    status = resource.get("verificationStatus")
    if has_code(status, "entered-in-error"):
        raise status.withdrawal("condition", "the patient")
    if has_code(status, "refuted", *_UNCERTAIN):
        return "a condition that is neither confirmed nor known to be cancer"
    noted = ConditionNoted(
        key=message.key_of(resource),
        codes=codings(resource.get("code")),
        text=concept_words(resource.get("code")),
        ended_on=resource.reading.first("abatementDateTime", "abatement").partial_date(),
    )
    return (Instruction(PATIENT, noted, began(message, resource), message.agent(_asserter(resource), resource)),)


def _diagnosis(message: Message, resource: Resource, cancer: Cancer, target: Target) -> Instruction:
    site = next(iter(resource.get("bodySite").items()), Reading(None))
    fact = DiagnosisAgreed(
        icd10=cancer.icd10,
        codes=codings(resource.get("code")),
        name=concept_words(resource.get("code")),
        relevance=cancer.relevance,
        morphology=_first_code(_concept(resource.reading, "histology-morphology-behavior")),
        topography=_first_code(site),
        laterality=_first_code(_laterality(site)),
        clinical_status=concept_words(resource.get("clinicalStatus")),
    )
    return Instruction(target, fact, began(message, resource), message.agent(_asserter(resource), resource))


def _course(message: Message, resource: Resource, target: Target) -> list[Instruction]:
    """What the clinical status adds: that the cancer came back, or since when it has been gone."""
    status = resource.get("clinicalStatus")
    told = codings(status)
    if has_code(status, "recurrence", "relapse"):
        return [Instruction(target, CancerRecurred(code=told[0]), message.versioned_at(resource))]
    since = resource.get("abatementDateTime").occurred()
    if since is None or not has_code(status, *_ABATED):
        return []
    fact: Fact = CancerStateAssessed(finding=told[0])
    return [Instruction(target, fact, since)]


def _laterality(site: Reading) -> Reading:
    found = _concept(site, "laterality-qualifier")
    return found or _concept(site, "laterality")


def _concept(place: Reading, ending: str) -> Reading:
    return extension(place, ending).get("valueCodeableConcept")


def _first_code(concept: Reading) -> Coding | None:
    return next(iter(all_codings([concept] if concept else [])), None)


def _asserter(resource: Resource) -> Reading:
    return resource.reading.first("asserter", "recorder")
