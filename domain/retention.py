"""Holds that suspend disposal, and the end of a record by the destruction of its key (Records Management Code of
Practice: review after the retention period; an inquiry's hold comes first)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from pydantic import AwareDatetime

from domain.facts import NOTHING_NEW, Command, Decision, Fact, Key, NotAllowed, Text, Word


class RetentionHoldPlaced(Fact):
    """Nothing of this person may be disposed of while the hold stands. `hold` names it, such as an inquiry."""

    stored: ClassVar[str] = "patient.retention-hold-placed.v1"
    hold: Key
    reason: Text | None = None


class RetentionHoldLifted(Fact):
    stored: ClassVar[str] = "patient.retention-hold-lifted.v1"
    hold: Key
    reason: Text | None = None


class KeyDestroyed(Fact):
    """The patient's key is gone, and with it all that was sealed under it. Stored in clear, since no key is left:
    it says who decided and why, and nothing of the patient."""

    stored: ClassVar[str] = "patient.key-destroyed.v1"
    reason: Text
    requested_by: Word
    requested_at: AwareDatetime
    confirmed_by: Word
    confirmed_at: AwareDatetime


FACTS: tuple[type[Fact], ...] = (RetentionHoldPlaced, RetentionHoldLifted, KeyDestroyed)


class Retention(NamedTuple):
    """Names of the holds that stand."""

    holds: frozenset[str] = frozenset()


def evolve(retention: Retention, fact: Fact) -> Retention:
    match fact:
        case RetentionHoldPlaced(hold=hold):
            return Retention(holds=retention.holds | {hold})
        case RetentionHoldLifted(hold=hold):
            return Retention(holds=retention.holds - {hold})
        case _:
            return retention


class PlaceRetentionHold(Command):
    """Suspend disposal of this record, for an inquiry, a claim or a complaint. It stays with the record, whatever
    that is joined with or parted from."""

    of_person: ClassVar[bool] = False
    hold: Key
    reason: Text | None = None


def place_retention_hold(retention: Retention, command: PlaceRetentionHold) -> Decision:
    if command.hold in retention.holds:
        return NOTHING_NEW
    return RetentionHoldPlaced(hold=command.hold, reason=command.reason)


class LiftRetentionHold(Command):
    """The reason for this hold has ended; others may stand."""

    of_person: ClassVar[bool] = False
    hold: Key
    reason: Text | None = None


def lift_retention_hold(retention: Retention, command: LiftRetentionHold) -> Decision:
    if command.hold not in retention.holds:
        raise NotAllowed("no hold of this name stands")
    return RetentionHoldLifted(hold=command.hold, reason=command.reason)


class DestroyKey(Command):
    """Two people have decided that this record ends, and the time to object has passed."""

    of_person: ClassVar[bool] = False
    reason: Text
    requested_by: Key
    requested_at: AwareDatetime
    confirmed_by: Key
    confirmed_at: AwareDatetime


def destroy_key(retention: Retention, command: DestroyKey) -> Decision:
    if retention.holds:
        raise NotAllowed("a retention hold stands; lift it first")
    if command.requested_by.casefold() == command.confirmed_by.casefold():
        raise NotAllowed("the person who confirms must be another than the one who asked")
    return KeyDestroyed(**command.model_dump())


RULES: Mapping[type[Command], Callable[..., Decision]] = MappingProxyType(
    {PlaceRetentionHold: place_retention_hold, LiftRetentionHold: lift_retention_hold, DestroyKey: destroy_key}
)
