"""What is stored stays readable: golden JSON of every fact, under every name that was ever stored.

A golden file is never edited once its fact has been stored somewhere: change the fact and its name instead.
"""

from pathlib import Path

import orjson
import pytest

from domain.catalogue import CATALOGUE, UnknownFact, category_of, fact_class
from domain.evolution import RETIRED, stored_class
from domain.facts import fact_json

GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.json"), key=lambda path: path.stem)


def test_the_names_that_may_be_stored_are_exactly_those_with_a_golden_file() -> None:
    assert {path.stem for path in GOLDEN} == {*CATALOGUE, *RETIRED}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_stored_fact_is_read_and_written_as_it_ever_was(path: Path) -> None:
    stored = path.read_bytes()
    fact = stored_class(path.stem).model_validate_json(stored)
    assert fact.stored == path.stem
    assert orjson.loads(fact_json(fact)) == orjson.loads(stored)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_fact_told_again_has_the_bytes_that_were_stored(path: Path) -> None:
    """By which it is known: with members in another order, or with one more, it would be recorded once again."""
    stored = orjson.dumps(orjson.loads(path.read_bytes()))
    assert fact_json(stored_class(path.stem).model_validate_json(stored)) == stored


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file_shows_every_member_of_its_fact(path: Path) -> None:
    assert set(orjson.loads(path.read_bytes())) == set(stored_class(path.stem).model_fields)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_members_that_a_newer_producer_adds_do_not_stop_an_older_reader(path: Path) -> None:
    newer = orjson.loads(path.read_bytes()) | {"not_yet_known": {"a": 1}}
    fact = stored_class(path.stem).model_validate(newer)
    assert orjson.loads(fact_json(fact)) == orjson.loads(path.read_bytes())


def test_a_name_that_was_never_stored_is_refused() -> None:
    with pytest.raises(UnknownFact, match=r"pathway\.imagined\.v1"):
        fact_class("pathway.imagined.v1")


def test_the_first_word_of_a_stored_name_is_its_kind_of_stream() -> None:
    for fact in CATALOGUE.values():
        category = category_of(fact)
        assert fact.stored.startswith("annotation." if category is None else f"{category}.")
