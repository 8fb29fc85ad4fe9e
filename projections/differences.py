"""What changed between two documents, member by member."""

from collections.abc import Iterator
from typing import Any

from projections.folding import Document


def difference(before: Document, after: Document) -> list[dict[str, Any]]:
    """`{pointer, before, after}` for each smallest part that differs, by RFC 6901 JSON Pointer, None where nothing
    stood (documents hold no null). Parts that two lists have in common at their ends are not repeated: pointers
    into lists are those of `after`, or of `before` for what is gone."""
    return list(_between("", before, after))


def _between(pointer: str, before: Any, after: Any) -> Iterator[dict[str, Any]]:
    if before is after or before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(each for each in after if each not in before)]:
            yield from _between(f"{pointer}/{_escaped(name)}", before.get(name), after.get(name))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _between_lists(pointer, before, after)
    else:
        yield {"pointer": pointer, "before": before, "after": after}


def _between_lists(pointer: str, before: list[Any], after: list[Any]) -> Iterator[dict[str, Any]]:
    shorter = min(len(before), len(after))
    start = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    end = 0
    while end < shorter - start and before[-1 - end] == after[-1 - end]:
        end += 1
    for place in range(start, max(len(before), len(after)) - end):
        was = before[place] if place < len(before) - end else None
        now = after[place] if place < len(after) - end else None
        yield from _between(f"{pointer}/{place}", was, now)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
