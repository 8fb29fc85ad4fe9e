"""Who has a relationship with the patient: the organisations and professionals that may open their record.

An organisation that reported something about the person, was referred to, sees them, or holds an open pathway.
"""

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from domain import appointment, pathway, patient, referral
from projections.folds.folding import Document, Entry, Handler, Handlers, Part, Projection

# A quotation mark inside JSON text is escaped, so these bytes stand only for a member of this name; one that none or
# another form has is looked for in the whole. To decode all of a provenance for it took a seventh of a rebuild.
_TOLD_BY = re.compile(rb'"organisation":"([^"\\]*)"')
_ODS_CODE = re.compile(r"[A-Za-z0-9]{1,12}")


class Tie(NamedTuple):
    """Either member may be absent; `because` is the event that made the tie."""

    organisation: str | None
    professional: str | None
    because: str


def _code(organisation: str | None) -> str | None:
    """An ODS code in capitals; None for what is none, by which nobody could be let in."""
    return organisation.upper() if organisation is not None and _ODS_CODE.fullmatch(organisation) else None


@dataclass
class Ties:
    """By what makes them, such as ("pathway", stream id): the same reason told anew replaces what it said."""

    ties: dict[tuple[str, str], Tie] = field(default_factory=dict)


@dataclass
class Reporters:
    """Organisations, as they were told, by their first report."""

    reporters: dict[str, str] = field(default_factory=dict)


def _reported(state: Reporters, _: Any, entry: Entry) -> bool:
    found = _TOLD_BY.search(entry.event.provenance_json)
    organisation = entry.provenance.get("organisation") if found is None else found[1].decode()
    if organisation is None or organisation in state.reporters:
        return False
    state.reporters[organisation] = entry.because
    return True


def _member(key: str) -> Handler:
    """`key` is the attribute of the fact that says whose place this is."""

    def handle(state: Ties, fact: Any, entry: Entry) -> None:
        state.ties[(key, getattr(fact, key))] = Tie(_code(fact.organisation), fact.professional, entry.because)

    return handle


def _lead_ended(state: Ties, fact: patient.CareLeadEnded, _: Entry) -> None:
    tie = state.ties.get(("role", fact.role))
    if tie is not None and tie.professional == fact.professional:
        del state.ties[("role", fact.role)]


def _left_team(state: Ties, fact: patient.ProfessionalLeftTeam, _: Entry) -> None:
    state.ties.pop(("professional", fact.professional), None)


def _stream_tie(kind: str, attribute: str) -> Handler:
    def handle(state: Ties, fact: Any, entry: Entry) -> None:
        organisation = getattr(fact, attribute)
        if organisation is not None:
            state.ties[(kind, entry.stream)] = Tie(_code(organisation), None, entry.because)

    return handle


def _stream_over(kind: str) -> Handler:
    def handle(state: Ties, _: Any, entry: Entry) -> None:
        state.ties.pop((kind, entry.stream), None)

    return handle


HANDLERS: Handlers = MappingProxyType(
    {
        patient.ProfessionalJoinedTeam: _member("professional"),
        patient.CareLeadNamed: _member("role"),
        patient.CareLeadEnded: _lead_ended,
        patient.ProfessionalLeftTeam: _left_team,
        referral.ReferralReceived: _stream_tie("referral", "provider"),
        referral.ReferralAccepted: _stream_tie("referral", "provider"),
        referral.ReferralTransferredToProvider: _stream_tie("referral", "provider"),
        referral.ReferralRejected: _stream_over("referral"),
        referral.ReferralCancelled: _stream_over("referral"),
        appointment.AppointmentBooked: _stream_tie("appointment", "organisation"),
        appointment.AppointmentAttended: _stream_tie("appointment", "organisation"),
        pathway.PathwayOpened: _stream_tie("pathway", "organisation"),
        pathway.PathwayClosed: _stream_over("pathway"),
    }
)


def _reporters(state: Reporters) -> Document:
    return {"reporters": {code: event for told, event in state.reporters.items() if (code := _code(told)) is not None}}


def relationships(members: Document) -> Document:
    """Sorted codes and ids, and for each the event that made its tie."""
    organisations: dict[str, str] = dict(members["reporters"])
    professionals: dict[str, str] = {}
    for tie in members["ties"]:
        if tie.organisation is not None:
            organisations[tie.organisation] = tie.because
        if tie.professional is not None:
            professionals[tie.professional] = tie.because
    return {
        "organisations": sorted(organisations),
        "professionals": sorted(professionals),
        "because": {
            "organisations": dict(sorted(organisations.items())),
            "professionals": dict(sorted(professionals.items())),
        },
    }


def clear(team: Document) -> dict[str, Any]:
    return {"organisations": team["organisations"], "professionals": team["professionals"]}


_PARTS = (
    Part(Reporters, {}, _reporters, every=_reported),
    Part(Ties, HANDLERS, lambda state: {"ties": list(state.ties.values())}),
)
CARE_TEAM = Projection("care_team", 1, _PARTS, relationships, clear, shows_parts=False)
