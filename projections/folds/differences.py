"""What changed between two documents, member by member."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import zip_longest
from typing import Any, TypeAlias

from projections.folds.folding import Document

Change: TypeAlias = dict[str, Any]


def difference(before: Document, after: Document) -> list[Change]:
    """`{pointer, before, after}` for each smallest part that differs, by RFC 6901 JSON Pointer, None where nothing
    stood (documents hold no null). Parts that two lists have in common at their ends are not repeated: pointers
    into lists are those of `after`, or of `before` for what is gone."""
    found: list[Change] = []
    collect_from_members("", before, after, found)
    return found


def _collect(pointer: str, before: Any, after: Any, found: list[Change]) -> None:
    """Adds the differences of two parts that are not equal."""
    kind = type(before)
    if kind is not type(after):
        found.append({"pointer": pointer, "before": before, "after": after})
    elif kind is dict:
        collect_from_members(pointer, before, after, found)
    elif kind is list:
        _collect_from_lists(pointer, before, after, found)
    else:
        found.append({"pointer": pointer, "before": before, "after": after})


def collect_from_members(pointer: str, before: Document, after: Document, found: list[Change]) -> None:
    """Adds the differences of two dicts that stand at `pointer`. What is the same object needs no comparing."""
    for name, was in before.items():
        now = after.get(name)
        if was is not now and was != now:
            _collect(f"{pointer}/{_escaped(name)}", was, now, found)
    if not after.keys() <= before.keys():
        new = [(name, now) for name, now in after.items() if name not in before]
        found += [{"pointer": f"{pointer}/{_escaped(name)}", "before": None, "after": now} for name, now in new]


def _collect_from_lists(pointer: str, before: list[Any], after: list[Any], found: list[Change]) -> None:
    """Most often one is the other with something else in a place, or with more at its end, which is quickly told."""
    length = len(before)
    if length == len(after):
        pairs: Iterable[tuple[Any, Any]] = zip(before, after, strict=True)
        start = 0
    elif before == after[:length]:
        found += [
            {"pointer": f"{pointer}/{place}", "before": None, "after": now}
            for place, now in enumerate(after[length:], length)
        ]
        return
    else:
        start, end = _in_common(before, after)
        pairs = zip_longest(before[start : length - end], after[start : len(after) - end])
    for place, (was, now) in enumerate(pairs, start):
        if was is not now and was != now:
            _collect(f"{pointer}/{place}", was, now, found)


def _in_common(before: list[Any], after: list[Any]) -> tuple[int, int]:
    """How many items two lists of different lengths have in common at their beginning, and after these at their end."""
    start, shorter = _alike(before, after), min(len(before), len(after))
    return start, min(_alike(before[::-1], after[::-1]), shorter - start)


def _alike(before: list[Any], after: list[Any]) -> int:
    for place, (was, now) in enumerate(zip(before, after, strict=False)):
        if was is not now and was != now:
            return place
    return min(len(before), len(after))


@lru_cache(4_000)
def _escaped(name: str) -> str:
    return name if name.isidentifier() else name.replace("~", "~0").replace("/", "~1")
