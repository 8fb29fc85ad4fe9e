"""The record's pathways: each suspected or confirmed primary, from suspicion to follow-up.

A pathway is a stream of its own; one without a diagnosis says that none is recorded, and keeps what it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from domain import pathway
from domain.facts import Fact
from projections.folds.folding import NOT_RECORDED, Document, Entry, Handler, Handlers, missing

_LISTS = (
    *("suspicions", "earlier_diagnoses", "markers", "performance_status", "mdt_discussions", "decisions_to_treat"),
    *("treatments_declined", "told", "cancer_states", "progressions", "recurrences", "phases_ended", "follow_up"),
)
_SINGLES = ("opened", "diagnosis", "ruled_out", "faster_diagnosis_ended", "closed")
_KEYED = ("staged_before_treatment", "staged_integrated", "investigations", "treatments")


@dataclass
class Pathways:
    pathways: dict[str, Document] = field(default_factory=dict)
    # What was last made of each, with that of which it was made.
    shown: dict[str, tuple[Document, Document]] = field(default_factory=dict)


def _pathway(state: Pathways, entry: Entry) -> Document:
    """What is known of this pathway, in a new dict that may be changed; its lists and dicts may not."""
    found = state.pathways.get(entry.stream, {}).copy()
    if not found:
        found = {"pathway": entry.stream, "status": missing()}
        found |= dict.fromkeys(_SINGLES, NOT_RECORDED)
        found |= {name: {} for name in _KEYED} | {name: [] for name in _LISTS}
    state.pathways[entry.stream] = found
    return found


def _listed(section: str, status: str | None = None) -> Handler:
    def handle(state: Pathways, _: Any, entry: Entry) -> None:
        found = _pathway(state, entry)
        found[section] = [*found[section], entry.item]
        if status is not None:
            found["status"] = entry.stamped(status)

    return handle


def _single(section: str, status: str | None = None) -> Handler:
    def handle(state: Pathways, _: Any, entry: Entry) -> None:
        found = _pathway(state, entry)
        found[section] = entry.item
        if status is not None:
            found["status"] = entry.stamped(status)

    return handle


def _diagnosis_agreed(state: Pathways, _: pathway.DiagnosisAgreed, entry: Entry) -> None:
    found = _pathway(state, entry)
    if found["diagnosis"] != NOT_RECORDED:
        found["earlier_diagnoses"] = [*found["earlier_diagnoses"], found["diagnosis"]]
    found["diagnosis"] = entry.item | {"precision": entry.event.occurred.precision.value}
    found["status"] = entry.stamped("diagnosed")


def _staged(section: str) -> Handler:
    """Sources tell T, N, M and group in one fact or in several: the last word on each axis stands."""

    def handle(state: Pathways, _: Any, entry: Entry) -> None:
        found, told = _pathway(state, entry), entry.item
        edition = {"edition": told["edition"], **entry.stamp}
        found[section] = found[section] | {finding["axis"]: {**finding, **edition} for finding in told["findings"]}

    return handle


def _investigated(step: str) -> Handler:
    def handle(state: Pathways, fact: pathway.InvestigationReported, entry: Entry) -> None:
        known, told = _investigation(state, fact.investigation, entry), entry.item
        for name in ("code", "name", "result", "ended"):
            if told.get(name, NOT_RECORDED) != NOT_RECORDED:
                known[name] = told[name]
        known[step] = entry.stamped("yes")
        known |= entry.stamp

    return handle


def _result_acknowledged(state: Pathways, fact: pathway.ResultAcknowledgedByClinician, entry: Entry) -> None:
    _investigation(state, fact.investigation, entry)["acknowledged"] = entry.item


def _investigation(state: Pathways, key: str, entry: Entry) -> Document:
    """What is known of this investigation, in a new dict that may be changed."""
    found = _pathway(state, entry)
    known: Document = found["investigations"].get(key, {}).copy()
    if not known:
        unknown = dict.fromkeys(("name", "code", "result", "ended", "acknowledged"), NOT_RECORDED)
        steps = {name: missing() for name in ("requested", "performed", "reported")}
        known = {"investigation": key, **unknown, **steps, **entry.stamp}
    found["investigations"] = found["investigations"] | {key: known}
    return known


def _informed_of_outcome(state: Pathways, _: pathway.InformedOfOutcome, entry: Entry) -> None:
    informed = entry.item
    how = {name: informed[name] for name in ("method", "professional", "nurse_specialist_present")}
    found = _pathway(state, entry)
    found["told"] = [*found["told"], *({**told, **how, **entry.stamp} for told in informed["told"])]


_TREATMENT_FIELDS = ("modality", "intent", "event_type", "code", "name", "organisation")


def _treatment_started(state: Pathways, fact: pathway.TreatmentStarted, entry: Entry) -> None:
    found = _pathway(state, entry)
    known = found["treatments"].get(fact.treatment, {})
    ended = {"ended": known.get("ended", missing()), "end_reason": known.get("end_reason", NOT_RECORDED)}
    started = entry.item | {"started": entry.stamped("yes")} | ended
    found["treatments"] = found["treatments"] | {fact.treatment: started}
    found["status"] = entry.stamped("in-treatment")


def _treatment_ended(state: Pathways, fact: pathway.TreatmentEnded, entry: Entry) -> None:
    found, told = _pathway(state, entry), entry.item
    known = found["treatments"].get(fact.treatment)
    if known is None:
        unknown = dict.fromkeys(_TREATMENT_FIELDS, NOT_RECORDED)
        known = {"treatment": fact.treatment, **unknown, "modality": told["modality"], **entry.stamp}
        known["started"] = missing()
    over = known | {"ended": entry.stamped("yes"), "end_reason": told["reason"]}
    found["treatments"] = found["treatments"] | {fact.treatment: over}
    if all(each["ended"]["value"] == "yes" for each in found["treatments"].values()):
        found["status"] = entry.stamped("treatment-ended")


_SECTIONS: Mapping[type[Fact], Handler] = MappingProxyType(
    {
        pathway.PathwayOpened: _single("opened", "opened"),
        pathway.CancerSuspected: _listed("suspicions", "suspected"),
        pathway.CancerRuledOut: _single("ruled_out", "ruled-out"),
        pathway.FasterDiagnosisEnded: _single("faster_diagnosis_ended"),
        pathway.StagedBeforeTreatment: _staged("staged_before_treatment"),
        pathway.StagedIntegrated: _staged("staged_integrated"),
        pathway.TumourMarkerMeasured: _listed("markers"),
        pathway.PerformanceStatusAssessed: _listed("performance_status"),
        pathway.DiscussedAtMdt: _listed("mdt_discussions"),
        pathway.DecisionToTreatAgreed: _listed("decisions_to_treat"),
        pathway.TreatmentDeclined: _listed("treatments_declined"),
        pathway.CancerStateAssessed: _listed("cancer_states"),
        pathway.CancerProgressed: _listed("progressions", "progressed"),
        pathway.CancerRecurred: _listed("recurrences", "recurred"),
        pathway.TreatmentPhaseEnded: _listed("phases_ended"),
        pathway.FollowUpStratified: _listed("follow_up"),
        pathway.PathwayClosed: _single("closed", "closed"),
    }
)
HANDLERS: Handlers = MappingProxyType(
    {
        **_SECTIONS,
        pathway.DiagnosisAgreed: _diagnosis_agreed,
        pathway.InvestigationRequested: _investigated("requested"),
        pathway.InvestigationPerformed: _investigated("performed"),
        pathway.InvestigationReported: _investigated("reported"),
        pathway.ResultAcknowledgedByClinician: _result_acknowledged,
        pathway.InformedOfOutcome: _informed_of_outcome,
        pathway.TreatmentStarted: _treatment_started,
        pathway.TreatmentEnded: _treatment_ended,
    }
)


def pathways(state: Pathways) -> list[Document]:
    return [_shown(state, stream, known) for stream, known in state.pathways.items()]


def _shown(state: Pathways, stream: str, known: Document) -> Document:
    """Made anew only of a pathway of which more became known, so that whoever compares passes over the others."""
    of, shown = state.shown.get(stream, (None, known))
    if of is not known:
        shown = known | {name: list(known[name].values()) for name in _KEYED}
        state.shown[stream] = known, shown
    return shown
