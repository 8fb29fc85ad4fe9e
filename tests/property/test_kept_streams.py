"""A stream that grew event by event decides as one that was just read from the rows."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.annotation import Assigned, Corrected, MarkedInError, MovedAway, Withdrawn
from domain.catalogue import category_of
from domain.evolution import read
from domain.facts import Category, Fact, fact_json
from domain.stream import Stream
from domain.times import Occurred
from tests.builders import FIRST_RECORDING
from tests.deciding import carry_out, stream_of, told_at
from tests.strategies import REPORTABLE, VERSIONED, facts, times

# What, when, and with which provenance.
Told: TypeAlias = tuple[Fact, Occurred, bytes]

CATEGORIES = st.sampled_from(list(Category))
# More versions than a history here has, so that what they name is there, is still to come, or never comes.
VERSIONS = st.integers(1, 10)
SOMEONE_ELSE = UUID(int=7)
# So far after its recording that its place depends on when that was.
AHEAD = Occurred(FIRST_RECORDING + timedelta(hours=27))


def annotations(category: Category) -> st.SearchStrategy[Fact]:
    several = st.lists(VERSIONS, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        several.map(lambda versions: MarkedInError(versions=versions)),
        several.map(lambda versions: MovedAway(versions=versions, to_patient=SOMEONE_ELSE)),
        st.sampled_from(VERSIONED).map(lambda moment: Withdrawn(as_of=moment)),
        several.map(lambda versions: Assigned(versions=versions)),
        st.builds(_corrected, VERSIONS, reports(category), st.sampled_from([None, "2026-02-03"])),
    )


def reports(category: Category) -> st.SearchStrategy[Fact]:
    return facts([kind for kind in REPORTABLE if category_of(kind) is category])


def _corrected(version: int, right: Fact, occurred: str | None) -> Corrected:
    told = right.model_dump(mode="json", exclude_none=True)
    return Corrected(version=version, replaced_by=right.stored, replacement=told, occurred=occurred)


@st.composite
def histories(draw: st.DrawFn, category: Category) -> list[Told]:
    """Few facts, told again and again between annotations of whatever comes before and after."""
    when = st.one_of(times(), st.just(AHEAD))
    few = draw(st.lists(st.tuples(reports(category), when), min_size=1, max_size=3))
    again = st.sampled_from(few)
    each = st.one_of(again, again, st.tuples(annotations(category), when))
    origins = st.sampled_from([None, *VERSIONED]).map(told_at)
    told = draw(st.lists(st.tuples(each, origins), min_size=2, max_size=10))
    return [(fact, occurred, origin) for (fact, occurred), origin in told]


def read_anew(stream: Stream) -> Stream:
    stored = [event._replace(fact=read(event.fact.stored, fact_json(event.fact))) for event in stream.events]
    return Stream(stream.stream_id, stream.category, stored)


def assert_alike(kept: Stream, told: list[Told]) -> None:
    anew = read_anew(kept)
    assert kept.effective() == anew.effective()
    assert kept.state() == anew.state()
    for each in told:
        assert kept.decide(*each) == anew.decide(*each)


@given(st.data(), CATEGORIES)
def test_a_kept_stream_decides_as_one_that_was_read_anew(data: st.DataObject, category: Category) -> None:
    """Whatever the order: also where an annotation names a version that is still to come. After every event, and after
    decisions that were taken back or became durable elsewhere than was supposed."""
    kept, told = stream_of(category), data.draw(histories(category))
    for each in told:
        durable = kept.last_position
        carry_out(kept, *each)
        assert_alike(kept, told)
        match data.draw(st.sampled_from(["is open", "is durable", "is durable", "was taken back"])):
            case "is durable":
                kept.settle(durable, data.draw(st.integers(0, 5)), datetime(2026, 6, 2, tzinfo=UTC))
            case "was taken back":
                kept.undo(durable)
        assert_alike(kept, told)


@given(st.data(), CATEGORIES)
def test_what_is_annotated_before_it_comes_stands_as_it_is_told(data: st.DataObject, category: Category) -> None:
    """Nothing is lost to a number that was mistyped before: it is recorded once, whether the stream was kept or not."""
    fact, occurred = data.draw(st.tuples(reports(category), times()))
    annotation = data.draw(annotations(category))
    kept = stream_of(category)
    carry_out(kept, annotation, occurred)
    carry_out(kept, fact, occurred)
    assert [event.fact for event in kept.effective()] == [fact]
    assert kept.decide(fact, occurred) == read_anew(kept).decide(fact, occurred) == []
