"""What joining two records would bring together, and where they tell different things of the person."""

from collections import Counter
from collections.abc import Iterable
from functools import reduce
from typing import Any

from domain import patient
from domain.facts import Recorded
from domain.history import effective
from domain.pathway import DiagnosisAgreed
from domain.patient import Patient
from projections.folds.folding import Document


def preview(surviving: Iterable[Recorded], retired: Iterable[Recorded]) -> Document:
    """`joins` counts what comes from the retired record by the first word of its stored name; `differs` lists what the
    two tell differently; `alike` names diagnoses that both have, which may be one cancer told twice."""
    here, there = effective(surviving), effective(retired)
    ours, theirs = _state(here), _state(there)
    return {
        "joins": dict(sorted(Counter(event.fact.stored.split(".")[0] for event in there).items())),
        "differs": [
            {"what": what, "here": sorted(mine), "there": sorted(other)}
            for what, mine, other in _compared(ours, theirs)
            if mine and other and mine != other
        ],
        "alike": sorted(_diagnoses(here) & _diagnoses(there)),
        "died": {"here": _yes(ours.died), "there": _yes(theirs.died)},
        "part_of_another": {"here": _yes(ours.merging.into), "there": _yes(theirs.merging.into)},
    }


def _state(history: list[Recorded]) -> Patient:
    return reduce(patient.evolve, history, Patient())


def _compared(ours: Patient, theirs: Patient) -> list[tuple[str, set[str], set[str]]]:
    def both(what: str, told: Any) -> tuple[str, set[str], set[str]]:
        return what, set(told(ours)), set(told(theirs))

    return [
        both("nhs_number", Patient.nhs_numbers),
        both("birth_date", lambda state: [state.birth_date] if state.birth_date else []),
        both("family_name", lambda state: [name.family.casefold() for name in state.names if name.family]),
        both("given_name", lambda state: [name.given[0].casefold() for name in state.names if name.given]),
        both("care_lead", lambda state: [f"{lead.role}: {lead.professional}" for lead in state.care_leads]),
    ]


def _diagnoses(history: list[Recorded]) -> set[str]:
    return {event.fact.icd10 for event in history if isinstance(event.fact, DiagnosisAgreed) and event.fact.icd10}


def _yes(value: object) -> str:
    """Of what is recorded: no death and no merge is recorded as none, never as known not to be."""
    return "yes" if value else "not-recorded"
