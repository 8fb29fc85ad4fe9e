"""The person: identifiers, demographics, care leads, team, and what the person said of themself."""

from collections.abc import Callable
from enum import StrEnum
from typing import ClassVar, NamedTuple

from domain import merging as merges
from domain import retention as keeping
from domain.facts import (
    NOTHING_NEW,
    Coding,
    Command,
    Decision,
    Decisions,
    Fact,
    Key,
    NotAllowed,
    PartialDate,
    Recorded,
    Text,
    Value,
    Word,
)

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"


class CareLeadRole(StrEnum):
    """Three roles, never one (domain of the national plan; PRSB key worker flag)."""

    CANCER_NURSE_SPECIALIST = "cancer-nurse-specialist"
    NEIGHBOURHOOD_CARE_LEAD = "neighbourhood-care-lead"
    KEY_WORKER = "key-worker"


class Identifier(Value):
    system: Word
    value: Word


class Name(Value):
    family: Word | None = None
    given: tuple[Word, ...] = ()
    prefix: Word | None = None
    text: Word | None = None


class Address(Value):
    lines: tuple[Word, ...] = ()
    postcode: Word | None = None
    use: Word | None = None


class Telecom(Value):
    system: Word | None = None
    value: Word
    use: Word | None = None


class PatientRegistered(Fact):
    """The first time anything names this person. Provisional until an NHS number is traced."""

    stored: ClassVar[str] = "patient.registered.v1"
    provisional: bool = True


class IdentifierLinked(Fact):
    """`verified` is the check digit for NHS numbers: a failing number is kept and flagged, never lost."""

    stored: ClassVar[str] = "patient.identifier-linked.v1"
    identifier: Identifier
    verified: bool | None = None
    trace_status: Word | None = None


class DemographicsRecorded(Fact):
    """What a source says of the person. Absent is not recorded, never no."""

    stored: ClassVar[str] = "patient.demographics-recorded.v1"
    name: Name | None = None
    birth_date: PartialDate | None = None
    gender: Word | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    registered_practice: Word | None = None


class LanguageRecorded(Fact):
    stored: ClassVar[str] = "patient.language-recorded.v1"
    language: Word
    interpreter_needed: bool | None = None


class EthnicityRecorded(Fact):
    stored: ClassVar[str] = "patient.ethnicity-recorded.v1"
    ethnicity: Coding
    self_declared: bool | None = None


class AboutMeWritten(Fact):
    """PRSB About Me, in the person's own words; `heading` is one of its eight."""

    stored: ClassVar[str] = "patient.about-me-written.v1"
    heading: Word
    words: Text


class RestrictionApplied(Fact):
    stored: ClassVar[str] = "patient.restriction-applied.v1"
    code: Word


class RestrictionLifted(Fact):
    stored: ClassVar[str] = "patient.restriction-lifted.v1"


class DeathReportedInformally(Fact):
    stored: ClassVar[str] = "patient.death-reported-informally.v1"
    on: PartialDate | None = None


class DeathRecordedFormally(Fact):
    stored: ClassVar[str] = "patient.death-recorded-formally.v1"
    on: PartialDate | None = None


class ExternalChangeNotified(Fact):
    """Another service says that something of this person changed there, without saying what."""

    stored: ClassVar[str] = "patient.external-change-notified.v1"
    kind: Word
    reference: Word | None = None


class ConditionNoted(Fact):
    """A condition that is not known to be cancer: kept, because it may matter to the plan."""

    stored: ClassVar[str] = "patient.condition-noted.v1"
    key: Key
    codes: tuple[Coding, ...]
    text: Word | None = None
    ended_on: PartialDate | None = None


class CareLeadNamed(Fact):
    stored: ClassVar[str] = "patient.care-lead-named.v1"
    role: CareLeadRole
    professional: Word
    name: Word
    organisation: Word | None = None
    telephone: Word | None = None


class CareLeadEnded(Fact):
    stored: ClassVar[str] = "patient.care-lead-ended.v1"
    role: CareLeadRole
    professional: Word


class PatientToldOfCareLead(Fact):
    stored: ClassVar[str] = "patient.told-of-care-lead.v1"
    role: CareLeadRole
    professional: Word


class ProfessionalJoinedTeam(Fact):
    stored: ClassVar[str] = "patient.professional-joined-team.v1"
    professional: Word
    name: Word
    role: Word | None = None
    organisation: Word | None = None
    telephone: Word | None = None


class ProfessionalLeftTeam(Fact):
    stored: ClassVar[str] = "patient.professional-left-team.v1"
    professional: Word


FACTS: tuple[type[Fact], ...] = (
    PatientRegistered,
    IdentifierLinked,
    DemographicsRecorded,
    LanguageRecorded,
    EthnicityRecorded,
    AboutMeWritten,
    RestrictionApplied,
    RestrictionLifted,
    ConditionNoted,
    ProfessionalJoinedTeam,
    CareLeadNamed,
    PatientToldOfCareLead,
    CareLeadEnded,
    ProfessionalLeftTeam,
    ExternalChangeNotified,
    DeathReportedInformally,
    DeathRecordedFormally,
    *keeping.FACTS,
)


class Patient(NamedTuple):
    """The state that decisions about a person need."""

    known: bool = False
    identifiers: tuple[Identifier, ...] = ()
    names: tuple[Name, ...] = ()
    birth_date: PartialDate | None = None
    care_leads: tuple[CareLeadNamed, ...] = ()
    told_of: frozenset[tuple[CareLeadRole, str]] = frozenset()
    died: bool = False
    merging: merges.Merging = merges.Merging()
    retention: keeping.Retention = keeping.Retention()

    def care_lead(self, role: CareLeadRole) -> CareLeadNamed | None:
        return next((lead for lead in self.care_leads if lead.role is role), None)

    def nhs_numbers(self) -> frozenset[str]:
        return frozenset([each.value for each in self.identifiers if each.system == NHS_NUMBER])


def evolve(patient: Patient, event: Recorded) -> Patient:
    match event.fact:
        case PatientRegistered():
            return patient._replace(known=True)
        case IdentifierLinked(identifier=identifier):
            return patient._replace(identifiers=(*patient.identifiers, identifier))
        case DemographicsRecorded() as told:
            return _with_demographics(patient, told)
        case CareLeadNamed() as lead:
            others = tuple(each for each in patient.care_leads if each.role is not lead.role)
            return patient._replace(care_leads=(*others, lead))
        case CareLeadEnded(role=role, professional=professional):
            left = tuple(e for e in patient.care_leads if (e.role, e.professional) != (role, professional))
            return patient._replace(care_leads=left)
        case PatientToldOfCareLead(role=role, professional=professional):
            return patient._replace(told_of=patient.told_of | {(role, professional)})
        case DeathRecordedFormally():
            return patient._replace(died=True)
        case _:
            return _with_keeping(patient, event.fact)


# What `evolve` looks at; all else leaves the state as it is.
HEEDED: tuple[type[Fact], ...] = (
    PatientRegistered,
    IdentifierLinked,
    DemographicsRecorded,
    CareLeadNamed,
    CareLeadEnded,
    PatientToldOfCareLead,
    DeathRecordedFormally,
    *merges.FACTS,
    *keeping.FACTS,
)


def _with_keeping(patient: Patient, fact: Fact) -> Patient:
    """Of the keeping of the record: joined or parted, held or free."""
    merging, retention = merges.evolve(patient.merging, fact), keeping.evolve(patient.retention, fact)
    if merging is patient.merging and retention is patient.retention:
        return patient
    return patient._replace(merging=merging, retention=retention)


def _with_demographics(patient: Patient, told: DemographicsRecorded) -> Patient:
    names = patient.names if told.name is None or told.name in patient.names else (*patient.names, told.name)
    birth_date = told.birth_date or patient.birth_date
    return patient._replace(names=names, birth_date=birth_date)


class NameCareLead(Command):
    """Name the professional who holds one of the three care lead roles. A successor ends the predecessor."""

    role: CareLeadRole
    professional: Key
    name: Key
    organisation: Word | None = None
    telephone: Word | None = None


def name_care_lead(patient: Patient, command: NameCareLead) -> Decision:
    named = CareLeadNamed(**command.model_dump())
    holder = patient.care_lead(command.role)
    if holder == named:
        return NOTHING_NEW
    if patient.died:
        raise NotAllowed("the patient's death is recorded; a care lead cannot be named")
    if holder is None or holder.professional == named.professional:
        return named
    return CareLeadEnded(role=holder.role, professional=holder.professional), named


class TellOfCareLead(Command):
    """Note that the patient was told who their care lead is (an expectation of the national plan)."""

    role: CareLeadRole


def tell_of_care_lead(patient: Patient, command: TellOfCareLead) -> Decision:
    holder = patient.care_lead(command.role)
    if holder is None:
        raise NotAllowed("no care lead holds this role; name one first")
    if (command.role, holder.professional) in patient.told_of:
        return NOTHING_NEW
    return PatientToldOfCareLead(role=command.role, professional=holder.professional)


class WriteAboutMe(Command):
    """What the person wants others to know, under a heading of PRSB About Me."""

    heading: Key
    words: Text


def write_about_me(patient: Patient, command: WriteAboutMe) -> Decision:
    return AboutMeWritten(heading=command.heading, words=command.words)


def _on_merging(rule: Callable[..., Decision]) -> Callable[[Patient, Command], Decision]:
    return lambda patient, command: rule(patient.merging, command)


def _on_retention(rule: Callable[..., Decision]) -> Callable[[Patient, Command], Decision]:
    return lambda patient, command: rule(patient.retention, command)


DECISIONS: Decisions = {
    NameCareLead: name_care_lead,
    TellOfCareLead: tell_of_care_lead,
    WriteAboutMe: write_about_me,
    **{command: _on_merging(rule) for command, rule in merges.RULES.items()},
    **{command: _on_retention(rule) for command, rule in keeping.RULES.items()},
}
