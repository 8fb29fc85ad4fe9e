"""Two records of one human being: joined under the surviving one, and parted again without loss.

Both records say so in their own streams, in one transaction, so that whoever decides on either notices. Reports go
on going to the record that their identifiers name; what a person wrote while two records were one is shown on neither
once they are parted, until someone says where it belongs.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple
from uuid import UUID

from domain.facts import NOTHING_NEW, Command, Decision, Fact, NotAllowed, Text


class Merged(Fact):
    """In the retired record: it is part of `into` from now on."""

    stored: ClassVar[str] = "patient.merged.v1"
    into: UUID
    reason: Text | None = None


class MergeReceived(Fact):
    """In the surviving record: `patient` is part of it from now on."""

    stored: ClassVar[str] = "patient.merge-received.v1"
    patient: UUID
    reason: Text | None = None


class Unmerged(Fact):
    """In the record that was retired: it stands for itself again."""

    stored: ClassVar[str] = "patient.unmerged.v1"
    out_of: UUID
    reason: Text | None = None


class MergeReleased(Fact):
    """In the record that had survived: `patient` is no part of it any more."""

    stored: ClassVar[str] = "patient.merge-released.v1"
    patient: UUID
    reason: Text | None = None


FACTS: tuple[type[Fact], ...] = (Merged, MergeReceived, Unmerged, MergeReleased)


class Merging(NamedTuple):
    """How one record stands to others: `into` is the one that it is part of, `parts` are those that are part of it."""

    into: UUID | None = None
    parts: frozenset[UUID] = frozenset()


def evolve(merging: Merging, fact: Fact) -> Merging:
    match fact:
        case Merged(into=into):
            return Merging(into=into, parts=merging.parts)
        case Unmerged():
            return Merging(parts=merging.parts)
        case MergeReceived(patient=patient):
            return Merging(into=merging.into, parts=merging.parts | {patient})
        case MergeReleased(patient=patient):
            return Merging(into=merging.into, parts=merging.parts - {patient})
        case _:
            return merging


class _OfOneRecord(Command):
    """Concerns this very record, not the person that it may be part of."""

    of_person: ClassVar[bool] = False
    reason: Text


class MergeInto(_OfOneRecord):
    """Retire this record: it is of the same human being as `survivor`."""

    survivor: UUID


def merge_into(merging: Merging, command: MergeInto) -> Decision:
    if merging.into == command.survivor:
        return NOTHING_NEW
    if merging.into is not None:
        raise NotAllowed("this record is part of another one already; part them first")
    return Merged(into=command.survivor, reason=command.reason)


class ReceiveMerge(_OfOneRecord):
    """Let `patient` be part of this record."""

    patient: UUID


def receive_merge(merging: Merging, command: ReceiveMerge) -> Decision:
    if command.patient in merging.parts:
        return NOTHING_NEW
    if merging.into is not None:
        raise NotAllowed("this record is itself part of another one; merge into that one")
    return MergeReceived(patient=command.patient, reason=command.reason)


class UnmergeFrom(_OfOneRecord):
    """Let this record stand for itself again."""

    survivor: UUID


def unmerge_from(merging: Merging, command: UnmergeFrom) -> Decision:
    if merging.into != command.survivor:
        raise NotAllowed("this record is no part of that one")
    return Unmerged(out_of=command.survivor, reason=command.reason)


class ReleaseMerge(_OfOneRecord):
    """Let `patient` be no part of this record any more."""

    patient: UUID


def release_merge(merging: Merging, command: ReleaseMerge) -> Decision:
    if command.patient not in merging.parts:
        raise NotAllowed("that record is no part of this one")
    return MergeReleased(patient=command.patient, reason=command.reason)


# Command class to its rule: (merging, command) -> decision.
RULES: dict[type[Command], Callable[..., Decision]] = {
    MergeInto: merge_into,
    ReceiveMerge: receive_merge,
    UnmergeFrom: unmerge_from,
    ReleaseMerge: release_merge,
}
