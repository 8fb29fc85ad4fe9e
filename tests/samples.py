"""One realistic, invented sample of every fact: the golden files, read as facts."""

from functools import cache
from pathlib import Path

from domain.catalogue import CATALOGUE
from domain.facts import Fact

_FOLDER = Path(__file__).parent / "unit" / "golden"


@cache
def samples() -> dict[type[Fact], Fact]:
    return {
        fact: fact.model_validate_json((_FOLDER / f"{stored}.json").read_bytes()) for stored, fact in CATALOGUE.items()
    }
