"""Folding step by step, doing only what each event touches, says the same as folding everything anew for each."""

from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.annotation import Corrected, MarkedInError, Withdrawn
from domain.facts import Recorded
from domain.history import Growing, effective
from domain.pathway import PerformanceStatusAssessed
from projections.catalogue import PROJECTIONS
from projections.folds.differences import difference
from projections.folds.folding import Document, fold_all
from projections.folds.person import withholding
from projections.folds.unfolding import Unfolding
from projections.past.moments import is_restricted
from projections.past.replay import steps
from tests.builders import past_of, recorded
from tests.strategies import REPORTABLE, VERSIONED, happenings, histories, origins


@given(histories(max_size=40), st.lists(st.integers(1, 5)))
def test_documents_that_grow_are_those_of_folding_anew(events: list[Recorded], read_after: list[int]) -> None:
    """Whether or not anyone reads them in between."""
    unfolding, read = Unfolding(PROJECTIONS), set(accumulate(read_after))
    for number, event in enumerate(events, start=1):
        unfolding.add(event)
        if number in read:
            assert unfolding.documents() == fold_all(PROJECTIONS, events[:number])
    assert unfolding.documents() == fold_all(PROJECTIONS, events)


def naive(events: list[Recorded]) -> list[tuple[Recorded, list[dict[str, Any]]]]:
    """What is restricted now is withheld at every step."""
    chosen = [withholding(each) for each in PROJECTIONS] if is_restricted(events) else PROJECTIONS
    before: Document = {}
    found = []
    for number, event in enumerate(events, start=1):
        after = fold_all(chosen, events[:number])
        found.append((event, difference(before, after)))
        before = after
    return found


@given(histories())
def test_the_steps_of_any_history_are_those_of_folding_anew(events: list[Recorded]) -> None:
    assert steps(PROJECTIONS, past_of(events)) == naive(events)


WITHDRAWN = [Withdrawn(as_of=moment) for moment in VERSIONED]


@st.composite
def annotated(draw: st.DrawFn) -> list[Recorded]:
    """Facts with annotations among them, some before what they speak of."""
    told = draw(happenings(max_size=15))
    for version in draw(st.lists(st.integers(1, 4), max_size=5)) if told else []:
        target, _, occurred = draw(st.sampled_from(told))
        annotation = draw(
            st.sampled_from([MarkedInError(versions=(version, version + 1)), _correction(version), *WITHDRAWN])
        )
        told.insert(draw(st.integers(0, len(told))), (target, annotation, occurred))
    return recorded(told, draw(origins(len(told))))


def _correction(version: int) -> Corrected:
    replacement = PerformanceStatusAssessed(scale="ECOG", value="2")
    return Corrected(version=version, replaced_by=replacement.stored, replacement=replacement.model_dump())


@given(annotated())
def test_so_are_those_of_histories_with_annotations(events: list[Recorded]) -> None:
    assert steps(PROJECTIONS, past_of(events)) == naive(events)
    unfolding = Unfolding(PROJECTIONS)
    for event in events:
        unfolding.add(event)
    assert unfolding.documents() == fold_all(PROJECTIONS, events)


@given(annotated())
def test_a_growing_history_is_always_the_effective_one(events: list[Recorded]) -> None:
    growing = Growing()
    for number, event in enumerate(events, start=1):
        place = growing.add(event)
        assert growing.events == effective(events[:number])
        assert place is None or growing.events[place] is event


@given(histories(REPORTABLE, max_size=40))
def test_facts_alone_never_change_what_stood(events: list[Recorded]) -> None:
    growing = Growing()
    assert all(growing.add(event) is not None for event in events)
    assert growing.events == effective(events)
