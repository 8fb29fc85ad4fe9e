"""Versions of one record of a source come in any order; what it withdrew stands in none of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from domain.annotation import Retract
from domain.facts import Category, Fact
from domain.pathway import DiagnosisAgreed, TreatmentStarted
from domain.stream import Stream
from projections.catalogue import PROJECTIONS
from projections.folds.folding import fold_all
from tests.builders import day
from tests.deciding import as_loaded, carry_out, stream_of, told_at

OF_STANDING_FACTS = tuple(each for each in PROJECTIONS if each.input == "effective")
FACTS = (*(DiagnosisAgreed(icd10=f"C50.{number}") for number in range(5)), TreatmentStarted(treatment="1"))


class Version(NamedTuple):
    """What the source said on a day; None where it withdrew its record."""

    on: int
    says: Fact | None

    @property
    def at(self) -> datetime:
        return datetime(2026, 5, 1, 9, tzinfo=UTC) + timedelta(days=self.on)


def arrived(versions: Sequence[Version]) -> Stream:
    stream = stream_of(Category.PATHWAY)
    for each in versions:
        act = Retract(as_of=each.at) if each.says is None else each.says
        # the same fact is always said to have happened on the same day
        occurred = day(0 if each.says is None else FACTS.index(each.says))
        carry_out(stream, act, occurred, told_at(each.at))
    return stream


def stands(stream: Stream) -> set[Fact]:
    return {event.fact for event in stream.effective()}


def documents(stream: Stream) -> Any:
    return _without_places(fold_all(OF_STANDING_FACTS, stream.events))


def _without_places(document: Any) -> Any:
    """Which version of the stream an event is, does depend on when it came."""
    if isinstance(document, dict):
        return {name: _without_places(each) for name, each in document.items() if name != "because"}
    return [_without_places(each) for each in document] if isinstance(document, list) else document


def last_word(versions: Sequence[Version]) -> set[Fact]:
    withdrawn = max((each.on for each in versions if each.says is None), default=-1)
    return {each.says for each in versions if each.says is not None and each.on > withdrawn}


@st.composite
def versions(draw: st.DrawFn, facts: Sequence[Fact], repeated: bool = False) -> list[Version]:
    says = draw(st.lists(st.sampled_from([None, *facts]), min_size=1, max_size=5))
    told = [Version(number, each) for number, each in enumerate(says)]
    return told if repeated else [each for each in told if each.says is None or says.index(each.says) == each.on]


@given(versions(FACTS))
def test_whatever_the_order_only_what_was_told_after_the_withdrawal_stands(told: list[Version]) -> None:
    in_order = documents(arrived(told))
    for order in permutations(told):
        stream = arrived(order)
        assert stands(stream) == last_word(told)
        assert documents(stream) == in_order


@given(versions(FACTS[:2], repeated=True))
def test_so_it_is_where_the_same_is_told_again_unless_that_comes_between(told: list[Version]) -> None:
    for order in permutations(told):
        if not _is_told_again_before_it_is_withdrawn(order):
            assert stands(arrived(order)) == last_word(told)


@given(versions(FACTS[:2], repeated=True))
def test_nothing_withdrawn_ever_stands(told: list[Version]) -> None:
    for order in permutations(told):
        assert stands(arrived(order)) <= last_word(told)


@given(versions(FACTS, repeated=True), st.randoms(use_true_random=False))
def test_sent_again_nothing_is_recorded_anew(told: list[Version], random: Any) -> None:
    stream = arrived(told)
    random.shuffle(told)
    for again in (stream, as_loaded(stream)):
        for each in told:
            act = Retract(as_of=each.at) if each.says is None else each.says
            occurred = day(0 if each.says is None else FACTS.index(each.says))
            assert again.decide(act, occurred, told_at(each.at)) == []


def _is_told_again_before_it_is_withdrawn(order: Sequence[Version]) -> bool:
    """An earlier telling stands, the later one says nothing new, and only then comes the withdrawal between them."""
    return any(
        earlier.says == later.says and earlier.on < withdrawn.on < later.on
        for place, withdrawn in enumerate(order)
        if withdrawn.says is None
        for number, later in enumerate(order[:place])
        for earlier in order[:number]
        if earlier.says is not None
    )
