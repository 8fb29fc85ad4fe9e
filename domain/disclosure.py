"""The disclosure gate: what a patient may see of their own history.

Clinical findings open only when someone told the patient, or released them; no timer opens anything. What would
betray a finding by its mere existence (an oncology clinic, a charity's offer) waits for the same moment.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from domain import pathway, patient, referral
from domain.catalogue import category_of
from domain.facts import Category, Fact, Recorded
from domain.pathway import InformedOfOutcome, Told

_FINDINGS: dict[type[Fact], str] = {
    pathway.DiagnosisAgreed: "diagnosis",
    pathway.CancerRuledOut: "ruled-out",
    pathway.StagedBeforeTreatment: "stage",
    pathway.StagedIntegrated: "stage",
    pathway.TumourMarkerMeasured: "result",
    pathway.InvestigationReported: "result",
    pathway.CancerStateAssessed: "result",
    pathway.CancerRecurred: "recurrence",
    pathway.CancerProgressed: "progression",
    pathway.DecisionToTreatAgreed: "treatment-plan",
    pathway.DiscussedAtMdt: "treatment-plan",
}
# Follow from a diagnosis that was told; a patient who is being treated knows of the treatment.
_FOLLOWS_DIAGNOSIS: tuple[type[Fact], ...] = (
    pathway.TreatmentStarted,
    pathway.TreatmentEnded,
    pathway.TreatmentDeclined,
    pathway.TreatmentPhaseEnded,
    pathway.FollowUpStratified,
    pathway.PathwayOpened,
    pathway.PerformanceStatusAssessed,
    pathway.PathwayClosed,
    pathway.InvestigationRequested,
    pathway.InvestigationPerformed,
)
_BETRAYS_DIAGNOSIS: tuple[type[Fact], ...] = (
    patient.CareLeadNamed,
    patient.CareLeadEnded,
    patient.PatientToldOfCareLead,
    patient.ProfessionalJoinedTeam,
    patient.ProfessionalLeftTeam,
    patient.ConditionNoted,
)


class _Opening(NamedTuple):
    """`told` was told at `place` in the history: it opens what stands before it, never a later finding."""

    place: int
    told: Told


def as_seen_by_patient(history: Iterable[Recorded]) -> list[Recorded]:
    """`history` is effective, of one person, in order; the result is the part that is open to that person."""
    events = list(history)
    openings = _openings(events)
    outcome_told = any(each.told.what in ("diagnosis", "ruled-out") for these in openings.values() for each in these)
    return [
        event
        for place, event in enumerate(events)
        if _is_open(event, place, openings.get(event.stream_id, []), outcome_told)
    ]


def _openings(events: list[Recorded]) -> dict[UUID, list[_Opening]]:
    openings: dict[UUID, list[_Opening]] = {}
    for place, event in enumerate(events):
        if isinstance(event.fact, InformedOfOutcome):
            told = [_Opening(place, each) for each in event.fact.told]
            openings.setdefault(event.stream_id, []).extend(told)
    return openings


def _is_open(event: Recorded, place: int, openings: list[_Opening], outcome_told: bool) -> bool:
    fact = event.fact
    category = category_of(type(fact))
    if category is Category.PATHWAY:
        return _is_pathway_fact_open(fact, place, openings)
    if category is Category.CARE_PLAN:
        return outcome_told or _is_own_words(event)
    if isinstance(fact, referral.ReferralReceived) and fact.patient_told:
        return True
    if category in (Category.APPOINTMENT, Category.REFERRAL) or isinstance(fact, _BETRAYS_DIAGNOSIS):
        return outcome_told
    return True


def _is_pathway_fact_open(fact: Fact, place: int, openings: list[_Opening]) -> bool:
    what = _FINDINGS.get(type(fact))
    if what is not None:
        return any(_opens(each, place, what, _code(fact)) for each in openings)
    if isinstance(fact, _FOLLOWS_DIAGNOSIS):
        return any(each.told.what == "diagnosis" for each in openings)
    return isinstance(fact, InformedOfOutcome)


def _opens(opening: _Opening, place: int, what: str, code: str | None) -> bool:
    return opening.place > place and opening.told.what == what and opening.told.code in (None, code)


def _code(fact: Fact) -> str | None:
    if isinstance(fact, pathway.DiagnosisAgreed):
        return fact.icd10 or next((each.code for each in fact.codes), None)
    return None


def _is_own_words(event: Recorded) -> bool:
    author = event.provenance.author
    return author is not None and author.kind == "patient"
