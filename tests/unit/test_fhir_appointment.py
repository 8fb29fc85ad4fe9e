"""Appointments and encounters: booked, attended, missed, cancelled and by whom."""

from typing import Any

import pytest

from consumers.translation import Translated
from domain.annotation import Retract
from domain.appointment import (
    AppointmentAttended,
    AppointmentBooked,
    AppointmentCancelled,
    AppointmentCancelledByPatient,
    AppointmentCancelledByProvider,
    AppointmentNotAttended,
    Medium,
)
from domain.facts import Category, Target
from domain.times import parse
from tests.fhir_documents import (
    SENT,
    SOURCE,
    SUBJECT,
    acts,
    bundle,
    concept,
    instructions,
    last,
    refusal,
    resource,
    why_unused,
)

CREATED, START = "2026-01-05T09:00:00Z", "2026-01-20T09:00:00Z"
PATIENT = {"actor": {"reference": "Patient/1"}}
REASONS = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"


def appointment(status: str, **members: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"created": CREATED, "start": START, "participant": [PATIENT], **members}
    return resource("Appointment", id="a1", subject=None, status=status, **given)


def encounter(status: str = "finished", kind: str = "AMB", **members: Any) -> dict[str, Any]:
    period = {"start": START, "end": "2026-01-20T09:20:00Z"}
    return resource("Encounter", **{"id": "e1", "status": status, "class": {"code": kind}, "period": period, **members})


def test_a_booking_occurs_when_it_was_made() -> None:
    [given] = instructions(appointment("booked", basedOn=[{"reference": "ServiceRequest/s1"}]))
    assert isinstance(given.act, AppointmentBooked)
    assert given.occurred.words() == "2026-01-05T09:00:00+00:00"
    assert given.act.start is not None
    assert given.act.start.isoformat() == "2026-01-20T09:00:00+00:00"
    assert given.act.referral == f"{SOURCE}/ServiceRequest|s1"
    assert given.target == Target(Category.APPOINTMENT, f"{SOURCE}/Appointment|a1")


def test_a_booking_of_unknown_making_occurs_with_its_version_or_its_message() -> None:
    [given] = instructions(appointment("booked", created=None, meta={"lastUpdated": "2026-01-06T10:00:00Z"}))
    assert given.occurred.words() == "2026-01-06T10:00:00+00:00"
    [given] = instructions(appointment("arrived", created=None))
    assert given.occurred.words() == SENT


def test_fulfilled_is_booked_and_attended() -> None:
    booked, attended = instructions(appointment("fulfilled"))
    assert isinstance(booked.act, AppointmentBooked)
    assert isinstance(attended.act, AppointmentAttended)
    assert attended.occurred.words() == "2026-01-20T09:00:00+00:00"


def test_a_missed_appointment_is_not_attended_at_its_time() -> None:
    _, missed = instructions(appointment("noshow"))
    assert missed.act == AppointmentNotAttended()
    assert missed.occurred.words() == "2026-01-20T09:00:00+00:00"


@pytest.mark.parametrize(
    ("reason", "fact"),
    [
        ("pat", AppointmentCancelledByPatient),
        ("pat-crs", AppointmentCancelledByPatient),
        ("prov-pers", AppointmentCancelledByProvider),
        ("maint", AppointmentCancelled),
        (None, AppointmentCancelled),
    ],
)
def test_an_unknown_canceller_is_never_the_patient(reason: str | None, fact: type) -> None:
    told = None if reason is None else concept(REASONS, reason)
    assert type(acts(appointment("cancelled", cancelationReason=told))[-1]) is fact


def test_in_error_retracts_the_appointment() -> None:
    assert acts(appointment("entered-in-error")) == [Retract(as_of=parse(SENT).at)]


@pytest.mark.parametrize("status", ["proposed", "pending", "waitlist"])
def test_what_is_only_asked_for_is_not_booked(status: str) -> None:
    assert "not booked yet" in why_unused(appointment(status))


def test_the_channel_and_the_clinic_are_kept() -> None:
    channel = {"url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-DeliveryChannel"}
    clinic = {"actor": {"reference": "HealthcareService/h1", "display": "Breast clinic"}}
    told = appointment(
        "booked",
        extension=[{**channel, "valueCode": "Telephone"}],
        participant=[clinic, PATIENT],
        specialty=[concept("urn:x", "103")],
    )
    [act] = acts(told)
    assert isinstance(act, AppointmentBooked)
    assert (act.medium, act.organisation) == (Medium.TELEPHONE, "Breast clinic")
    assert act.specialty is not None
    assert act.specialty.code == "103"


@pytest.mark.parametrize(
    "actor",
    [
        {"reference": "Patient/1"},
        {"reference": "urn:uuid:1", "type": "Patient"},
        {"reference": "urn:uuid:1"},
        SUBJECT,
    ],
)
def test_the_patient_is_known_by_type_reference_or_identifier(actor: dict[str, Any]) -> None:
    entry = last(appointment("booked", participant=[{"actor": actor}]))
    assert isinstance(entry, Translated)
    assert entry.patient.identifiers


@pytest.mark.parametrize("participants", [None, [], [{"actor": {"reference": "Practitioner/1"}}], [{}, {}]])
def test_without_a_patient_an_appointment_is_refused(participants: Any) -> None:
    assert refusal(appointment("booked", participant=participants)) == ("no-patient", "/participant")


def test_other_faults_of_an_appointment_are_refused_at_their_field() -> None:
    assert refusal(appointment("booked", start=None)) == ("missing-field", "/start")
    assert refusal(appointment("done")) == ("unknown-status", "/status")
    assert refusal({**appointment("booked"), "id": None}) == ("missing-field", "/id")
    assert refusal(appointment("booked", start=7)) == ("wrong-type", "/start")


def test_a_finished_outpatient_encounter_is_an_attended_appointment() -> None:
    doctor = {"resourceType": "Practitioner", "id": "d1", "name": [{"prefix": ["Dr"], "family": "Example"}]}
    document = bundle(doctor, encounter(participant=[{"individual": {"reference": "Practitioner/d1"}}]))
    [given] = instructions(document)
    assert isinstance(given.act, AppointmentAttended)
    assert given.act.clinician == "Dr Example"
    assert given.target.key == f"{SOURCE}/Encounter|e1"


def test_an_encounter_attends_the_appointment_that_it_names() -> None:
    [given] = instructions(encounter(appointment=[{"reference": "Appointment/a1"}]))
    assert given.target.key == f"{SOURCE}/Appointment|a1"
    withdrawn = encounter("entered-in-error", appointment=[{"reference": "Appointment/a1"}])
    assert refusal(withdrawn) == ("withdrawal-by-hand", "/status")
    assert acts(encounter("entered-in-error")) == [Retract(as_of=parse(SENT).at)]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (encounter(kind="EMER"), "emergency"),
        (encounter(kind="IMP"), "admission"),
        (encounter("planned"), "not finished"),
        (encounter("in-progress"), "not finished"),
    ],
)
def test_other_encounters_say_why_they_are_not_used(document: dict[str, Any], why: str) -> None:
    assert why in why_unused(document)
