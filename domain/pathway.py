"""The way of one suspected or confirmed primary cancer: investigated, diagnosed, told, staged, treated."""

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, NamedTuple

from pydantic import StringConstraints

from domain.facts import (
    NOTHING_NEW,
    Coding,
    Command,
    Decision,
    Decisions,
    Fact,
    Key,
    NotAllowed,
    Recorded,
    Text,
    Value,
    Word,
)

Icd10 = Annotated[str, StringConstraints(pattern=r"^[A-Z]\d{2}(\.?[0-9A-Z]{1,4})?$")]


class Relevance(StrEnum):
    """How sure we are that a coded condition is cancer: by code, by a flagged range (D37-D48), or by profile."""

    CANCER = "cancer"
    IN_SITU = "in-situ"
    UNCERTAIN_BEHAVIOUR = "uncertain-behaviour"
    SECONDARY = "secondary"


class Modality(StrEnum):
    """COSD cancer treatment modality CR2040, by its words; `domain/codes.py` has the codes."""

    SURGERY = "surgery"
    CYTOTOXIC = "cytotoxic"
    HORMONE = "hormone"
    CHEMORADIOTHERAPY = "chemoradiotherapy"
    EXTERNAL_BEAM = "external-beam"
    BRACHYTHERAPY = "brachytherapy"
    SPECIALIST_PALLIATIVE = "specialist-palliative"
    ACTIVE_MONITORING = "active-monitoring"
    NON_SPECIALIST_PALLIATIVE = "non-specialist-palliative"
    RADIOFREQUENCY_ABLATION = "radiofrequency-ablation"
    CRYOTHERAPY = "cryotherapy"
    PROTON = "proton"
    OTHER_DRUG = "other-drug"
    IMMUNOTHERAPY = "immunotherapy"
    RADIOISOTOPE = "radioisotope"
    BIOLOGICAL = "biological"
    RADIOSURGERY = "radiosurgery"
    OTHER = "other"
    NOT_RECORDED = "not-recorded"


class Intent(StrEnum):
    """COSD CR0680 by its words."""

    CURATIVE = "curative"
    PALLIATIVE = "palliative"
    DISEASE_MODIFICATION = "disease-modification"
    DIAGNOSTIC = "diagnostic"
    STAGING = "staging"
    UNCERTAIN = "uncertain"
    OTHER = "other"


class Told(Value):
    """One thing that the patient was told: `what` is diagnosis, ruled-out, stage, treatment-plan, recurrence,
    progression or result; `code` narrows it to one finding, else all findings of that kind so far are meant."""

    what: Annotated[
        str,
        StringConstraints(pattern="^(diagnosis|ruled-out|stage|treatment-plan|recurrence|progression|result)$"),
    ]
    code: Word | None = None


class PathwayOpened(Fact):
    stored: ClassVar[str] = "pathway.opened.v1"
    tumour_site: Word | None = None
    organisation: Word | None = None


class CancerSuspected(Fact):
    stored: ClassVar[str] = "pathway.suspected.v1"
    tumour_site: Word | None = None
    reasons: tuple[Coding, ...] = ()


class InvestigationRequested(Fact):
    stored: ClassVar[str] = "pathway.investigation-requested.v1"
    investigation: Key
    code: Coding | None = None
    name: Word | None = None


class InvestigationPerformed(Fact):
    stored: ClassVar[str] = "pathway.investigation-performed.v1"
    investigation: Key
    code: Coding | None = None
    name: Word | None = None
    ended: Word | None = None


class InvestigationReported(Fact):
    stored: ClassVar[str] = "pathway.investigation-reported.v1"
    investigation: Key
    code: Coding | None = None
    name: Word | None = None
    result: Text | None = None


class ResultAcknowledgedByClinician(Fact):
    stored: ClassVar[str] = "pathway.result-acknowledged-by-clinician.v1"
    investigation: Key
    professional: Word


class DiagnosisAgreed(Fact):
    """Occurred on the date of diagnosis (COSD CR2030). At least one of `icd10` and `codes` is present."""

    stored: ClassVar[str] = "pathway.diagnosis-agreed.v1"
    icd10: Icd10 | None = None
    codes: tuple[Coding, ...] = ()
    name: Word | None = None
    relevance: Relevance = Relevance.CANCER
    morphology: Coding | None = None
    topography: Coding | None = None
    laterality: Coding | None = None
    basis: Word | None = None
    certainty: Word | None = None
    clinical_status: Word | None = None


class CancerRuledOut(Fact):
    stored: ClassVar[str] = "pathway.ruled-out.v1"
    reason: Text | None = None


class InformedOfOutcome(Fact):
    """Someone told the patient: this opens exactly `told`, and stops the 28-day clock. COSD CR2050 is
    `nurse_specialist_present`."""

    stored: ClassVar[str] = "pathway.informed-of-outcome.v1"
    told: tuple[Told, ...]
    method: Word | None = None
    professional: Word | None = None
    nurse_specialist_present: Word | None = None


class FasterDiagnosisEnded(Fact):
    stored: ClassVar[str] = "pathway.faster-diagnosis-ended.v1"
    end_reason: Word
    exclusion_reason: Word | None = None


class StageFinding(Value):
    """`axis` is T, N, M, group or the name of another scale; `value` as told, such as `2`, `IIB` or a display."""

    axis: Word
    value: Word
    code: Coding | None = None


class StagedBeforeTreatment(Fact):
    """COSD CR0520-CR0580. The integrated stage is another fact, and never overwrites this one."""

    stored: ClassVar[str] = "pathway.staged-before-treatment.v1"
    findings: tuple[StageFinding, ...]
    edition: Word | None = None


class StagedIntegrated(Fact):
    """COSD CR0610-CR0640, after surgery and pathology."""

    stored: ClassVar[str] = "pathway.staged-integrated.v1"
    findings: tuple[StageFinding, ...]
    edition: Word | None = None


class TumourMarkerMeasured(Fact):
    stored: ClassVar[str] = "pathway.tumour-marker-measured.v1"
    marker: Coding
    value: Word


class PerformanceStatusAssessed(Fact):
    """COSD CR0510; `scale` is ECOG or Karnofsky."""

    stored: ClassVar[str] = "pathway.performance-status-assessed.v1"
    scale: Word
    value: Word


class DiscussedAtMdt(Fact):
    stored: ClassVar[str] = "pathway.discussed-at-mdt.v1"
    meeting: Word | None = None
    recommendation: Text | None = None
    intent: Intent | None = None


class DecisionToTreatAgreed(Fact):
    """Starts the 31-day clock; may stop the 28-day clock, but never opens the patient's view."""

    stored: ClassVar[str] = "pathway.decision-to-treat-agreed.v1"
    modality: Modality | None = None
    intent: Intent | None = None


class TreatmentStarted(Fact):
    """The first definitive treatment stops the 31-day and 62-day clocks. `treatment` is the source's own key."""

    stored: ClassVar[str] = "pathway.treatment-started.v1"
    treatment: Key
    modality: Modality = Modality.NOT_RECORDED
    intent: Intent | None = None
    event_type: Word | None = None
    code: Coding | None = None
    name: Word | None = None
    organisation: Word | None = None


class TreatmentEnded(Fact):
    stored: ClassVar[str] = "pathway.treatment-ended.v1"
    treatment: Key
    modality: Modality = Modality.NOT_RECORDED
    reason: Text | None = None


class TreatmentDeclined(Fact):
    stored: ClassVar[str] = "pathway.treatment-declined.v1"
    modality: Modality = Modality.NOT_RECORDED


class TreatmentPhaseEnded(Fact):
    """A clinician says that a phase is over (also in monitoring or long hormone therapy): a summary is due."""

    stored: ClassVar[str] = "pathway.treatment-phase-ended.v1"
    phase: Word
    professional: Word | None = None


class CancerRecurred(Fact):
    stored: ClassVar[str] = "pathway.recurred.v1"
    extent: Word | None = None
    code: Coding | None = None


class CancerProgressed(Fact):
    stored: ClassVar[str] = "pathway.progressed.v1"
    code: Coding | None = None


class CancerStateAssessed(Fact):
    """A clinician's finding that the cancer is in remission, stable or responding; growth is `progressed`."""

    stored: ClassVar[str] = "pathway.cancer-state-assessed.v1"
    finding: Coding


class FollowUpStratified(Fact):
    stored: ClassVar[str] = "pathway.follow-up-stratified.v1"
    route: Word
    next_due: date | None = None


class PathwayClosed(Fact):
    stored: ClassVar[str] = "pathway.closed.v1"
    reason: Text | None = None


FACTS: tuple[type[Fact], ...] = (
    PathwayOpened,
    CancerSuspected,
    InvestigationRequested,
    InvestigationPerformed,
    InvestigationReported,
    ResultAcknowledgedByClinician,
    DiagnosisAgreed,
    CancerRuledOut,
    StagedBeforeTreatment,
    TumourMarkerMeasured,
    PerformanceStatusAssessed,
    DiscussedAtMdt,
    DecisionToTreatAgreed,
    FasterDiagnosisEnded,
    TreatmentStarted,
    TreatmentDeclined,
    TreatmentEnded,
    StagedIntegrated,
    CancerStateAssessed,
    CancerProgressed,
    CancerRecurred,
    InformedOfOutcome,  # after all that can be told on the day on which it is found
    TreatmentPhaseEnded,
    FollowUpStratified,
    PathwayClosed,
)


class Pathway(NamedTuple):
    diagnosed: bool = False
    ruled_out: bool = False
    told: frozenset[Told] = frozenset()
    started: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    closed: bool = False


def evolve(pathway: Pathway, event: Recorded) -> Pathway:
    match event.fact:
        case DiagnosisAgreed():
            return pathway._replace(diagnosed=True, ruled_out=False)
        case CancerRuledOut():
            return pathway._replace(ruled_out=True)
        case InformedOfOutcome(told=told):
            return pathway._replace(told=pathway.told | set(told))
        case TreatmentStarted(treatment=treatment):
            return pathway._replace(started=pathway.started | {treatment})
        case TreatmentEnded(treatment=treatment):
            return pathway._replace(ended=pathway.ended | {treatment})
        case PathwayClosed():
            return pathway._replace(closed=True)
        case _:
            return pathway


class AgreeDiagnosis(Command):
    """A clinician agrees the diagnosis of this primary, on a date of diagnosis."""

    icd10: Icd10
    name: Word | None = None
    laterality: Coding | None = None
    basis: Word | None = None


def agree_diagnosis(pathway: Pathway, command: AgreeDiagnosis) -> Decision:
    if pathway.closed:
        raise NotAllowed("the pathway is closed; reopen it first")
    return DiagnosisAgreed(**command.model_dump())


class InformPatient(Command):
    """Note what the patient was told, by whom and how."""

    told: tuple[Told, ...]
    method: Word | None = None
    professional: Key
    nurse_specialist_present: Word | None = None


def inform_patient(pathway: Pathway, command: InformPatient) -> Decision:
    if not command.told:
        raise NotAllowed("name what the patient was told")
    if set(command.told) <= pathway.told:
        return NOTHING_NEW
    if any(told.what == "diagnosis" for told in command.told) and not pathway.diagnosed:
        raise NotAllowed("no diagnosis is recorded on this pathway; record it before noting that it was told")
    return InformedOfOutcome(**command.model_dump())


class StartTreatment(Command):
    treatment: Key
    modality: Modality
    intent: Intent | None = None
    event_type: Word | None = None


def start_treatment(pathway: Pathway, command: StartTreatment) -> Decision:
    if command.treatment in pathway.started:
        return NOTHING_NEW
    if pathway.closed:
        raise NotAllowed("the pathway is closed; reopen it first")
    return TreatmentStarted(**command.model_dump())


class EndTreatment(Command):
    treatment: Key
    reason: Text | None = None


def end_treatment(pathway: Pathway, command: EndTreatment) -> Decision:
    if command.treatment in pathway.ended:
        return NOTHING_NEW
    if command.treatment not in pathway.started:
        raise NotAllowed("this treatment has not started")
    return TreatmentEnded(**command.model_dump())


DECISIONS: Decisions = {
    AgreeDiagnosis: agree_diagnosis,
    InformPatient: inform_patient,
    StartTreatment: start_treatment,
    EndTreatment: end_treatment,
}
