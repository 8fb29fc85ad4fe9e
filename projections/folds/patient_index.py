"""By what a person is found: family name and date of birth, unless their record is restricted; and that a source says
that another record is of the same person, until it is part of this one.

None of these stands in clear anywhere: the search compares digests under the index key.
"""

from dataclasses import dataclass, field
from types import MappingProxyType

from domain.linking import LinkReported
from domain.patient import Identifier, IdentifierLinked
from projections.folds import person
from projections.folds.folding import Document, Entry, Handlers, Part, Projection, missing
from projections.folds.person import Person

# What the person is found by where such a statement is open.
TO_BE_JOINED = ("to-be-joined",)


@dataclass
class Links:
    """By kind and identifiers, the newest statement; and the identifiers of this person, of all joined records."""

    reported: dict[tuple[str, frozenset[Identifier]], Document] = field(default_factory=dict)
    own: set[Identifier] = field(default_factory=set)

    def open(self) -> list[Document]:
        return [told for (_, others), told in self.reported.items() if self.own.isdisjoint(others)]


def _link_reported(links: Links, fact: LinkReported, entry: Entry) -> None:
    links.reported[(fact.kind.value, frozenset(fact.identifiers))] = entry.item


def _identifier_linked(links: Links, fact: IdentifierLinked, _: Entry) -> None:
    links.own.add(fact.identifier)


_LINKS: Handlers = MappingProxyType({LinkReported: _link_reported, IdentifierLinked: _identifier_linked})


def document(known: Person) -> Document:
    return {
        "names": known.names_newest_first(),
        "birth_date": known.detail("birth_date"),
        "gender": known.detail("gender"),
        "identifiers": list(known.identifiers.values()),
        "restricted": known.detail("restricted"),
        "died": known.detail("died"),
    }


def looked_up_by(index: Document) -> list[tuple[str, ...]]:
    """(family name, date of birth as told) for each family name, newest first. None for a restricted person, so that
    no search can find them; but what is to be joined is on the list of whoever keeps the records."""
    found: list[tuple[str, ...]] = [TO_BE_JOINED] if index["reported_links"] else []
    if index["restricted"]["value"] == "yes" or index["birth_date"] == missing():
        return found
    families = (searchable(name["family"]) for name in index["names"] if name["family"] != missing()["value"])
    return found + [(family, index["birth_date"]["value"]) for family in dict.fromkeys(families) if family]


def searchable(name: str) -> str:
    """As names are compared: without case, and with single blanks."""
    return " ".join(name.casefold().split())


_PARTS = (
    Part(Person, person.IDENTITY, document),
    Part(Links, _LINKS, lambda links: {"reported_links": links.open()}),
)
PATIENT_INDEX = Projection("patient_index", 3, _PARTS, looked_up_by=looked_up_by)
