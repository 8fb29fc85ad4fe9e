"""By what a person is found: family name and date of birth, unless their record is restricted.

Neither stands in clear anywhere: the search compares digests under the index key.
"""

from projections.folds import person
from projections.folds.folding import Document, Part, Projection, missing
from projections.folds.person import Person


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
    no search can find them."""
    if index["restricted"]["value"] == "yes" or index["birth_date"] == missing():
        return []
    families = (searchable(name["family"]) for name in index["names"] if name["family"] != missing()["value"])
    return [(family, index["birth_date"]["value"]) for family in dict.fromkeys(families) if family]


def searchable(name: str) -> str:
    """As names are compared: without case, and with single blanks."""
    return " ".join(name.casefold().split())


PATIENT_INDEX = Projection("patient_index", 2, (Part(Person, person.IDENTITY, document),), looked_up_by=looked_up_by)
