"""FHIR Observation: stages, tumour markers, performance status and the course of a cancer; nothing else."""

import re

from consumers.fhir.message import Message, Resource
from consumers.fhir.pathway import About, Outcome, link, sole_cancer
from consumers.fhir.reading import Reading, codings, concept_words, first_occurred
from consumers.fhir.subject import subject_of
from consumers.translation import Instruction
from domain.cancer_codes import SNOMED, Meaning, ObservationRow
from domain.facts import Coding, Fact, Target
from domain.pathway import (
    CancerProgressed,
    CancerStateAssessed,
    InvestigationReported,
    PerformanceStatusAssessed,
    StagedBeforeTreatment,
    StagedIntegrated,
    StageFinding,
    TumourMarkerMeasured,
)
from domain.times import Occurred

_FINAL = ("final", "amended", "corrected")
_CATEGORY = re.compile(r"(?:Stage )?([cpyr]*[TNM]\w+|[0-4IV]+[A-D]?\w*)(?: category)?(?: \(.*\))?")
_NOT_USED = "an observation that no cancer plan uses, such as a vital sign, a blood count or a score"


def observation(message: Message, resource: Resource) -> Outcome:
    row = message.codes.observation(codings(resource.get("code")))
    if row is None:
        return _NOT_USED
    status = resource.get("status").key()
    if status == "entered-in-error":
        raise resource.get("status").withdrawal("finding", "a pathway")
    if status not in _FINAL:
        return "a finding about a cancer that is not final yet"
    if resource.get("dataAbsentReason"):
        return "an observation that was made without obtaining a value"
    target = _target(message, resource)
    if target is None:
        return "a finding about a condition that is not known to be cancer"
    by = next(iter(resource.get("performer").items()), Reading(None))
    fact = _fact(message, resource, row)
    return (Instruction(target, fact, _made(message, resource), message.agent(by, resource)),)


def _target(message: Message, resource: Resource) -> Target | None:
    """By focus, else by what the observation is made of, else the patient's only cancer in the message."""
    members = (each for name in ("focus", "hasMember", "derivedFrom") for each in resource.get(name).items())
    found = link(message, members, resource)
    if found.about is About.OTHER_CONDITION:
        return None
    return found.target or sole_cancer(message, subject_of(message, resource))


def _made(message: Message, resource: Resource) -> Occurred:
    told = first_occurred(
        resource.get("effectiveDateTime"),
        resource.get("effectiveInstant"),
        resource.get("effectivePeriod", "start"),
        resource.get("issued"),
    )
    return told or message.versioned_at(resource)


def _fact(message: Message, resource: Resource, row: ObservationRow) -> Fact:
    match row.meaning:
        case Meaning.STAGED_BEFORE_TREATMENT:
            return StagedBeforeTreatment(findings=(_stage(resource, row),), edition=_edition(resource))
        case Meaning.STAGED_INTEGRATED:
            return StagedIntegrated(findings=(_stage(resource, row),), edition=_edition(resource))
        case Meaning.TUMOUR_MARKER:
            return TumourMarkerMeasured(marker=_code(message, resource), value=_value(resource))
        case Meaning.PERFORMANCE_STATUS:
            return PerformanceStatusAssessed(scale=row.axis or "", value=_value(resource))
        case Meaning.DISEASE_STATUS:
            return _course(message, resource)
        case Meaning.PATHOLOGY_FINDING:
            name = concept_words(resource.get("code"))
            return InvestigationReported(
                investigation=message.key_of(resource),
                code=_code(message, resource),
                name=name,
                result=_value(resource),
            )


def _stage(resource: Resource, row: ObservationRow) -> StageFinding:
    """`T2` out of `T2 category (finding)`; a code of a staging manual, such as `cT3`, stands as it was told."""
    told = codings(resource.get("valueCodeableConcept"))
    manual = next((each for each in told if "cancerstaging" in each.system), None)
    words = manual.code if manual else _value(resource)
    match = _CATEGORY.fullmatch(words)
    value = match.group(1) if match else words
    return StageFinding(axis=row.axis or "", value=value, code=next(iter(told), None))


def _edition(resource: Resource) -> str | None:
    versions = (each.get("version").word() for each in resource.get("valueCodeableConcept", "coding").items())
    return next((each for each in versions if each), None)


def _course(message: Message, resource: Resource) -> Fact:
    told = codings(resource.get("valueCodeableConcept"))
    if not told:
        raise resource.get("valueCodeableConcept").missing("send the finding as a code, such as a SNOMED CT finding")
    if any(each.system == SNOMED and each.code in message.codes.progressed for each in told):
        return CancerProgressed(code=told[0])
    return CancerStateAssessed(finding=told[0])


def _code(message: Message, resource: Resource) -> Coding:
    """The last code on the list: senders put the particular test after the kind of test."""
    told = codings(resource.get("code"))
    return next(each for each in reversed(told) if message.codes.observation([each]) is not None)


def _value(resource: Resource) -> str:
    """The value in words. Refuses an observation that has none."""
    quantity = resource.get("valueQuantity")
    number = quantity.get("value").number_words()
    unit = quantity.first("unit", "code").word()
    told = (
        concept_words(resource.get("valueCodeableConcept")) if resource.get("valueCodeableConcept") else None,
        f"{quantity.get('comparator').word() or ''}{number}{' ' + unit if unit else ''}" if number else None,
        resource.get("valueInteger").number_words(),
        resource.get("valueString").word(),
    )
    value = next((each for each in told if each), None)
    if value is None:
        raise resource.get("valueCodeableConcept").missing("send a value, or dataAbsentReason where there is none")
    return value
