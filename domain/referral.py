"""A request for care, from its receipt to its answer."""

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
    Key,
    NotAllowed,
    OdsCode,
    Recorded,
    Text,
    Word,
)


class Priority(StrEnum):
    """TWO_WEEK_WAIT survives as e-RS's code; the words are urgent suspected cancer."""

    ROUTINE = "routine"
    URGENT = "urgent"
    URGENT_SUSPECTED_CANCER = "urgent-suspected-cancer"
    EMERGENCY = "emergency"


class ReferralReceived(Fact):
    """`source_of_referral` is COSD CR1600; `patient_told` says whether the patient knows of the referral."""

    stored: ClassVar[str] = "referral.received.v1"
    ubrn: Word | None = None
    priority: Priority | None = None
    source_of_referral: Word | None = None
    authored_at: AwareDatetime | None = None
    referrer: Word | None = None
    provider: Word | None = None
    specialty: Coding | None = None
    services: tuple[Word, ...] = ()
    reasons: tuple[Coding, ...] = ()
    description: Text | None = None
    patient_told: bool | None = None


class ReferralTriaged(Fact):
    stored: ClassVar[str] = "referral.triaged.v1"
    outcome: Word
    comment: Text | None = None


class ReferralDowngraded(Fact):
    stored: ClassVar[str] = "referral.downgraded.v1"
    to: Priority
    reason: Text | None = None


class ReferralAccepted(Fact):
    stored: ClassVar[str] = "referral.accepted.v1"
    provider: Word | None = None


class ReferralRejected(Fact):
    stored: ClassVar[str] = "referral.rejected.v1"
    reason: Text | None = None


class ReferralUpgradedByConsultant(Fact):
    """Starts the 62-day clock unless one runs already (waiting times guidance v12.1)."""

    stored: ClassVar[str] = "referral.upgraded-by-consultant.v1"
    consultant: Word | None = None


class ReferralTransferredToProvider(Fact):
    stored: ClassVar[str] = "referral.transferred-to-provider.v1"
    provider: OdsCode


class ReferralCancelled(Fact):
    """`by` is patient, referrer or provider; absent where the source does not say."""

    stored: ClassVar[str] = "referral.cancelled.v1"
    by: Word | None = None
    reason: Text | None = None


FACTS: tuple[type[Fact], ...] = (
    ReferralReceived,
    ReferralTriaged,
    ReferralDowngraded,
    ReferralUpgradedByConsultant,
    ReferralAccepted,
    ReferralTransferredToProvider,
    ReferralRejected,
    ReferralCancelled,
)


class Referral(NamedTuple):
    received: bool = False
    answer: str | None = None
    cancelled: bool = False


def evolve(referral: Referral, event: Recorded) -> Referral:
    match event.fact:
        case ReferralReceived():
            return referral._replace(received=True)
        case ReferralAccepted():
            return referral._replace(answer="accepted")
        case ReferralRejected():
            return referral._replace(answer="rejected")
        case ReferralCancelled():
            return referral._replace(cancelled=True)
        case _:
            return referral


class AcceptReferral(Command):
    provider: OdsCode | None = None


def accept_referral(referral: Referral, command: AcceptReferral) -> Decision:
    if referral.answer == "accepted":
        return NOTHING_NEW
    _refuse_unless_open(referral)
    return ReferralAccepted(provider=command.provider)


class RejectReferral(Command):
    """The referrer must be told why, so a reason is part of it."""

    reason: Key


def reject_referral(referral: Referral, command: RejectReferral) -> Decision:
    if referral.answer == "rejected":
        return NOTHING_NEW
    _refuse_unless_open(referral)
    return ReferralRejected(reason=command.reason)


def _refuse_unless_open(referral: Referral) -> None:
    if not referral.received:
        raise NotAllowed("no such referral was received")
    if referral.cancelled:
        raise NotAllowed("the referral is cancelled")


DECISIONS: Decisions = {AcceptReferral: accept_referral, RejectReferral: reject_referral}
