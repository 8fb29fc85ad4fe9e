"""A fact's fields as JSON in which nothing is left open: None is not recorded, and never reads as no.

Made from the fact's own members: half of what its serialiser takes, whose JSON must be looked through once more.
"""

from collections.abc import Callable
from enum import Enum
from operator import attrgetter
from typing import Any

from pydantic_core import to_jsonable_python

from domain.facts import Value

NOT_RECORDED = "not-recorded"


def told(value: Value) -> dict[str, Any]:
    """In a new dict, in the order in which the class has its fields."""
    return {
        name: each if type(each) is str else NOT_RECORDED if each is None else _AS_JSON[type(each)](each)
        for name, each in value.__dict__.items()
    }


class _AsJson(dict[type[Any], Callable[[Any], Any]]):
    """By the class of what stands in a fact; there are a few dozen."""

    def __missing__(self, kind: type[Any]) -> Callable[[Any], Any]:
        found = self[kind] = _as_json(kind)
        return found


def _as_json(kind: type[Any]) -> Callable[[Any], Any]:
    if issubclass(kind, Value):
        return told
    if issubclass(kind, Enum):
        return attrgetter("_value_")
    if kind is tuple:
        return _listed
    return _YES_OR_NO.__getitem__ if kind is bool else _of_python


def _listed(values: tuple[Any, ...]) -> list[Any]:
    return [each if type(each) is str else _AS_JSON[type(each)](each) for each in values]


def _of_python(value: Any) -> Any:
    return explicit(to_jsonable_python(value))


def explicit(value: Any) -> Any:
    """The same of what is JSON already."""
    if value is None:
        return NOT_RECORDED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return {name: explicit(each) for name, each in value.items()}
    if isinstance(value, list):
        return [explicit(each) for each in value]
    return value


_YES_OR_NO = {True: "yes", False: "no"}
_AS_JSON = _AsJson()
