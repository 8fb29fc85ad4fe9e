"""Parts of sentences about facts."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from domain.facts import Coding

Sentence: TypeAlias = Callable[[Any], str]


def words(*parts: str | None) -> str:
    return " ".join([part for part in parts if part])


def about(head: str, *details: str | None) -> str:
    """`head: detail, detail.`, without the details that were not told."""
    told = ", ".join([detail for detail in details if detail])
    sentence = f"{head}: {told}" if told else head
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def coding(told: Coding | None) -> str:
    if told is None:
        return ""
    return f"{told.display} ({told.code})" if told.display else told.code


def codings(told: Iterable[Coding]) -> str:
    return "; ".join([coding(each) for each in told])


def spaced(word: str | None) -> str:
    """A word of our vocabulary as people write it: `external-beam` is external beam."""
    return word.replace("-", " ") if word else ""
