"""Generated facts and histories. Values come from small pools, so that keys and codes meet each other often."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from domain import annotation, appointment, care_plan, merging, pathway, patient, referral
from domain.catalogue import FACTS
from domain.facts import Fact, Provenance, Recorded
from domain.times import Occurred, Precision, on
from tests.builders import REPORTED, Happening, recorded, target_of

# What changes other events never comes from a source as a fact.
REPORTABLE = tuple(fact for fact in FACTS if fact not in (*annotation.FACTS, *merging.FACTS))
# Facts of one kind of stream meet each other more often than facts of all kinds.
_GROUPS = (REPORTABLE, patient.FACTS, referral.FACTS, appointment.FACTS, pathway.FACTS, care_plan.FACTS)

_TEXTS = st.sampled_from(["a", "b", "RXX", 'Ωmega ~/ "quoted"', "not known"])
_PATTERNS = {
    r"^\d{4}(-\d{2}(-\d{2})?)?$": ["1961", "1961-04", "1961-04-30"],
    r"^[A-Z]\d{2}(\.?[0-9A-Z]{1,4})?$": ["C50.9", "C18.7", "D05.1"],
    r"^[A-Za-z0-9]{1,12}$": ["RXX", "RYY"],
}
_WHAT_IS_TOLD = ["diagnosis", "ruled-out", "stage", "treatment-plan", "recurrence", "progression", "result"]


def _of_annotation(annotation: Any, metadata: Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _of_annotation(inner, more)
    if origin in (Union, UnionType):
        return st.one_of(*(st.none() if each is type(None) else _of_annotation(each) for each in get_args(annotation)))
    if origin is tuple:
        return st.lists(_of_annotation(get_args(annotation)[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.just({})
    return _of_class(annotation, metadata)


def _of_class(annotation: Any, metadata: Sequence[Any]) -> st.SearchStrategy[Any]:
    simple: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(1, 10),
        date: st.dates(date(2026, 1, 1), date(2026, 12, 31)),
        datetime: st.integers(0, 3).map(lambda days: datetime(2026, 3, 1 + days, 9, tzinfo=UTC)),
        str: st.sampled_from(_pool(metadata)) if _pool(metadata) else _TEXTS,
        UUID: st.sampled_from([UUID(int=1), UUID(int=2)]),
    }
    if annotation is AwareDatetime:
        return simple[datetime]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return of_model(annotation)
    return simple[annotation]


def _pool(metadata: Sequence[Any]) -> list[str]:
    for each in metadata:
        pattern = getattr(each, "pattern", None)
        if pattern is not None:
            return _PATTERNS.get(pattern, _WHAT_IS_TOLD)
    return []


def _of_field(field: FieldInfo) -> st.SearchStrategy[Any]:
    return _of_annotation(field.annotation, field.metadata)


@cache
def of_model(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Instances with every member set or missing, as its class allows."""
    members = {name: _of_field(field) for name, field in model.model_fields.items()}
    return st.fixed_dictionaries(members).map(model.model_validate)


def facts(kinds: Sequence[type[Fact]] = REPORTABLE) -> st.SearchStrategy[Fact]:
    return st.sampled_from(kinds).flatmap(of_model)


# When a source may have recorded something, where it says so: in turn, at a time that is believed only of what was
# recorded a day later, and in a year that was mistyped.
VERSIONED = [datetime(*day, 9, tzinfo=UTC) for day in ((2026, 5, 1), (2026, 5, 2), (2026, 5, 3), (2066, 5, 1))]
VERSIONED.append(datetime(2026, 6, 2, 18, tzinfo=UTC))


def origins(size: int) -> st.SearchStrategy[list[Provenance]]:
    """Of as many events, some of which say when their source recorded them."""
    told = st.sampled_from([None, *VERSIONED])
    each = told.map(lambda moment: REPORTED.model_copy(update={"recorded_at_source": moment}))
    return st.lists(each, min_size=size, max_size=size)


_MONTHS = st.sampled_from([Occurred(on(date(2026, month, 1)).at, Precision.MONTH) for month in (1, 2)])
_DAYS = st.integers(0, 4).map(lambda days: on(date(2026, 1, 30) + timedelta(days=days)))
_INSTANTS = st.integers(0, 8).map(lambda n: Occurred(datetime(2026, 1, 30, 23, tzinfo=UTC) + timedelta(hours=6 * n)))


def times() -> st.SearchStrategy[Occurred]:
    """Months, days and instants close to each other, all before anything was recorded."""
    return st.one_of(_MONTHS, _DAYS, _INSTANTS)


@st.composite
def happenings(draw: st.DrawFn, kinds: Sequence[type[Fact]] | None = None, max_size: int = 25) -> list[Happening]:
    """As a decider lets them through: the same fact at the same time only once in a stream."""
    chosen = facts(kinds or draw(st.sampled_from(_GROUPS)))
    drawn = draw(st.lists(st.tuples(chosen, st.sampled_from(["a", "b"]), times()), max_size=max_size))
    return list(dict.fromkeys((target_of(fact, key), fact, occurred) for fact, key, occurred in drawn))


def histories(kinds: Sequence[type[Fact]] | None = None, max_size: int = 25) -> st.SearchStrategy[list[Recorded]]:
    return happenings(kinds, max_size).map(recorded)
