"""What changed between two documents, member by member."""

from typing import Any, TypeAlias

from projections.folding import Document

Change: TypeAlias = dict[str, Any]


def difference(before: Document, after: Document) -> list[Change]:
    """`{pointer, before, after}` for each smallest part that differs, by RFC 6901 JSON Pointer, None where nothing
    stood (documents hold no null). Parts that two lists have in common at their ends are not repeated: pointers
    into lists are those of `after`, or of `before` for what is gone."""
    return between("", before, after)


def between(pointer: str, before: Any, after: Any) -> list[Change]:
    """The same for two parts that stand at `pointer`; None for a part that is not there."""
    found: list[Change] = []
    if not _same(before, after):
        _collect(pointer, before, after, found)
    return found


def _same(before: Any, after: Any) -> bool:
    """What is the same object needs no comparing."""
    return before is after or bool(before == after)


def _collect(pointer: str, before: Any, after: Any, found: list[Change]) -> None:
    """Adds the differences of two parts that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(each for each in after if each not in before)]:
            was, now = before.get(name), after.get(name)
            if not _same(was, now):
                _collect(f"{pointer}/{_escaped(name)}", was, now, found)
    elif isinstance(before, list) and isinstance(after, list):
        _collect_from_lists(pointer, before, after, found)
    else:
        found.append({"pointer": pointer, "before": before, "after": after})


def _collect_from_lists(pointer: str, before: list[Any], after: list[Any], found: list[Change]) -> None:
    shorter = min(len(before), len(after))
    start = _alike(before, after, shorter)
    end = _alike(before[: start - 1 - len(before) : -1], after[: start - 1 - len(after) : -1], shorter - start)
    for place in range(start, max(len(before), len(after)) - end):
        was = before[place] if place < len(before) - end else None
        now = after[place] if place < len(after) - end else None
        if not _same(was, now):
            _collect(f"{pointer}/{place}", was, now, found)


def _alike(before: list[Any], after: list[Any], most: int) -> int:
    """How many items the two have in common at their beginning; often all, which is quickly told."""
    if before[:most] == after[:most]:
        return most
    return next(place for place in range(most) if not _same(before[place], after[place]))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
