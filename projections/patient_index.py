"""By what a person is found: names and date of birth, unless their record is restricted."""

from typing import Any

from projections import person
from projections.folding import Document, Part, Projection, missing
from projections.person import Person


def document(known: Person) -> Document:
    return {
        "names": known.names_newest_first(),
        "birth_date": known.detail("birth_date"),
        "gender": known.detail("gender"),
        "identifiers": list(known.identifiers.values()),
        "restricted": known.detail("restricted"),
        "died": known.detail("died"),
    }


def clear(index: Document) -> dict[str, Any]:
    """Columns of the search: casefolded words of all names, newest name first, and the date of birth as told.
    A restricted person has none, so that no search can find them."""
    if index["restricted"]["value"] == "yes":
        return {"family": [], "given": [], "birth_date": None}
    families = [name["family"] for name in index["names"]]
    given = [each for name in index["names"] for each in name["given"]]
    birth_date = None if index["birth_date"] == missing() else index["birth_date"]["value"]
    return {"family": _searchable(families), "given": _searchable(given), "birth_date": birth_date}


def _searchable(names: list[str]) -> list[str]:
    folded = (" ".join(name.casefold().split()) for name in names if name != missing()["value"])
    return list(dict.fromkeys(name for name in folded if name))


PATIENT_INDEX = Projection("patient_index", 1, (Part(Person, person.IDENTITY, document),), clear=clear)
