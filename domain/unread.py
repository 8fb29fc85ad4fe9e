"""Events as the log keeps them, and what can be told of them by their stored names alone."""

from collections.abc import Collection, Iterable
from typing import Protocol
from uuid import UUID

from domain.annotation import MovedIn
from domain.catalogue import CATALOGUE, category_of
from domain.evolution import RETIRED, stored_class
from domain.facts import Category, Fact, Recorded
from domain.history import ALTERING

# Facts that stand as they were recorded and leave others as they are, whatever they say.
_PLAIN = frozenset(stored for stored, fact in CATALOGUE.items() if fact not in ALTERING)


class Unread(Protocol):
    """Events of one stream, at least one and oldest first, which nobody has had to read yet.

    Whatever opens them may raise that a key is missing, UnknownFact, or pydantic's ValidationError.
    """

    @property
    def count(self) -> int: ...
    @property
    def owner(self) -> UUID: ...
    @property
    def version(self) -> int: ...
    @property
    def last_position(self) -> int: ...
    def names(self) -> list[str]: ...
    def fingerprints(self) -> set[bytes]: ...
    def read(self, names: Collection[str] | None = None) -> list[Recorded]: ...


def are_plain(names: Collection[str]) -> bool:
    return _PLAIN.issuperset(names) and RETIRED.keys().isdisjoint(names)


def category_told(events: Iterable[Recorded]) -> Category | None:
    """What kind of stream these are of, by what was recorded or moved into it; None where only other annotations
    stand in it."""
    kinds = (stored_class(each.fact.moved) if isinstance(each.fact, MovedIn) else type(each.fact) for each in events)
    return _category_among(kinds)


def category_unread(events: Unread) -> Category | None:
    """The same, without opening any where nothing was moved. Raises UnknownFact."""
    names = events.names()
    return category_told(events.read()) if MovedIn.stored in names else _category_among(map(stored_class, names))


def _category_among(kinds: Iterable[type[Fact]]) -> Category | None:
    return next((known for kind in kinds if (known := category_of(kind)) is not None), None)
