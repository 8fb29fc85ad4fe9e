"""What sources say of other records of the same human being: FHIR's `Patient.link`, HL7's merge messages.

Such a statement joins nothing by itself: two people who are taken for one are a danger, and a source knows its own
records alone. It is recorded, and asked of whoever keeps the records until they are joined (domain/merging.py) or the
statement is marked in error.
"""

from enum import StrEnum
from typing import ClassVar

from domain.facts import Fact
from domain.patient import Identifier


class LinkKind(StrEnum):
    """Which of the two the source goes on with: the other one, or this one."""

    REPLACED_BY = "replaced-by"
    REPLACES = "replaces"


class LinkReported(Fact):
    """A source says that another record is of the same person; `identifiers` are those by which it names that one."""

    stored: ClassVar[str] = "patient.link-reported.v1"
    kind: LinkKind
    identifiers: tuple[Identifier, ...]


FACTS: tuple[type[Fact], ...] = (LinkReported,)
