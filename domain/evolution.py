"""Facts as they were once stored, and as what they are read now.

What stands in the log is never rewritten: an event keeps its name, its bytes and so its leaf. Under a name that is
not written any more it becomes facts of today whenever it is read, so that folds, decisions, corrections and
deduplication know only these.
"""

from typing import Any, ClassVar

from domain.catalogue import CATALOGUE, fact_class
from domain.facts import Fact


class Retired(Fact):
    """A fact under a stored name that is not written any more, with its members as they were.

    `is_accepted`: sources may go on sending it, and what they send becomes facts of today before anything is decided.
    """

    stored: ClassVar[str] = ""  # each version has its own
    is_accepted: ClassVar[bool] = True

    def becomes(self) -> tuple[Fact, ...]:
        """Facts of today, or of a version between, which become facts of today in turn; none where what it said is
        of no use any more. Of the same kind of stream."""
        raise NotImplementedError


class Several(Fact):
    """One event of the log that is read as several facts, or as none. Never stored; `was` is its stored name."""

    stored: ClassVar[str] = "annotation.several.v1"
    was: str
    facts: tuple[Fact, ...]


# By stored name. A name that was ever stored stands here or in the catalogue for ever.
RETIRED: dict[str, type[Retired]] = {}


def stored_class(stored: str) -> type[Fact]:
    """Of any name that was ever stored. Raises UnknownFact."""
    return RETIRED.get(stored) or fact_class(stored)


def read(stored: str, body: bytes) -> Fact:
    """Raises UnknownFact, or pydantic's ValidationError."""
    if stored in RETIRED:
        return as_of_today(RETIRED[stored].model_validate_json(body))
    fact: Fact = fact_class(stored).__pydantic_validator__.validate_json(body)
    return fact


def revived(stored: str, told: dict[str, Any]) -> Fact:
    """The same, of a fact that stands inside another. Raises as `read` does."""
    return as_of_today(stored_class(stored).model_validate(told))


def as_of_today(fact: Fact) -> Fact:
    facts = facts_of_today(fact)
    return facts[0] if len(facts) == 1 else Several(was=fact.stored, facts=facts)


def facts_of_today(fact: Fact) -> tuple[Fact, ...]:
    if not isinstance(fact, Retired):
        return (fact,)
    return tuple(today for each in fact.becomes() for today in facts_of_today(each))


def accepted() -> dict[str, type[Fact]]:
    """What sources may send, by stored name: facts of today, and those of before that are still taken."""
    return {**CATALOGUE, **{stored: fact for stored, fact in RETIRED.items() if fact.is_accepted}}
