"""Every fact has a sentence, in whatever state of completeness it comes."""

import pytest
from hypothesis import given, settings

from domain.catalogue import FACTS
from domain.evolution import Several
from domain.facts import Fact
from projections.words.wording import SENTENCES, in_words
from tests.samples import samples
from tests.strategies import facts


def test_every_fact_of_the_catalogue_has_a_sentence_and_nothing_else_has() -> None:
    assert set(SENTENCES) == {*FACTS, Several}


@pytest.mark.parametrize("kind", FACTS, ids=lambda kind: kind.stored)
def test_a_sentence_is_a_sentence(kind: type[Fact]) -> None:
    sentence = in_words(samples()[kind])
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert "None" not in sentence


def test_two_kinds_of_fact_never_read_alike() -> None:
    sentences = [in_words(fact) for fact in samples().values()]
    assert len(set(sentences)) == len(sentences)


@settings(max_examples=300)
@given(facts(FACTS))
def test_a_sentence_stands_whatever_is_missing(fact: Fact) -> None:
    sentence = in_words(fact)
    assert sentence.endswith((".", "!", "?"))
    assert "None" not in sentence
    assert ": ." not in sentence
    assert ", ," not in sentence
