"""Which cancer of the patient a resource is about: each cancer Condition of a source is a pathway of its own."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from consumers.fhir.message import Message, Resource, kind_of
from consumers.fhir.reading import Reading, codings, has_code, profiles
from consumers.fhir.subject import subject_of
from consumers.translation import Instruction, Refusal
from domain.cancer_codes import Cancer
from domain.facts import Category, Target
from domain.identity import PatientReference
from domain.pathway import Relevance

UNASSIGNED = Target(Category.PATHWAY, "unassigned")
_PRIMARY = ("primary-cancer-condition",)
_SECONDARY = ("secondary-cancer-condition",)

# What a translator of one type makes of a resource: what to record, or the words why no plan uses it.
Outcome: TypeAlias = tuple[Instruction, ...] | str


class About(StrEnum):
    CANCER = "cancer"
    OTHER_CONDITION = "other-condition"
    CONDITION_ELSEWHERE = "condition-elsewhere"
    NOTHING_TOLD = "nothing-told"


class Link(NamedTuple):
    """`target` is the pathway of a cancer, or the one that a condition outside the message would have."""

    about: About
    target: Target | None = None


def cancer_in(message: Message, condition: Resource) -> Cancer | None:
    """By the Condition's codes, else by the profile that it claims."""
    found = message.codes.cancer(codings(condition.get("code")))
    claimed = profiles(condition.reading)
    if found is not None:
        return found
    if any(name in claimed for name in _SECONDARY):
        return Cancer(Relevance.SECONDARY)
    return Cancer(Relevance.CANCER) if any(name in claimed for name in _PRIMARY) else None


def pathway_of(message: Message, condition: Resource) -> Target:
    return Target(Category.PATHWAY, message.key_of(condition))


def link(message: Message, references: Iterable[Reading], within: Resource) -> Link:
    """The first cancer that the references name; else what is known of the conditions that they name."""
    best = Link(About.NOTHING_TOLD)
    for reference in references:
        found = _one(message, reference, within)
        if found.about is About.CANCER:
            return found
        if best.about is About.NOTHING_TOLD:
            best = found
    return best


def sole_cancer(message: Message, patient: PatientReference) -> Target:
    """The one primary cancer that the message holds for this patient; `unassigned` where it is none or several."""
    if message.primary_cancers is None:
        message.primary_cancers = tuple(_primaries(message))
    named = set(patient.identifiers)
    targets = {target for target, of in message.primary_cancers if not named.isdisjoint(of.identifiers)}
    return targets.pop() if len(targets) == 1 else UNASSIGNED


def _one(message: Message, reference: Reading, within: Resource) -> Link:
    found = message.resolve(reference, within)
    if found is None:
        key = message.key_of_reference(reference, "Condition", within)
        if key is None or kind_of(reference) not in (None, "Condition"):
            return Link(About.NOTHING_TOLD)
        return Link(About.CONDITION_ELSEWHERE, Target(Category.PATHWAY, key))
    if found.kind == "Condition":
        is_cancer = cancer_in(message, found) is not None
        return Link(About.CANCER, pathway_of(message, found)) if is_cancer else Link(About.OTHER_CONDITION)
    # A member of a panel: what it is about, the panel is about. One step only, since members may name each other.
    conditions = (each for each in found.get("focus").items() if _is_condition(message, each, found))
    return next((_one(message, each, found) for each in conditions), Link(About.NOTHING_TOLD))


def _is_condition(message: Message, reference: Reading, within: Resource) -> bool:
    found = message.resolve(reference, within)
    return (found.kind if found else kind_of(reference)) in (None, "Condition")


def _primaries(message: Message) -> Iterable[tuple[Target, PatientReference]]:
    for resource in message.resources:
        if resource.kind != "Condition":
            continue
        try:
            cancer = cancer_in(message, resource)
            if cancer is None or cancer.relevance is Relevance.SECONDARY or _withdrawn(resource):
                continue
            yield pathway_of(message, resource), subject_of(message, resource)
        except Refusal:
            continue  # refused for its own entry


def _withdrawn(condition: Resource) -> bool:
    return has_code(condition.get("verificationStatus"), "entered-in-error", "refuted")
