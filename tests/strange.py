"""Values that no field expects, and where in a document they can stand."""

import copy
from typing import Any

STRANGE: list[Any] = [
    None,
    7,
    -1.5,
    10**400,
    float("nan"),
    True,
    "",
    "🙂",
    "\ud800",
    "x" * 400,
    "2026-02-30",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01",
    [],
    {},
    [[]],
    [None],
    {"coding": 3},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in steps for place in places(inner, (*path, key)))]


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    result = copy.deepcopy(document)
    parent = result
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return result
