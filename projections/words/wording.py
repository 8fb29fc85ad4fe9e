"""Each fact in a sentence, for people who read a history. Says what the fact says and nothing more.

Facts of the pathway and of the plan are in `wording_of_care`; every fact of the catalogue has a sentence (tested).
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from domain import annotation, appointment, linking, merging, patient, referral, retention
from domain.evolution import Several
from domain.facts import Fact
from domain.times import LONDON
from projections.words.phrases import Sentence, about, coding, codings, spaced, words
from projections.words.wording_of_care import CARE_PLAN, PATHWAY

_TO_THE_MINUTE = len("2026-03-01 09:30")


def in_words(fact: Fact) -> str:
    if isinstance(fact, annotation.Destroyed):
        return "What this said was destroyed with its key."
    return SENTENCES[type(fact)](fact)


def moment(at: datetime | None) -> str:
    """In London time, as people in England would say it; empty where no time was told."""
    return at.astimezone(LONDON).isoformat(" ", "minutes")[:_TO_THE_MINUTE] if at else ""


def name(told: patient.Name | None) -> str:
    if told is None:
        return ""
    return told.text or words(told.prefix or "", *told.given, told.family or "")


def _verified(fact: patient.IdentifierLinked) -> str:
    if fact.verified is None:
        return "not verified either way"
    return "verified" if fact.verified else "failing its check"


def _interpreter(fact: patient.LanguageRecorded) -> str:
    if fact.interpreter_needed is None:
        return "whether an interpreter is needed is not recorded"
    return "an interpreter is needed" if fact.interpreter_needed else "no interpreter is needed"


def _parts_of_demographics(fact: patient.DemographicsRecorded) -> list[str]:
    return [
        name(fact.name),
        f"born {fact.birth_date}" if fact.birth_date else "",
        f"gender {fact.gender}" if fact.gender else "",
        "an address" if fact.addresses else "",
        "contact details" if fact.telecoms else "",
        "a registered practice" if fact.registered_practice else "",
    ]


_PATIENT: dict[type[Fact], Sentence] = {
    patient.PatientRegistered: lambda f: about("Registered", "without a traced NHS number" if f.provisional else ""),
    patient.IdentifierLinked: lambda f: about("Identifier linked", f.identifier.system, _verified(f)),
    patient.DemographicsRecorded: lambda f: about("Demographics recorded", *_parts_of_demographics(f)),
    patient.LanguageRecorded: lambda f: about("Language recorded", f.language, _interpreter(f)),
    patient.EthnicityRecorded: lambda f: about("Ethnicity recorded", coding(f.ethnicity)),
    patient.AboutMeWritten: lambda f: about("The person wrote about themself", f.heading, f.words),
    patient.RestrictionApplied: lambda f: about("Record restricted", f.code),
    patient.RestrictionLifted: lambda _: "Restriction of the record lifted.",
    patient.ConditionNoted: lambda f: about("Condition noted", f.text or codings(f.codes)),
    patient.ProfessionalJoinedTeam: lambda f: about("Joined the care team", f.name, f.role, f.organisation),
    patient.CareLeadNamed: lambda f: about("Care lead named", f.name, spaced(f.role), f.organisation),
    patient.PatientToldOfCareLead: lambda f: about("Patient told who their care lead is", spaced(f.role)),
    patient.CareLeadEnded: lambda f: about("Care lead ended", spaced(f.role), f.professional),
    patient.ProfessionalLeftTeam: lambda f: about("Left the care team", f.professional),
    patient.ExternalChangeNotified: lambda f: about("Another service notified a change there", f.kind),
    patient.DeathReportedInformally: lambda f: about("Death reported informally", f.on),
    patient.DeathRecordedFormally: lambda f: about("Death recorded formally", f.on),
    retention.RetentionHoldPlaced: lambda f: about("Retention hold placed", f.hold, f.reason),
    retention.RetentionHoldLifted: lambda f: about("Retention hold lifted", f.hold, f.reason),
    retention.KeyDestroyed: lambda f: about(
        "Key destroyed", f"asked for by {f.requested_by}", f"confirmed by {f.confirmed_by}", f.reason
    ),
}
_MERGING: dict[type[Fact], Sentence] = {
    linking.LinkReported: lambda f: about("A source says that another record is of the same person", spaced(f.kind)),
    merging.Merged: lambda f: about("This record became part of another", str(f.into), f.reason),
    merging.MergeReceived: lambda f: about("Another record became part of this one", str(f.patient), f.reason),
    merging.Unmerged: lambda f: about("This record was parted from another", str(f.out_of), f.reason),
    merging.MergeReleased: lambda f: about("Another record was parted from this one", str(f.patient), f.reason),
}
_REFERRAL: dict[type[Fact], Sentence] = {
    referral.ReferralReceived: lambda f: about(
        "Referral received", spaced(f.priority), coding(f.specialty), f.description
    ),
    referral.ReferralTriaged: lambda f: about("Referral triaged", f.outcome, f.comment),
    referral.ReferralDowngraded: lambda f: about("Referral downgraded", f"to {spaced(f.to)}", f.reason),
    referral.ReferralUpgradedByConsultant: lambda f: about("Referral upgraded by a consultant", f.consultant),
    referral.ReferralAccepted: lambda f: about("Referral accepted", f.provider),
    referral.ReferralTransferredToProvider: lambda f: about("Referral transferred to another provider", f.provider),
    referral.ReferralRejected: lambda f: about("Referral rejected", f.reason),
    referral.ReferralCancelled: lambda f: about(
        "Referral cancelled", f"by {f.by}" if f.by else "who cancelled is not recorded", f.reason
    ),
}
_APPOINTMENT: dict[type[Fact], Sentence] = {
    appointment.AppointmentBooked: lambda f: about(
        "Appointment booked", moment(f.start), f.kind, coding(f.specialty), f.organisation, f.place
    ),
    appointment.ChangeRequestedByPatient: lambda f: about("Patient asked to change the appointment", f.wish, f.words),
    appointment.ChangeConfirmed: lambda _: "Change of the appointment confirmed.",
    appointment.ChangeRefused: lambda f: about("Change of the appointment refused", f.reason),
    appointment.AppointmentCancelledByPatient: lambda f: about("Appointment cancelled by the patient", f.reason),
    appointment.AppointmentCancelledByProvider: lambda f: about("Appointment cancelled by the provider", f.reason),
    appointment.AppointmentCancelled: lambda f: about("Appointment cancelled; by whom is not recorded", f.reason),
    appointment.AppointmentNotAttended: lambda f: about("Appointment not attended", spaced(f.how)),
    appointment.AppointmentAttended: lambda f: about(
        "Appointment attended", moment(f.start), f.kind, coding(f.specialty), f.organisation, codings(f.reasons)
    ),
    appointment.AppointmentOutcomeRecorded: lambda f: about("Outcome of the appointment recorded", f.outcome),
}
_ANNOTATION: dict[type[Fact], Sentence] = {
    annotation.MarkedInError: lambda f: about(
        "Marked in error", f"versions {', '.join(map(str, f.versions))} of this stream", f.reason
    ),
    annotation.Withdrawn: lambda f: about(
        "Withdrawn by its source as entered in error", f"as it stood there on {moment(f.as_of)}", f.reason
    ),
    annotation.Corrected: lambda f: about("Corrected", f"version {f.version} of this stream", f.reason),
    annotation.MovedAway: lambda f: about(
        "Moved to another patient", f"versions {', '.join(map(str, f.versions))} of this stream", f.reason
    ),
    annotation.MovedIn: lambda f: about("Moved here from another patient", f.moved, f.reason),
    annotation.Assigned: lambda f: about(
        "Assigned to this record", f"versions {', '.join(map(str, f.versions))} of this stream", f.reason
    ),
}
_EVOLUTION: dict[type[Fact], Sentence] = {
    Several: lambda f: words(*map(in_words, f.facts)) or "What this says is not read any more.",
}
SENTENCES: Mapping[type[Fact], Sentence] = MappingProxyType(
    {**_PATIENT, **_MERGING, **_REFERRAL, **_APPOINTMENT, **PATHWAY, **CARE_PLAN, **_ANNOTATION, **_EVOLUTION}
)
