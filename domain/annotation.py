"""Corrections: events about other events of the same stream. Nothing is changed or deleted in the log."""

from typing import Any, ClassVar

from domain.facts import Command, Fact, Text


class MarkedInError(Fact):
    """The events of this stream with these versions never happened as recorded."""

    stored: ClassVar[str] = "annotation.marked-in-error.v1"
    versions: tuple[int, ...]
    reason: Text | None = None


class Corrected(Fact):
    """`replacement` (a fact under its stored name) stands in the place of version `version`."""

    stored: ClassVar[str] = "annotation.corrected.v1"
    version: int
    replaced_by: str
    replacement: dict[str, Any]
    reason: Text | None = None


FACTS: tuple[type[Fact], ...] = (MarkedInError, Corrected)


class Retract(Command):
    """The source marked its own record in error: all that this stream says so far falls away."""

    reason: Text | None = None
