"""Corrections: events about other events. Nothing is changed or deleted in the log.

Each stands in the stream of the event that it speaks of; only a move concerns two streams, with an event in each.
"""

from typing import Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from domain.facts import Command, Fact, Text, Word
from domain.times import Precision


class MarkedInError(Fact):
    """The events of this stream with these versions never happened as recorded."""

    stored: ClassVar[str] = "annotation.marked-in-error.v1"
    versions: tuple[int, ...]
    reason: Text | None = None


class Withdrawn(Fact):
    """Whatever this record of a source said as of this moment or before never happened as recorded: the source says
    that it was entered in error. `as_of` is when the version that says so came to be there."""

    stored: ClassVar[str] = "annotation.withdrawn.v1"
    as_of: AwareDatetime
    reason: Text | None = None


class Corrected(Fact):
    """`replacement` (a fact under its stored name) stands in the place of version `version`; with `occurred` (year,
    month, date or instant) it happened then."""

    stored: ClassVar[str] = "annotation.corrected.v1"
    version: int
    replaced_by: str
    replacement: dict[str, Any]
    occurred: Word | None = None
    reason: Text | None = None


class MovedAway(Fact):
    """The events of this stream with these versions belong to another patient, where they now stand."""

    stored: ClassVar[str] = "annotation.moved-away.v1"
    versions: tuple[int, ...]
    to_patient: UUID
    reason: Text | None = None


class MovedIn(Fact):
    """An event that was recorded in another patient's stream, as it stood there: what, when and by whom."""

    stored: ClassVar[str] = "annotation.moved-in.v1"
    from_patient: UUID
    from_stream: UUID
    from_version: int
    moved: str
    fact: dict[str, Any]
    occurred_at: AwareDatetime
    precision: Precision
    recorded_at: AwareDatetime
    provenance: dict[str, Any]
    reason: Text | None = None


class Assigned(Fact):
    """What was written in these versions while two records were one belongs to this record, now that they are
    parted."""

    stored: ClassVar[str] = "annotation.assigned.v1"
    versions: tuple[int, ...]
    reason: Text | None = None


class Destroyed(Fact):
    """What is left of a fact whose key was destroyed: that there was one, and its stored name `was`. Stands in its
    place when it is read, and is never stored."""

    stored: ClassVar[str] = "annotation.destroyed.v1"
    was: str


FACTS: tuple[type[Fact], ...] = (MarkedInError, Withdrawn, Corrected, MovedAway, MovedIn, Assigned)


class Retract(Command):
    """The source marked its own record in error, in the version that came to be there at `as_of`: all that it told by
    then falls away, also what is still on its way here."""

    of_person: ClassVar[bool] = False
    as_of: AwareDatetime
    reason: Text | None = None


class MarkInError(Command):
    """Say that events of this stream never happened as recorded."""

    of_person: ClassVar[bool] = False
    versions: tuple[int, ...]
    reason: Text


class Correct(Command):
    """Put another fact of the same kind in the place of an event, or another time, or both."""

    of_person: ClassVar[bool] = False
    version: int
    replacement: dict[str, Any] | None = None
    occurred: Word | None = None
    reason: Text


class Move(Command):
    """Say that events of this stream belong to another patient, `to`; there they stand in stream `into`, or in one
    of their own."""

    of_person: ClassVar[bool] = False
    versions: tuple[int, ...]
    to: UUID
    into: UUID | None = None
    reason: Text


class Assign(Command):
    """Say that what was written in these versions while two records were one belongs to this record."""

    of_person: ClassVar[bool] = False
    versions: tuple[int, ...]
    reason: Text
