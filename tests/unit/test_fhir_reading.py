"""Reading untrusted JSON: types, bounds, and where a refusal points."""

from collections.abc import Callable
from typing import Any

import pytest

from consumers.fhir.reading import Reading, codings, concept_words
from consumers.translation import Refusal


def refused(read: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(Refusal) as raised:
        read()
    return raised.value.code, raised.value.field


def at(value: Any) -> Reading:
    return Reading({"x": value}).get("x")


def test_a_pointer_escapes_its_steps_and_counts_array_places_from_nought() -> None:
    place = Reading({"a/b": {"~": [None, {"c": 5}]}}).get("a/b", "~").items()[0].get("c")
    assert place.pointer == "/a~1b/~0/1/c"
    assert Reading(None).pointer == ""


@pytest.mark.parametrize("value", [True, "5", [], {}, 10**400, float("nan"), float("inf"), -1e300])
def test_what_is_no_usable_number_is_refused(value: Any) -> None:
    assert refused(at(value).number_words) == ("wrong-type", "/x")


@pytest.mark.parametrize(("value", "words"), [(1, "1"), (1.5, "1.5"), (0, "0"), (None, None)])
def test_a_number_is_told_as_it_was_written(value: Any, words: str | None) -> None:
    assert at(value).number_words() == words


def test_text_is_trimmed_and_cut_but_what_identifies_is_never_cut() -> None:
    assert at("  a ").text() == "a"
    assert at("   ").text() is None
    assert at("y" * 400).word() == "y" * 299 + "…"
    assert refused(at("y" * 400).key) == ("too-long", "/x")
    assert refused(at("\ud800").text) == ("invalid-text", "/x")
    assert refused(at(5).text) == ("wrong-type", "/x")


@pytest.mark.parametrize(
    "words", ["2026-13", "2026-02-30", "26-01-01", "2026-01-01T10:00", "0999", "9999-12-31T23:59:59-12:00"]
)
def test_what_is_no_date_is_refused(words: str) -> None:
    assert refused(at(words).occurred) == ("invalid-date", "/x")


def test_dates_keep_their_precision_and_days_are_days_in_london() -> None:
    assert at("2026-05").partial_date() == "2026-05"
    assert at("2026-05").day() is None
    assert at("2026-07-01T23:30:00Z").partial_date() == "2026-07-02"
    assert at("2026-07-01").instant() is None


def test_a_lone_object_counts_as_an_array_of_one_and_null_as_nothing() -> None:
    assert len(at({"a": 1}).items()) == 1
    assert len(at([None, {"a": 1}]).items()) == 1
    assert at(None).items() == []
    assert refused(at("a").items) == ("wrong-type", "/x")
    assert refused(lambda: at("a").get("b")) == ("wrong-type", "/x")


def test_a_concept_is_a_codeable_concept_a_coding_or_a_bare_code() -> None:
    assert [each.code for each in codings(at({"coding": [{"code": "1"}, {"display": "none"}]}))] == ["1"]
    assert [each.code for each in codings(at({"code": "1"}))] == ["1"]
    assert [each.code for each in codings(at("1"))] == ["1"]
    assert codings(at(None)) == ()
    assert concept_words(at({"coding": [{"code": "1"}]})) == "1"
    assert concept_words(at({"text": "told", "coding": [{"display": "shown"}]})) == "told"
