"""Whose event is it? Matching what a message says of a person to the patients we know.

Never by name alone, and a conflict never falls through to a weaker match: it is held for a person to resolve.
"""

from collections.abc import Callable, Mapping
from uuid import UUID

from nhs_number.validate import is_valid

from domain.facts import Fact, PartialDate, Value
from domain.patient import NHS_NUMBER, Identifier, IdentifierLinked, Name, Patient, PatientRegistered


class PatientReference(Value):
    """What one message says of the person it is about. Identifiers are in the order of the message."""

    identifiers: tuple[Identifier, ...]
    name: Name | None = None
    birth_date: PartialDate | None = None


class Held(Exception):
    """A person must decide whose this is. `code` is stable; the text holds no patient data."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def identifier(system: str, value: str, source: str) -> Identifier:
    """As it is matched: an NHS number that fails its check digit only means something to the source that sent it."""
    if system != NHS_NUMBER:
        return Identifier(system=system, value=value)
    digits = value.replace(" ", "").replace("-", "")
    if is_valid_nhs_number(digits):
        return Identifier(system=NHS_NUMBER, value=digits)
    return Identifier(system=f"{source}/unverified-nhs-number", value=digits)


def is_valid_nhs_number(digits: str) -> bool:
    return bool(len(digits) == 10 and digits.isascii() and digits.isdigit() and is_valid(digits))


def match(
    reference: PatientReference, known: Mapping[Identifier, UUID], patient: Callable[[UUID], Patient]
) -> UUID | None:
    """The patient meant, or None for someone new. Raises Held where the identifiers or demographics conflict."""
    found = {known[each] for each in reference.identifiers if each in known}
    if not found:
        return None
    if len(found) > 1:
        raise Held("identifiers-disagree", "the identifiers in this message belong to different patients")
    patient_id = found.pop()
    confirm(reference, patient(patient_id))
    return patient_id


def confirm(reference: PatientReference, state: Patient) -> None:
    """Raises Held where the patient whom the identifiers name cannot be the one that the message is about."""
    _refuse_other_nhs_number(reference, state)
    _refuse_other_demographics(reference, state)


def _refuse_other_nhs_number(reference: PatientReference, state: Patient) -> None:
    told = [each.value for each in reference.identifiers if each.system == NHS_NUMBER]
    if not told:
        return
    known = state.nhs_numbers()
    if known and known.isdisjoint(told):
        raise Held(
            "nhs-number-conflict",
            "a local identifier matches a patient who has another NHS number; check both at the source",
        )


def _refuse_other_demographics(reference: PatientReference, state: Patient) -> None:
    if not _same_start(reference.birth_date, state.birth_date):
        raise Held("birth-date-conflict", "the identifier matches a patient with another date of birth")
    if reference.name and state.names and not any(_given_agrees(reference.name, name) for name in state.names):
        raise Held("name-conflict", "the identifier matches a patient with another given name")


def _same_start(told: str | None, known: str | None) -> bool:
    """`1960` agrees with `1960-05-01`; nothing told disagrees with nothing."""
    return not told or not known or told.startswith(known) or known.startswith(told)


def _given_agrees(told: Name, known: Name) -> bool:
    """Family names change at marriage and twins share them, so the given name decides; an initial will do."""
    if told.given[:1] == known.given[:1]:  # as nearly always
        return True
    ours, theirs = _first_given(known), _first_given(told)
    if not ours or not theirs:
        return True
    return ours == theirs or ((len(ours) == 1 or len(theirs) == 1) and ours[0] == theirs[0])


def _first_given(name: Name) -> str:
    return name.given[0].casefold().strip(" .") if name.given else ""


def introduction(reference: PatientReference, known: Mapping[Identifier, UUID], is_new: bool) -> list[Fact]:
    """What a message adds to a patient's identifiers; for someone new, their registration first."""
    facts: list[Fact] = []
    if is_new:
        provisional = all(each.system != NHS_NUMBER for each in reference.identifiers)
        facts.append(PatientRegistered(provisional=provisional))
    facts.extend(
        IdentifierLinked(identifier=each, verified=_verified(each))
        for each in dict.fromkeys(reference.identifiers)
        if each not in known
    )
    return facts


def _verified(each: Identifier) -> bool | None:
    if each.system == NHS_NUMBER:
        return True
    return False if each.system.endswith("/unverified-nhs-number") else None
