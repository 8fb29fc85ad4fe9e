"""Every fact by its stored name, and the rank that orders facts of the same moment."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from domain import annotation, appointment, care_plan, linking, merging, pathway, patient, referral
from domain.facts import Category, Fact

# Cause before effect where dates alone do not tell: a person, a referral, what was found, what was agreed.
FACTS: tuple[type[Fact], ...] = (
    *patient.FACTS,
    *linking.FACTS,
    *merging.FACTS,
    *referral.FACTS,
    *appointment.FACTS,
    *pathway.FACTS,
    *care_plan.FACTS,
    *annotation.FACTS,
)
CATALOGUE: Mapping[str, type[Fact]] = MappingProxyType({fact.stored: fact for fact in FACTS})
RANK: Mapping[type[Fact], int] = MappingProxyType({fact: rank for rank, fact in enumerate(FACTS)})


class UnknownFact(Exception):
    """The log holds a stored name that this version of the software does not know; nothing may be skipped."""


def fact_class(stored: str) -> type[Fact]:
    try:
        return CATALOGUE[stored]
    except KeyError:
        raise UnknownFact(f"no fact is stored under the name {stored!r} in this version") from None


@cache
def category_of(fact: type[Fact]) -> Category | None:
    """None for annotations, which may stand in any stream."""
    word = fact.stored.split(".", 1)[0]
    return None if word == "annotation" else Category(word)
