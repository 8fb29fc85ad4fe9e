"""The disclosure gate: what a patient may see of their own history.

Clinical findings open only when someone told the patient, or released them; no timer opens anything. What would
betray a finding by its mere existence (an oncology clinic, a charity's offer) waits for the same moment.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from domain import care_plan, linking, merging, pathway, patient, referral, retention
from domain.care_plan import PathwayPoint
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
# What these say of why and to what end would betray a finding that is not told yet.
_HINTS: Mapping[type[Fact], tuple[str, ...]] = MappingProxyType(
    {
        pathway.TreatmentStarted: ("intent", "event_type"),
        pathway.TreatmentEnded: ("reason",),
        pathway.PathwayClosed: ("reason",),
    }
)
_HINTED_AT = ("diagnosis", "stage", "recurrence", "progression")
# A needs assessment for a turn of the illness that nobody has told of; any of these, told, opens it.
_POINTS_THAT_BETRAY: Mapping[PathwayPoint, frozenset[str]] = MappingProxyType(
    {
        PathwayPoint.RECURRENCE: frozenset({"recurrence"}),
        PathwayPoint.TRANSITION_TO_PALLIATIVE_CARE: frozenset({"recurrence", "progression", "treatment-plan"}),
        PathwayPoint.PALLIATIVE_OR_END_OF_LIFE: frozenset({"recurrence", "progression", "treatment-plan"}),
    }
)
_BETRAYS_DIAGNOSIS: tuple[type[Fact], ...] = (
    patient.CareLeadNamed,
    patient.CareLeadEnded,
    patient.PatientToldOfCareLead,
    patient.ProfessionalJoinedTeam,
    patient.ProfessionalLeftTeam,
    patient.ConditionNoted,
)
# Of the keeping of records, not of the person: a reason may speak of somebody else, or of an inquiry.
_OF_THE_OFFICE: tuple[type[Fact], ...] = (*linking.FACTS, *merging.FACTS, *retention.FACTS)


class _Opening(NamedTuple):
    """`told` was told at `place` in the history: it opens what stands before it, never a later finding, nor what a
    correction recorded after `position` has made of an earlier one."""

    place: int
    position: int
    told: Told


def as_seen_by_patient(history: Iterable[Recorded]) -> list[Recorded]:
    """`history` is effective, of one person, in order; the result is the part that is open to that person."""
    events = list(history)
    openings = _openings(events)
    told = frozenset(each.told.what for these in openings.values() for each in these)
    untold: set[UUID] = set()
    seen = []
    for place, event in enumerate(events):
        if _is_open(event, place, openings.get(event.stream_id, []), told):
            seen.append(_without_hints(event) if event.stream_id in untold else event)
        elif _FINDINGS.get(type(event.fact)) in _HINTED_AT:
            untold.add(event.stream_id)
    return seen


def _without_hints(event: Recorded) -> Recorded:
    """Since something was found that is not told yet, what is done shows without its reason and aim."""
    hints = _HINTS.get(type(event.fact))
    return event._replace(fact=event.fact.model_copy(update=dict.fromkeys(hints))) if hints else event


def _openings(events: list[Recorded]) -> dict[UUID, list[_Opening]]:
    openings: dict[UUID, list[_Opening]] = {}
    for place, event in enumerate(events):
        if isinstance(event.fact, InformedOfOutcome):
            told = [_Opening(place, event.position, each) for each in event.fact.told]
            openings.setdefault(event.stream_id, []).extend(told)
    return openings


def _is_open(event: Recorded, place: int, openings: list[_Opening], told: frozenset[str]) -> bool:
    fact = event.fact
    category = category_of(type(fact))
    outcome_told = bool(told & {"diagnosis", "ruled-out"})
    if category is Category.PATHWAY:
        return _is_pathway_fact_open(event, place, openings)
    if category is Category.CARE_PLAN:
        return (outcome_told and _is_at_a_told_point(fact, told)) or _is_own_words(event)
    if isinstance(fact, referral.ReferralReceived) and fact.patient_told:
        return True
    if category in (Category.APPOINTMENT, Category.REFERRAL) or isinstance(fact, _BETRAYS_DIAGNOSIS):
        return outcome_told
    return not isinstance(fact, _OF_THE_OFFICE)


def _is_pathway_fact_open(event: Recorded, place: int, openings: list[_Opening]) -> bool:
    fact = event.fact
    what = _FINDINGS.get(type(fact))
    if what is not None:
        since = [each for each in openings if each.position > (event.corrected_at or 0)]
        return any(_opens(each, place, what, _codes(fact)) for each in since)
    if isinstance(fact, _FOLLOWS_DIAGNOSIS):
        return any(each.told.what == "diagnosis" for each in openings)
    return isinstance(fact, InformedOfOutcome)


def _opens(opening: _Opening, place: int, what: str, codes: frozenset[str]) -> bool:
    code = opening.told.code
    return opening.place > place and opening.told.what == what and (code is None or code in codes)


def _codes(fact: Fact) -> frozenset[str]:
    """All by which someone may have named this finding when telling of it."""
    match fact:
        case pathway.DiagnosisAgreed():
            return frozenset(each.code for each in fact.codes) | ({fact.icd10} if fact.icd10 else set())
        case pathway.TumourMarkerMeasured(marker=code) | pathway.CancerStateAssessed(finding=code):
            return frozenset({code.code})
        case (
            pathway.InvestigationReported(code=named)
            | pathway.CancerRecurred(code=named)
            | pathway.CancerProgressed(code=named)
        ):
            return frozenset({named.code} if named else ())
        case pathway.StagedBeforeTreatment(findings=findings) | pathway.StagedIntegrated(findings=findings):
            # the code of one axis must not open the others
            return frozenset(each.code.code for each in findings if each.code and len(findings) == 1)
        case _:
            return frozenset()


def _is_at_a_told_point(fact: Fact, told: frozenset[str]) -> bool:
    match fact:
        case (
            care_plan.AssessmentOffered(point=point)
            | care_plan.AssessmentDeclined(point=point)
            | care_plan.AssessmentSubmitted(point=point)
        ):
            return point not in _POINTS_THAT_BETRAY or bool(_POINTS_THAT_BETRAY[point] & told)
        case _:
            return True


def _is_own_words(event: Recorded) -> bool:
    author = event.provenance.author
    return author is not None and author.kind == "patient"
