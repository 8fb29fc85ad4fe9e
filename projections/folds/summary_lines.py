"""The lines of end-of-treatment summaries: which facts say what under which heading.

Each heading is folded by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from domain import appointment, care_plan, pathway, referral
from projections.folds import person
from projections.folds.folding import Document, Entry, Handler, Handlers
from projections.folds.person import Contacts, Person
from projections.words.phrases import about, coding, spaced, words
from projections.words.wording import in_words, moment
from projections.words.wording_of_care import diagnosis, treatment

# Lines of the person stand in every draft, lines of a pathway only in its own.
EVERY_DRAFT = ""
IN_HOURS, OUT_OF_HOURS = "in hours", "out of hours"


@dataclass
class Lines:
    """What stands under one heading. `lines` by draft and what the line is about: news of the same thing replaces
    what was said. `treated`: the pathways that have drafts; `called`: names of what later facts only refer to;
    `shown`: what was last made of it, by draft."""

    lines: dict[tuple[str, str], Document] = field(default_factory=dict)
    treated: dict[str, None] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    shown: dict[str, Document] = field(default_factory=dict)


@dataclass
class LinesOfPerson(Person, Lines):
    """The person's own particulars come before what the lines say."""


@dataclass
class LinesOfContacts(Contacts, Lines):
    """The same of care leads."""


Key = Callable[[Any], str]
Text = Callable[[Any, Entry], str]


def _day(entry: Entry) -> str:
    occurred = entry.event.occurred
    return occurred.words() if occurred.is_date_only else occurred.london_date.isoformat()


def _line(text: str, entry: Entry) -> Document:
    return {"text": text, **entry.stamp}


def _adds(key: Key, text: Text, *, to_every_draft: bool = False) -> Handler:
    def handle(under: Lines, fact: Any, entry: Entry) -> None:
        said = text(fact, entry)
        if said:
            under.lines[(EVERY_DRAFT if to_every_draft else entry.stream, key(fact))] = _line(said, entry)

    return handle


def _adds_sentence(key: Key, *, to_every_draft: bool = False) -> Handler:
    return _adds(key, lambda fact, _: in_words(fact), to_every_draft=to_every_draft)


def _adds_each_sentence(under: Lines, fact: Any, entry: Entry) -> None:
    """News in other words are other news."""
    said = in_words(fact)
    under.lines[(entry.stream, said)] = _line(said, entry)


def _removes(key: Key) -> Handler:
    """Only lines of the person come to an end; what was found and done in a pathway stays."""

    def handle(under: Lines, fact: Any, _: Entry) -> None:
        under.lines.pop((EVERY_DRAFT, key(fact)), None)

    return handle


def _each(*handlers: Handler) -> Handler:
    def handle(under: Lines, fact: Any, entry: Entry) -> bool:
        changed = [handler(under, fact, entry) is not False for handler in handlers]
        return any(changed)

    return handle


def _staged(when: str) -> Handler:
    def handle(under: Lines, fact: pathway.StagedIntegrated, entry: Entry) -> None:
        edition = f"(edition {fact.edition})" if fact.edition else ""
        for finding in fact.findings:
            said = words(f"{when}:", finding.axis, finding.value, edition)
            under.lines[(entry.stream, f"{when} {finding.axis}")] = _line(said, entry)

    return handle


def _treated(under: Lines, _: Any, entry: Entry) -> bool:
    is_new = entry.stream not in under.treated
    under.treated[entry.stream] = None
    return is_new


def _treatment_started(under: Lines, fact: pathway.TreatmentStarted, entry: Entry) -> None:
    under.called[f"{entry.stream} {fact.treatment}"] = name = treatment(fact)
    under.lines[(entry.stream, f"{fact.treatment} started")] = _line(f"{name}, started {_day(entry)}", entry)


def _treatment_ended(under: Lines, fact: pathway.TreatmentEnded, entry: Entry) -> None:
    name = under.called.get(f"{entry.stream} {fact.treatment}", spaced(fact.modality))
    said = about(f"{name}, ended {_day(entry)}", fact.reason)
    under.lines[(entry.stream, f"{fact.treatment} ended")] = _line(said, entry)


def _signs_named(under: Lines, fact: care_plan.ContingencyPlanSet, entry: Entry) -> None:
    """A new plan stands in the place of the whole old one."""
    signs = [("yes", sign) for sign in fact.urgent_signs] + [("no", sign) for sign in fact.warning_signs]
    under.lines = {(EVERY_DRAFT, f"{urgent} {sign}"): _line(sign, entry) | {"urgent": urgent} for urgent, sign in signs}


def _calls_named(under: Lines, fact: care_plan.ContingencyPlanSet, entry: Entry) -> None:
    """An old number must not linger."""
    calls = ((IN_HOURS, fact.call_in_hours), (OUT_OF_HOURS, fact.call_out_of_hours))
    under.lines = {
        (EVERY_DRAFT, when): _line(f"Call {when}: {whom}", entry) | {"when": when} for when, whom in calls if whom
    }


def _support_named(under: Lines, fact: care_plan.SupportSuggested | care_plan.SupportOffered, _: Entry) -> None:
    under.called[fact.support] = words(fact.service, fact.contact and f"({fact.contact})")


def _support_stage(stage: str) -> Handler:
    def handle(under: Lines, fact: Any, entry: Entry) -> None:
        service = under.called.get(fact.support, "a service whose name is not recorded")
        under.lines[(EVERY_DRAFT, f"support {fact.support}")] = _line(about(f"Support {stage}", service), entry)

    return handle


def _appointment_booked(under: Lines, fact: appointment.AppointmentBooked, entry: Entry) -> None:
    said = about("Appointment", moment(fact.start), fact.kind, coding(fact.specialty), fact.organisation, fact.place)
    under.lines[(EVERY_DRAFT, entry.stream)] = _line(said, entry)


def _appointment_over(under: Lines, _: Any, entry: Entry) -> None:
    under.lines.pop((EVERY_DRAFT, entry.stream), None)


def _referred(under: Lines, fact: Any, entry: Entry) -> None:
    under.lines[(EVERY_DRAFT, f"{entry.stream} {fact.stored}")] = _line(in_words(fact), entry)


def _only(name: str) -> Key:
    return lambda _: name


def _dated(fact: Any, entry: Entry) -> str:
    return f"{in_words(fact).removesuffix('.')}, {_day(entry)}"


def _site(fact: pathway.DiagnosisAgreed) -> str:
    return words(coding(fact.topography), coding(fact.laterality))


# What fills each heading; the others wait for a clinician.
_FILLED_BY: Mapping[str, Handlers] = MappingProxyType(
    {
        "person-and-gp": person.IDENTITY,
        "diagnosis": {
            pathway.DiagnosisAgreed: _adds(lambda f: f.relevance, lambda f, _: diagnosis(f)),
            pathway.CancerRuledOut: _adds_sentence(_only("ruled-out")),
            pathway.CancerRecurred: _adds(_only("recurred"), _dated),
            pathway.CancerProgressed: _adds(_only("progressed"), _dated),
        },
        "date-of-diagnosis": {
            pathway.DiagnosisAgreed: _adds(lambda f: f.relevance, lambda _, entry: _day(entry)),
        },
        "site-and-staging": {
            pathway.DiagnosisAgreed: _adds(lambda f: f"site {f.relevance}", lambda f, _: _site(f)),
            pathway.StagedBeforeTreatment: _staged("Before treatment"),
            pathway.StagedIntegrated: _staged("Integrated"),
        },
        "treatments": {
            pathway.TreatmentStarted: _treatment_started,
            pathway.TreatmentEnded: _treatment_ended,
            pathway.TreatmentPhaseEnded: _adds_sentence(lambda f: f"phase {f.phase}"),
        },
        "aim-of-treatment": {
            pathway.TreatmentStarted: _adds(lambda f: f.treatment, lambda f, _: spaced(f.intent)),
            pathway.DecisionToTreatAgreed: _adds(_only("decision"), lambda f, _: spaced(f.intent)),
        },
        "alert-symptoms": {care_plan.ContingencyPlanSet: _signs_named},
        "who-to-call": {**person.CONTACTS, care_plan.ContingencyPlanSet: _calls_named},
        "ongoing-hospital-plan": {
            pathway.FollowUpStratified: _adds_sentence(_only("follow-up")),
            appointment.AppointmentBooked: _appointment_booked,
            appointment.AppointmentAttended: _appointment_over,
            appointment.AppointmentNotAttended: _appointment_over,
            appointment.AppointmentCancelled: _appointment_over,
            appointment.AppointmentCancelledByPatient: _appointment_over,
            appointment.AppointmentCancelledByProvider: _appointment_over,
        },
        "other-referrals": {
            referral.ReferralReceived: _referred,
            referral.ReferralRejected: _referred,
            referral.ReferralCancelled: _referred,
        },
        "information-given": {
            pathway.InformedOfOutcome: _adds_each_sentence,
            care_plan.SignpostGiven: _adds_sentence(lambda f: f"signpost {f.service}", to_every_draft=True),
        },
        "support": {
            care_plan.SupportSuggested: _each(_support_named, _support_stage("suggested")),
            care_plan.SupportOffered: _each(_support_named, _support_stage("offered")),
            care_plan.SupportAccepted: _support_stage("accepted"),
            care_plan.SupportStarted: _support_stage("started"),
            care_plan.SupportDeclined: _removes(lambda f: f"support {f.support}"),
            care_plan.SupportEnded: _removes(lambda f: f"support {f.support}"),
            care_plan.ActionAgreed: _adds_sentence(lambda f: f"action {f.action}", to_every_draft=True),
            care_plan.ActionFinished: _removes(lambda f: f"action {f.action}"),
            care_plan.ActionDropped: _removes(lambda f: f"action {f.action}"),
            care_plan.ReviewScheduled: _adds_sentence(_only("review"), to_every_draft=True),
            care_plan.ReviewHeld: _removes(_only("review")),
        },
    }
)


def handlers(heading: str) -> Handlers:
    """Those that fill it, and those that say which drafts there are."""
    filling = _FILLED_BY.get(heading, {})
    treated = (pathway.TreatmentStarted, pathway.TreatmentEnded)
    return {**filling, **{fact: _each(_treated, filling[fact]) if fact in filling else _treated for fact in treated}}
