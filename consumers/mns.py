"""Signals of the NHS Multicast Notification Service: that something of a person changed at another national service.

They come as plain CloudEvents, in an older shape without `specversion`, and as FHIR Bundles of type history. The NHS
number in `subject` and `dataref` names the patient and is kept nowhere else.
"""

import re
from typing import Any

from consumers.fhir.message import Resource
from consumers.fhir.reading import Reading
from consumers.translation import Entry, Instruction, Refusal, Refused, Sender, Translated
from domain.facts import PATIENT, Fact
from domain.identity import PatientReference, identifier
from domain.patient import NHS_NUMBER, DeathRecordedFormally, DeathReportedInformally, ExternalChangeNotified
from domain.times import Occurred

_KIND = re.compile(r"[a-z][a-z0-9-]{2,80}-[0-9]{1,2}")
_NUMBER = re.compile(r"[0-9]{10}")
_DEATH = "pds-death-notification"
_FORMAL, _REMOVED = "2", ("U", "u")
_STATUS_PROFILE = "subscription-status-r4"


def is_signal(document: Any) -> bool:
    """True for a JSON object in either CloudEvents shape of the service; our own types have dots."""
    if not isinstance(document, dict) or "resourceType" in document:
        return False
    kind = document.get("type")
    return isinstance(kind, str) and _KIND.fullmatch(kind) is not None and "subject" in document


def translate(document: Any, sender: Sender) -> list[Entry]:
    """One entry for the whole document. Never raises, whatever the document is."""
    event = Reading(document)
    try:
        return [_signal(event, sender)]
    except Refusal as refusal:
        return [Refused("", "signal", refusal.code, refusal.field, refusal.detail, refusal.action)]


def is_notification(resource: Resource) -> bool:
    """True for the Parameters with which the service says what happened, inside a Bundle of type history."""
    profiles = (each.text() or "" for each in resource.get("meta", "profile").items())
    return resource.kind == "Parameters" and any(each.endswith(_STATUS_PROFILE) for each in profiles)


def notification(resource: Resource, sender: Sender) -> tuple[PatientReference, tuple[Instruction, ...]]:
    """Of the Parameters for which is_notification holds. Raises Refusal."""
    context, event = _parts(resource, "additional-context"), _parts(resource, "notification-event")
    kind = _kind(_part(context, "event-type").get("valueString"))
    place = _part(context, "subject").get("valueReference", "identifier", "value")
    when = _part(event, "timestamp").get("valueInstant").occurred() or sender.time
    focus = _part(event, "focus").get("valueReference", "reference")
    return _patient(place, sender), (_instruction(kind, None, when, _address(focus)),)


def _signal(event: Reading, sender: Sender) -> Translated:
    kind = _kind(event.get("type"))
    subject = event.get("subject")
    place = subject if not isinstance(subject.value, dict) else subject.get("nhsNumber")
    birth_date = subject.get("dob").partial_date() if isinstance(subject.value, dict) else None
    patient = _patient(place, sender).model_copy(update={"birth_date": birth_date})
    data = event.get("data")
    status = data.get("deathNotificationStatus").word() if isinstance(data.value, dict) else None
    when = event.get("time").occurred() or sender.time
    return Translated("", kind, patient, (_instruction(kind, status, when, _address(event.get("dataref"))),))


def _instruction(kind: str, death_status: str | None, when: Occurred, reference: str | None) -> Instruction:
    fact: Fact = ExternalChangeNotified(kind=kind, reference=reference)
    if kind.startswith(_DEATH):
        if death_status == _FORMAL:
            fact = DeathRecordedFormally()
        elif death_status not in _REMOVED:
            # Not told how the death is known: contact pauses at once, and only a formal notice closes.
            fact = DeathReportedInformally()
    return Instruction(PATIENT, fact, when)


def _kind(place: Reading) -> str:
    words = place.required_key()
    if not _KIND.fullmatch(words):
        raise place.refusal("unknown-signal", "not a type of this service", "send a type such as pds-record-change-2")
    return words


def _patient(place: Reading, sender: Sender) -> PatientReference:
    words = place.key()
    if words is None or not any(letter.isdigit() for letter in words):
        raise place.refusal(
            "no-patient", "this field names nobody: it has no NHS number", "send the NHS number of the person"
        )
    return PatientReference(identifiers=(identifier(NHS_NUMBER, words, sender.source),))


def _address(place: Reading) -> str | None:
    """Where to ask for the change, without the person's number: a last part or a query that holds it goes."""
    words = place.text()
    if words is None:
        return None
    steps = words.split("?", 1)[0].rstrip("/").split("/")
    kept = [step for step in steps if not _NUMBER.search(step)]
    return "/".join(kept)[:300] or None


def _parts(resource: Resource, name: str) -> list[Reading]:
    found = (each for each in resource.get("parameter").items() if each.get("name").text() == name)
    return [part for each in found for part in each.get("part").items()]


def _part(parts: list[Reading], name: str) -> Reading:
    found = (part for part in parts if part.get("name").text() == name)
    return next(found, Reading(None, "parameter"))
