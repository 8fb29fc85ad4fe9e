"""Every field of every document names the event that set it: without that event it would say something else."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import Recorded
from projections.catalogue import PROJECTIONS
from projections.folds.folding import NOT_RECORDED, Projection, fold_in_order
from projections.past.moments import Audience, Moment, Shown, shown
from projections.past.why import NO_SUCH_FIELD, Why, last_set, why
from tests.builders import past_of
from tests.property.test_replay import annotated
from tests.strategies import histories

Leaf = tuple[str, bytes]
MOST_FIELDS = 12


def leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from leaves(each, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for place, each in enumerate(value):
            yield from leaves(each, f"{pointer}/{place}")
    else:
        yield pointer, value


def wherever_it_stands(pointer: str, value: Any) -> Leaf:
    """Items move within their lists when others come before them."""
    steps = ["*" if step.isdigit() else step for step in pointer.split("/")]
    return "/".join(steps), orjson.dumps(value)


def said_by(projection: Projection, events: list[Recorded], place: str) -> Counter[Leaf]:
    document = fold_in_order([projection], events)[projection.name]
    found = (wherever_it_stands(pointer, value) for pointer, value in leaves(document))
    return Counter(leaf for leaf in found if leaf[0] == place)


def holds(projection: Projection, seen: Shown, pointer: str, value: Any) -> None:
    events = seen.standing if projection.input == "effective" else seen.arrived
    found = last_set(projection, pointer, seen)
    leaf = wherever_it_stands(pointer, value)
    assert found.value == value
    if found.event is None:
        assert leaf in said_by(projection, [], leaf[0])
        return
    place = next(place for place, event in enumerate(events) if event.event_id == found.event.event_id)
    before, after = (said_by(projection, events[:end], leaf[0]) for end in (place, place + 1))
    assert leaf in after
    assert before != after


@given(st.one_of(histories(max_size=25), annotated()), st.sampled_from(PROJECTIONS), st.data())
def test_every_field_names_the_event_without_which_it_would_be_another(
    events: list[Recorded], projection: Projection, data: st.DataObject
) -> None:
    past = past_of(events)
    audience = data.draw(st.sampled_from(Audience))
    moment = Moment(data.draw(st.integers(0, len(events))))
    seen = shown(past, moment, audience)._replace(is_withheld=False)
    events = seen.standing if projection.input == "effective" else seen.arrived
    fields = list(leaves(fold_in_order([projection], events)[projection.name]))
    for pointer, value in data.draw(st.lists(st.sampled_from(fields), max_size=MOST_FIELDS)):
        holds(projection, seen, pointer, value)
        told = why(projection, pointer, past, moment, audience)["event"]
        assert told == NOT_RECORDED or told["position"] <= moment.position


@given(histories(max_size=10), st.sampled_from(PROJECTIONS))
def test_a_field_that_never_was_there_is_not_said_to_be_not_recorded(
    events: list[Recorded], projection: Projection
) -> None:
    seen = shown(past_of(events), Moment(len(events)), Audience.STAFF)
    assert last_set(projection, "/no/such/field", seen) == Why(NO_SUCH_FIELD, NO_SUCH_FIELD, None)
