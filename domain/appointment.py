"""One appointment: every booking of it, and what came of it.

A second booking for another time is recorded as a booking again: the fold reads it as rescheduled, whatever the
order in which the two arrived.
"""

from enum import StrEnum
from typing import ClassVar, NamedTuple

from pydantic import AwareDatetime

from domain.facts import (
    NOTHING_NEW,
    Coding,
    Command,
    Decision,
    Decisions,
    Fact,
    NotAllowed,
    Recorded,
    Text,
    Word,
)


class Medium(StrEnum):
    FACE_TO_FACE = "face-to-face"
    VIDEO = "video"
    TELEPHONE = "telephone"


class MissedHow(StrEnum):
    """Only the first two count as not attending (waiting times guidance v12.1, first-seen adjustment)."""

    DID_NOT_ATTEND = "did-not-attend"
    ARRIVED_TOO_LATE = "arrived-too-late"
    WAS_NOT_BROUGHT = "was-not-brought"


class AppointmentBooked(Fact):
    """Occurred when the booking was made; `start` is when it is for. `told_how` says how the patient was told,
    and is absent where nobody recorded it."""

    stored: ClassVar[str] = "appointment.booked.v1"
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    told_how: Word | None = None
    specialty: Coding | None = None
    kind: Word | None = None
    medium: Medium | None = None
    organisation: Word | None = None
    place: Word | None = None
    clinician: Word | None = None
    referral: Word | None = None
    description: Text | None = None


class ChangeRequestedByPatient(Fact):
    """The old slot stands until the hospital confirms: a local booking it does not know of is a hazard."""

    stored: ClassVar[str] = "appointment.change-requested-by-patient.v1"
    wish: Word
    words: Text | None = None


class ChangeConfirmed(Fact):
    stored: ClassVar[str] = "appointment.change-confirmed.v1"


class ChangeRefused(Fact):
    stored: ClassVar[str] = "appointment.change-refused.v1"
    reason: Text | None = None


class AppointmentCancelledByPatient(Fact):
    stored: ClassVar[str] = "appointment.cancelled-by-patient.v1"
    reason: Text | None = None


class AppointmentCancelledByProvider(Fact):
    stored: ClassVar[str] = "appointment.cancelled-by-provider.v1"
    reason: Text | None = None


class AppointmentCancelled(Fact):
    """Who cancelled is not recorded; it is never counted as the patient."""

    stored: ClassVar[str] = "appointment.cancelled.v1"
    reason: Text | None = None


class AppointmentAttended(Fact):
    stored: ClassVar[str] = "appointment.attended.v1"
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    specialty: Coding | None = None
    kind: Word | None = None
    organisation: Word | None = None
    clinician: Word | None = None
    reasons: tuple[Coding, ...] = ()


class AppointmentNotAttended(Fact):
    stored: ClassVar[str] = "appointment.not-attended.v1"
    how: MissedHow = MissedHow.DID_NOT_ATTEND


class AppointmentOutcomeRecorded(Fact):
    stored: ClassVar[str] = "appointment.outcome-recorded.v1"
    outcome: Word


FACTS: tuple[type[Fact], ...] = (
    AppointmentBooked,
    ChangeRequestedByPatient,
    ChangeConfirmed,
    ChangeRefused,
    AppointmentCancelledByPatient,
    AppointmentCancelledByProvider,
    AppointmentCancelled,
    AppointmentNotAttended,
    AppointmentAttended,
    AppointmentOutcomeRecorded,
)


class Appointment(NamedTuple):
    booked: bool = False
    over: str | None = None
    wish: str | None = None


def evolve(appointment: Appointment, event: Recorded) -> Appointment:
    match event.fact:
        case AppointmentBooked():
            return Appointment(booked=True)
        case AppointmentCancelled() | AppointmentCancelledByPatient() | AppointmentCancelledByProvider():
            return appointment._replace(over="cancelled", wish=None)
        case AppointmentAttended() | AppointmentNotAttended():
            return appointment._replace(over="past", wish=None)
        case ChangeRequestedByPatient(wish=wish):
            return appointment._replace(wish=wish)
        case ChangeConfirmed() | ChangeRefused():
            return appointment._replace(wish=None)
        case _:
            return appointment


class RequestChange(Command):
    """The patient asks for another time (`reschedule`) or not to come (`cancel`)."""

    wish: Word
    words: Text | None = None


def request_change(appointment: Appointment, command: RequestChange) -> Decision:
    if appointment.wish == command.wish:
        return NOTHING_NEW
    if not appointment.booked:
        raise NotAllowed("there is no booking to change")
    if appointment.over is not None:
        raise NotAllowed(f"the appointment is {appointment.over}; it cannot be changed")
    return ChangeRequestedByPatient(wish=command.wish, words=command.words)


DECISIONS: Decisions = {RequestChange: request_change}
