"""The record's referrals and appointments, each a stream of its own, with all that was ever booked."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from domain import appointment, referral
from projections.folds.folding import NOT_RECORDED, Document, Entry, Handler, Handlers, missing

# What a later fact may say anew about an appointment; a fact that is silent leaves what was said.
_APPOINTMENT_FIELDS = (
    *("start", "end", "told_how", "specialty", "kind", "medium", "organisation", "place", "clinician", "referral"),
    *("description",),
)


@dataclass
class Appointments:
    appointments: dict[str, Document] = field(default_factory=dict)


@dataclass
class Referrals:
    referrals: dict[str, Document] = field(default_factory=dict)


def _appointment(state: Appointments, entry: Entry) -> Document:
    """What is known of this appointment, in a new dict that may be changed."""
    found = state.appointments.get(entry.stream, {}).copy()
    if not found:
        found = {"appointment": entry.stream, "status": missing(), **dict.fromkeys(_APPOINTMENT_FIELDS, NOT_RECORDED)}
        found |= {"rescheduled": NOT_RECORDED, "outcome": missing(), "bookings": [], "changes": [], **entry.stamp}
    state.appointments[entry.stream] = found
    return found


def _booked(state: Appointments, _: appointment.AppointmentBooked, entry: Entry) -> None:
    """A booking for another time is a reschedule; one for the same time only tells more."""
    found, booking = _appointment(state, entry), entry.item
    moved = NOT_RECORDED not in (found["start"], booking["start"]) and found["start"] != booking["start"]
    booking["rescheduled_from"] = found["start"] if moved else NOT_RECORDED
    if found["rescheduled"] != "yes":
        found["rescheduled"] = "yes" if moved else "no"
    found["bookings"] = [*found["bookings"], booking]
    _tell(found, booking, entry)
    found["status"] = entry.stamped("booked")


def _attended(state: Appointments, fact: appointment.AppointmentAttended, entry: Entry) -> None:
    found, attended = _appointment(state, entry), entry.item
    _tell(found, attended, entry)
    found["status"] = entry.stamped("attended")
    if fact.reasons:
        found["reasons"] = attended["reasons"]


def _tell(found: Document, told: Document, entry: Entry) -> None:
    found.update({name: told[name] for name in _APPOINTMENT_FIELDS if told.get(name, NOT_RECORDED) != NOT_RECORDED})
    found |= entry.stamp


def _over(status: str, reason: str) -> Handler:
    def handle(state: Appointments, _: Any, entry: Entry) -> None:
        _appointment(state, entry)["status"] = entry.stamped(status) | {"reason": entry.item[reason]}

    return handle


def _change_requested(state: Appointments, _: appointment.ChangeRequestedByPatient, entry: Entry) -> None:
    """Only the hospital's answer moves the slot, so it is not touched here."""
    found = _appointment(state, entry)
    found["changes"] = [*found["changes"], entry.item | {"answer": missing()}]
    found["status"] = entry.stamped("change-requested")


def _change_answered(answer: str, status: str) -> Handler:
    def handle(state: Appointments, _: Any, entry: Entry) -> None:
        found = _appointment(state, entry)
        told = entry.stamped(answer) | {"reason": entry.item.get("reason", NOT_RECORDED)}
        *earlier, last = found["changes"] or [None]
        if last is not None and last["answer"]["value"] == NOT_RECORDED:
            found["changes"] = [*earlier, last | {"answer": told}]
        else:
            unasked = {"wish": NOT_RECORDED, "words": NOT_RECORDED, "answer": told, **entry.stamp}
            found["changes"] = [*found["changes"], unasked]
        if found["status"]["value"] == "change-requested":
            found["status"] = entry.stamped(status)

    return handle


def _outcome_recorded(state: Appointments, fact: appointment.AppointmentOutcomeRecorded, entry: Entry) -> None:
    _appointment(state, entry)["outcome"] = entry.stamped(fact.outcome)


_REFERRAL_FIELDS = (
    *("ubrn", "source_of_referral", "authored_at", "referrer", "specialty", "services", "reasons", "description"),
    "patient_told",
)


def _referral(state: Referrals, entry: Entry) -> Document:
    """What is known of this referral, in a new dict that may be changed."""
    found = state.referrals.get(entry.stream, {}).copy()
    if not found:
        found = {"referral": entry.stream, "status": missing(), "priority": missing(), "provider": missing()}
        found |= {**dict.fromkeys(_REFERRAL_FIELDS, NOT_RECORDED), "steps": [], **entry.stamp}
    state.referrals[entry.stream] = found
    return found


def _received(state: Referrals, _: referral.ReferralReceived, entry: Entry) -> None:
    found, told = _referral(state, entry), entry.item
    found |= {name: told[name] for name in _REFERRAL_FIELDS if told[name] != NOT_RECORDED} | entry.stamp
    for name in ("priority", "provider"):
        if told[name] != NOT_RECORDED:
            found[name] = entry.stamped(told[name])
    found["status"] = entry.stamped("received")


def _step(step: str, is_status: bool, sets: tuple[str, str] | None = None) -> Handler:
    """`sets` names the field of the referral that the fact's own field gives a new value."""

    def handle(state: Referrals, _: Any, entry: Entry) -> None:
        found, told = _referral(state, entry), entry.item
        found["steps"] = [*found["steps"], {"step": step, **told}]
        if is_status:
            found["status"] = entry.stamped(step)
        if sets is not None and told[sets[1]] != NOT_RECORDED:
            found[sets[0]] = entry.stamped(told[sets[1]])

    return handle


APPOINTMENTS: Handlers = MappingProxyType(
    {
        appointment.AppointmentBooked: _booked,
        appointment.AppointmentAttended: _attended,
        appointment.AppointmentNotAttended: _over("not-attended", "how"),
        appointment.AppointmentCancelled: _over("cancelled", "reason"),
        appointment.AppointmentCancelledByPatient: _over("cancelled-by-patient", "reason"),
        appointment.AppointmentCancelledByProvider: _over("cancelled-by-provider", "reason"),
        appointment.ChangeRequestedByPatient: _change_requested,
        appointment.ChangeConfirmed: _change_answered("confirmed", "change-confirmed"),
        appointment.ChangeRefused: _change_answered("refused", "booked"),
        appointment.AppointmentOutcomeRecorded: _outcome_recorded,
    }
)
REFERRALS: Handlers = MappingProxyType(
    {
        referral.ReferralReceived: _received,
        referral.ReferralTriaged: _step("triaged", is_status=True),
        referral.ReferralDowngraded: _step("downgraded", is_status=False, sets=("priority", "to")),
        referral.ReferralAccepted: _step("accepted", is_status=True, sets=("provider", "provider")),
        referral.ReferralRejected: _step("rejected", is_status=True),
        referral.ReferralUpgradedByConsultant: _step("upgraded-by-consultant", is_status=False),
        referral.ReferralTransferredToProvider: _step("transferred", is_status=False, sets=("provider", "provider")),
        referral.ReferralCancelled: _step("cancelled", is_status=True),
    }
)
