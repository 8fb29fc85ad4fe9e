"""The clinical record: pathways, other conditions, referrals, appointments and, if it came to that, death."""

from dataclasses import dataclass, field
from types import MappingProxyType

from domain import patient
from projections.folds import pathways, visits
from projections.folds.folding import NOT_RECORDED, Document, Entry, Handlers, Part, Projection, empty_sections
from projections.folds.pathways import Pathways
from projections.folds.visits import Appointments, Referrals


@dataclass
class Conditions:
    conditions: dict[str, Document] = field(default_factory=dict)


@dataclass
class Death:
    death: Document = field(default_factory=lambda: {"formally": NOT_RECORDED, "informally": NOT_RECORDED})


@dataclass
class ExternalChanges:
    external_changes: list[Document] = field(default_factory=list)


def _condition_noted(record: Conditions, fact: patient.ConditionNoted, entry: Entry) -> None:
    record.conditions[fact.key] = entry.item


def _death_reported_informally(record: Death, _: patient.DeathReportedInformally, entry: Entry) -> None:
    record.death = record.death | {"informally": entry.item}


def _death_recorded_formally(record: Death, _: patient.DeathRecordedFormally, entry: Entry) -> None:
    record.death = record.death | {"formally": entry.item}


def _external_change_notified(record: ExternalChanges, _: patient.ExternalChangeNotified, entry: Entry) -> None:
    record.external_changes.append(entry.item)


_DEATH: Handlers = MappingProxyType(
    {
        patient.DeathReportedInformally: _death_reported_informally,
        patient.DeathRecordedFormally: _death_recorded_formally,
    }
)


def _what_is_missing(members: Document) -> Document:
    return {"not_recorded": empty_sections(members, _NEVER_MISSING)}


_NEVER_MISSING = frozenset(("death",))
_PARTS = (
    Part(Pathways, pathways.HANDLERS, lambda state: {"pathways": pathways.pathways(state)}),
    Part(
        Conditions,
        {patient.ConditionNoted: _condition_noted},
        lambda state: {"conditions": list(state.conditions.values())},
    ),
    Part(Referrals, visits.REFERRALS, lambda state: {"referrals": list(state.referrals.values())}),
    Part(Appointments, visits.APPOINTMENTS, lambda state: {"appointments": list(state.appointments.values())}),
    Part(
        ExternalChanges,
        {patient.ExternalChangeNotified: _external_change_notified},
        lambda state: {"external_changes": list(state.external_changes)},
    ),
    Part(Death, _DEATH, lambda state: {"death": state.death}),
)
RECORD = Projection("record", 1, _PARTS, _what_is_missing)
