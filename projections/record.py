"""The clinical record: pathways, other conditions, referrals, appointments and, if it came to that, death."""

from dataclasses import dataclass, field
from types import MappingProxyType

from domain import patient
from projections import pathways, visits
from projections.folding import NOT_RECORDED, Document, Entry, Handlers, Projection, empty_sections


@dataclass
class Record(pathways.Pathways, visits.Visits):
    conditions: dict[str, Document] = field(default_factory=dict)
    death: Document = field(default_factory=lambda: {"formally": NOT_RECORDED, "informally": NOT_RECORDED})
    external_changes: list[Document] = field(default_factory=list)


def _condition_noted(record: Record, fact: patient.ConditionNoted, entry: Entry) -> None:
    record.conditions[fact.key] = entry.item


def _death_reported_informally(record: Record, _: patient.DeathReportedInformally, entry: Entry) -> None:
    record.death = record.death | {"informally": entry.item}


def _death_recorded_formally(record: Record, _: patient.DeathRecordedFormally, entry: Entry) -> None:
    record.death = record.death | {"formally": entry.item}


def _external_change_notified(record: Record, _: patient.ExternalChangeNotified, entry: Entry) -> None:
    record.external_changes.append(entry.item)


HANDLERS: Handlers = MappingProxyType(
    {
        **pathways.HANDLERS,
        **visits.HANDLERS,
        patient.ConditionNoted: _condition_noted,
        patient.DeathReportedInformally: _death_reported_informally,
        patient.DeathRecordedFormally: _death_recorded_formally,
        patient.ExternalChangeNotified: _external_change_notified,
    }
)


def document(record: Record) -> Document:
    sections: Document = {
        "pathways": pathways.pathways(record),
        "conditions": list(record.conditions.values()),
        "referrals": list(record.referrals.values()),
        "appointments": list(record.appointments.values()),
        "external_changes": list(record.external_changes),
    }
    return sections | {"death": record.death, "not_recorded": empty_sections(sections)}


RECORD = Projection("record", 1, Record, HANDLERS, document)
