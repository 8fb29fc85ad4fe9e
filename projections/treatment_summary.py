"""Drafts of the end-of-treatment summary: for each treated pathway the sixteen headings, each line with its event.

A draft says only what events say. A heading that no event fills says so, and who could fill it; a clinician edits
and signs elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from domain import appointment, care_plan, pathway, referral
from domain.patient import CareLeadRole
from projections import person
from projections.folding import NOT_RECORDED, Document, Entry, Handler, Handlers, Projection
from projections.phrases import about, coding, spaced, words
from projections.summary_headings import HEADINGS, Heading
from projections.wording import in_words, moment
from projections.wording_of_care import diagnosis, treatment

# Lines of the person stand in every draft, lines of a pathway only in its own.
_EVERY_DRAFT = ""
_IN_HOURS, _OUT_OF_HOURS = "in hours", "out of hours"


@dataclass
class Drafts(person.Person):
    """`lines` by draft, heading and what the line is about: news of the same thing replaces what was said."""

    lines: dict[tuple[str, str, str], Document] = field(default_factory=dict)
    treated: dict[str, None] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)


Key = Callable[[Any], str]
Text = Callable[[Any, Entry], str]


def _day(entry: Entry) -> str:
    occurred = entry.event.occurred
    return occurred.words() if occurred.is_date_only else occurred.london_date.isoformat()


def _line(text: str, entry: Entry) -> Document:
    return {"text": text, **entry.stamp}


def _adds(heading: str, key: Key, text: Text, *, to_every_draft: bool = False) -> Handler:
    def handle(drafts: Drafts, fact: Any, entry: Entry) -> None:
        draft = _EVERY_DRAFT if to_every_draft else entry.stream
        said = text(fact, entry)
        if said:
            drafts.lines[(draft, heading, key(fact))] = _line(said, entry)

    return handle


def _adds_sentence(heading: str, key: Key, *, to_every_draft: bool = False) -> Handler:
    return _adds(heading, key, lambda fact, _: in_words(fact), to_every_draft=to_every_draft)


def _removes(heading: str, key: Key) -> Handler:
    """Only lines of the person come to an end; what was found and done in a pathway stays."""

    def handle(drafts: Drafts, fact: Any, _: Entry) -> None:
        drafts.lines.pop((_EVERY_DRAFT, heading, key(fact)), None)

    return handle


def _each(*handlers: Handler) -> Handler:
    def handle(drafts: Drafts, fact: Any, entry: Entry) -> None:
        for handler in handlers:
            handler(drafts, fact, entry)

    return handle


def _staged(when: str) -> Handler:
    def handle(drafts: Drafts, fact: pathway.StagedIntegrated, entry: Entry) -> None:
        edition = f"(edition {fact.edition})" if fact.edition else ""
        for finding in fact.findings:
            said = words(f"{when}:", finding.axis, finding.value, edition)
            drafts.lines[(entry.stream, "site-and-staging", f"{when} {finding.axis}")] = _line(said, entry)

    return handle


def _treatment_started(drafts: Drafts, fact: pathway.TreatmentStarted, entry: Entry) -> None:
    drafts.treated[entry.stream] = None
    drafts.called[f"{entry.stream} {fact.treatment}"] = name = treatment(fact)
    said = _line(f"{name}, started {_day(entry)}", entry)
    drafts.lines[(entry.stream, "treatments", f"{fact.treatment} started")] = said


def _treatment_ended(drafts: Drafts, fact: pathway.TreatmentEnded, entry: Entry) -> None:
    drafts.treated[entry.stream] = None
    name = drafts.called.get(f"{entry.stream} {fact.treatment}", spaced(fact.modality))
    said = _line(about(f"{name}, ended {_day(entry)}", fact.reason), entry)
    drafts.lines[(entry.stream, "treatments", f"{fact.treatment} ended")] = said


def _contingency_plan_set(drafts: Drafts, fact: care_plan.ContingencyPlanSet, entry: Entry) -> None:
    """A new plan stands in the place of the whole old one: an old number must not linger."""
    for place in [place for place in drafts.lines if place[1] in ("alert-symptoms", "who-to-call")]:
        del drafts.lines[place]
    for urgent, signs in (("yes", fact.urgent_signs), ("no", fact.warning_signs)):
        for sign in signs:
            place = (_EVERY_DRAFT, "alert-symptoms", f"{urgent} {sign}")
            drafts.lines[place] = _line(sign, entry) | {"urgent": urgent}
    for when, whom in ((_IN_HOURS, fact.call_in_hours), (_OUT_OF_HOURS, fact.call_out_of_hours)):
        if whom:
            place = (_EVERY_DRAFT, "who-to-call", when)
            drafts.lines[place] = _line(f"Call {when}: {whom}", entry) | {"when": when}


def _support_named(drafts: Drafts, fact: care_plan.SupportSuggested | care_plan.SupportOffered, _: Entry) -> None:
    drafts.called[fact.support] = words(fact.service, fact.contact and f"({fact.contact})")


def _support_stage(stage: str) -> Handler:
    def handle(drafts: Drafts, fact: Any, entry: Entry) -> None:
        service = drafts.called.get(fact.support, "a service whose name is not recorded")
        said = _line(about(f"Support {stage}", service), entry)
        drafts.lines[(_EVERY_DRAFT, "support", f"support {fact.support}")] = said

    return handle


def _appointment_booked(drafts: Drafts, fact: appointment.AppointmentBooked, entry: Entry) -> None:
    said = about("Appointment", moment(fact.start), fact.kind, coding(fact.specialty), fact.organisation, fact.place)
    drafts.lines[(_EVERY_DRAFT, "ongoing-hospital-plan", entry.stream)] = _line(said, entry)


def _appointment_over(drafts: Drafts, _: Any, entry: Entry) -> None:
    drafts.lines.pop((_EVERY_DRAFT, "ongoing-hospital-plan", entry.stream), None)


def _referred(drafts: Drafts, fact: Any, entry: Entry) -> None:
    drafts.lines[(_EVERY_DRAFT, "other-referrals", f"{entry.stream} {fact.stored}")] = _line(in_words(fact), entry)


def _only(name: str) -> Key:
    return lambda _: name


def _dated(fact: Any, entry: Entry) -> str:
    return f"{in_words(fact).removesuffix('.')}, {_day(entry)}"


_PATHWAY: Handlers = MappingProxyType(
    {
        pathway.DiagnosisAgreed: _each(
            _adds("diagnosis", lambda f: f.relevance, lambda f, _: diagnosis(f)),
            _adds("date-of-diagnosis", lambda f: f.relevance, lambda _, entry: _day(entry)),
            _adds("site-and-staging", lambda f: f"site {f.relevance}", lambda f, _: _site(f)),
        ),
        pathway.CancerRuledOut: _adds_sentence("diagnosis", _only("ruled-out")),
        pathway.CancerRecurred: _adds("diagnosis", _only("recurred"), _dated),
        pathway.CancerProgressed: _adds("diagnosis", _only("progressed"), _dated),
        pathway.StagedBeforeTreatment: _staged("Before treatment"),
        pathway.StagedIntegrated: _staged("Integrated"),
        pathway.TreatmentStarted: _each(
            _treatment_started,
            _adds("aim-of-treatment", lambda f: f.treatment, lambda f, _: spaced(f.intent)),
        ),
        pathway.TreatmentEnded: _treatment_ended,
        pathway.TreatmentPhaseEnded: _adds_sentence("treatments", lambda f: f"phase {f.phase}"),
        pathway.DecisionToTreatAgreed: _adds("aim-of-treatment", _only("decision"), lambda f, _: spaced(f.intent)),
        pathway.FollowUpStratified: _adds_sentence("ongoing-hospital-plan", _only("follow-up")),
        pathway.InformedOfOutcome: _adds_sentence("information-given", in_words),
    }
)
_PLAN: Handlers = MappingProxyType(
    {
        care_plan.ContingencyPlanSet: _contingency_plan_set,
        care_plan.SupportSuggested: _each(_support_named, _support_stage("suggested")),
        care_plan.SupportOffered: _each(_support_named, _support_stage("offered")),
        care_plan.SupportAccepted: _support_stage("accepted"),
        care_plan.SupportStarted: _support_stage("started"),
        care_plan.SupportDeclined: _removes("support", lambda f: f"support {f.support}"),
        care_plan.SupportEnded: _removes("support", lambda f: f"support {f.support}"),
        care_plan.ActionAgreed: _adds_sentence("support", lambda f: f"action {f.action}", to_every_draft=True),
        care_plan.ActionFinished: _removes("support", lambda f: f"action {f.action}"),
        care_plan.ActionDropped: _removes("support", lambda f: f"action {f.action}"),
        care_plan.SignpostGiven: _adds_sentence(
            "information-given", lambda f: f"signpost {f.service}", to_every_draft=True
        ),
        care_plan.ReviewScheduled: _adds_sentence("support", _only("review"), to_every_draft=True),
        care_plan.ReviewHeld: _removes("support", _only("review")),
    }
)
_VISITS: Handlers = MappingProxyType(
    {
        appointment.AppointmentBooked: _appointment_booked,
        appointment.AppointmentAttended: _appointment_over,
        appointment.AppointmentNotAttended: _appointment_over,
        appointment.AppointmentCancelled: _appointment_over,
        appointment.AppointmentCancelledByPatient: _appointment_over,
        appointment.AppointmentCancelledByProvider: _appointment_over,
        referral.ReferralReceived: _referred,
        referral.ReferralRejected: _referred,
        referral.ReferralCancelled: _referred,
    }
)
HANDLERS: Handlers = MappingProxyType({**person.IDENTITY, **person.CONTACTS, **_PATHWAY, **_PLAN, **_VISITS})


def _site(fact: pathway.DiagnosisAgreed) -> str:
    return words(coding(fact.topography), coding(fact.laterality))


def document(drafts: Drafts) -> Document:
    """One draft for each treated pathway, or a single one of all that is known where nothing was treated.

    None where no pathway says anything: an empty summary would tell a patient that one is expected.
    """
    of_pathways = any(draft != _EVERY_DRAFT for draft, _, _ in drafts.lines)
    chosen = list(drafts.treated) or ([NOT_RECORDED] if of_pathways else [])
    if not chosen:
        return {"drafts": []}
    of_person = _lines_of_person(drafts)
    lines = {stream: {heading: list(told) for heading, told in of_person.items()} for stream in chosen}
    for (draft, heading, _), line in drafts.lines.items():
        for stream in chosen if draft == _EVERY_DRAFT or chosen == [NOT_RECORDED] else [draft]:
            if stream in lines:
                lines[stream].setdefault(heading, []).append(line)
    return {"drafts": [_draft(stream, lines[stream]) for stream in chosen]}


def _draft(stream: str, lines: dict[str, list[Document]]) -> Document:
    headings = [_heading(heading, lines.get(heading.key)) for heading in HEADINGS]
    return {"pathway": stream, "status": "draft", "headings": headings}


def _heading(heading: Heading, lines: list[Document] | None) -> Document:
    if not lines:
        return _WITHOUT_LINES[heading.key]
    missing = [{"what": what, "could_be_given_by": heading.given_by} for what in _missing(heading, lines)]
    return {"heading": heading.key, "title": heading.title, "lines": lines, "not_recorded": missing}


def _missing(heading: Heading, lines: list[Document]) -> list[str]:
    if heading.key == "who-to-call":
        covered = {line.get("when") for line in lines}
        return [f"Who to call {when}" for when in (_IN_HOURS, _OUT_OF_HOURS) if when not in covered]
    return [] if lines else [heading.title]


def _without_lines(heading: Heading) -> Document:
    missing = [{"what": what, "could_be_given_by": heading.given_by} for what in _missing(heading, [])]
    return {"heading": heading.key, "title": heading.title, "lines": [], "not_recorded": missing}


_WITHOUT_LINES: Mapping[str, Document] = MappingProxyType({each.key: _without_lines(each) for each in HEADINGS})


def _lines_of_person(drafts: Drafts) -> dict[str, list[Document]]:
    about_person = [_of_name(name) for name in drafts.names_newest_first()[:1]]
    for label, name in (("Born", "birth_date"), ("GP practice", "registered_practice")):
        told = drafts.detail(name)
        if told["value"] != NOT_RECORDED:
            stamp = {"occurred": told["occurred"], "because": told["because"]}
            about_person.append({"text": f"{label}: {told['value']}", **stamp})
    leads = [drafts.care_leads[role.value] for role in CareLeadRole if role.value in drafts.care_leads]
    return {"person-and-gp": about_person, "who-to-call": [_of_care_lead(lead) for lead in leads]}


def _of_name(name: Document) -> Document:
    told = [name["prefix"], *name["given"], name["family"]]
    parts = [name["text"]] if name["text"] != NOT_RECORDED else [each for each in told if each != NOT_RECORDED]
    return {"text": " ".join(parts), "occurred": name["occurred"], "because": name["because"]}


def _of_care_lead(lead: Document) -> Document:
    """A lead with a telephone is someone to call in working hours."""
    said = [spaced(lead["role"]), *(lead[name] for name in ("organisation", "telephone") if lead[name] != NOT_RECORDED)]
    line = {"text": f"{lead['name']}, {', '.join(said)}", "occurred": lead["occurred"], "because": lead["because"]}
    return line if lead["telephone"] == NOT_RECORDED else line | {"when": _IN_HOURS}


TREATMENT_SUMMARY = Projection("treatment_summary", 1, Drafts, HANDLERS, document)
