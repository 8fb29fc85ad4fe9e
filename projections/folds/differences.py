"""What changed between two documents, member by member."""

from functools import lru_cache
from itertools import zip_longest
from typing import Any, TypeAlias

from projections.folds.folding import Document

Change: TypeAlias = dict[str, Any]


def difference(before: Document, after: Document) -> list[Change]:
    """`{pointer, before, after}` for each smallest part that differs, by RFC 6901 JSON Pointer, None where nothing
    stood (documents hold no null). Parts that two lists have in common at their ends are not repeated: pointers
    into lists are those of `after`, or of `before` for what is gone."""
    return between("", before, after)


def between(pointer: str, before: Any, after: Any) -> list[Change]:
    """The same for two parts that stand at `pointer`; None for a part that is not there."""
    found: list[Change] = []
    if before is not after:
        _collect(pointer, before, after, found)
    return found


def _collect(pointer: str, before: Any, after: Any, found: list[Change]) -> None:
    """Adds the differences of two parts. What is the same object needs no comparing."""
    if type(before) is dict and type(after) is dict:
        for name, was in before.items():
            now = after.get(name)
            if was is now or was == now:
                continue
            if type(was) is str:  # as most parts are that differ
                found.append({"pointer": f"{pointer}/{_escaped(name)}", "before": was, "after": now})
            else:
                _collect(f"{pointer}/{_escaped(name)}", was, now, found)
        if not after.keys() <= before.keys():
            new = [(name, now) for name, now in after.items() if name not in before]
            found += [{"pointer": f"{pointer}/{_escaped(name)}", "before": None, "after": now} for name, now in new]
    elif type(before) is list and type(after) is list:
        _collect_from_lists(pointer, before, after, found)
    elif before != after:
        found.append({"pointer": pointer, "before": before, "after": after})


def _collect_from_lists(pointer: str, before: list[Any], after: list[Any], found: list[Change]) -> None:
    shorter = min(len(before), len(after))
    start, end = (0, 0) if len(before) == len(after) else _in_common(before, after, shorter)
    apart = zip_longest(before[start : len(before) - end], after[start : len(after) - end])
    for place, (was, now) in enumerate(apart, start):
        if was is not now and was != now:
            _collect(f"{pointer}/{place}", was, now, found)


def _in_common(before: list[Any], after: list[Any], shorter: int) -> tuple[int, int]:
    """How many items two lists of different lengths have in common at their beginning, and after these at their end.
    Most often one is the other with more at its end, which is quickly told."""
    if before[:shorter] == after[:shorter]:
        return shorter, 0
    start = _alike(before, after)
    return start, min(_alike(before[::-1], after[::-1]), shorter - start)


def _alike(before: list[Any], after: list[Any]) -> int:
    for place, (was, now) in enumerate(zip(before, after, strict=False)):
        if was is not now and was != now:
            return place
    return min(len(before), len(after))


@lru_cache(4_000)
def _escaped(name: str) -> str:
    return name if name.isidentifier() else name.replace("~", "~0").replace("/", "~1")
