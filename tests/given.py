"""given(what happened).when(reading as someone).then_shows(...): histories read through the folds."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import orjson

from domain.disclosure import as_seen_by_patient
from domain.facts import Fact, Recorded, Target
from domain.history import effective
from projections.catalogue import PROJECTIONS
from projections.folds.folding import Document, fold_all, fold_in_order
from tests.builders import in_turn, target_of

Reading: TypeAlias = Callable[[Sequence[Recorded]], dict[str, Document]]


def reading_as_patient() -> Reading:
    return lambda events: fold_in_order(PROJECTIONS, as_seen_by_patient(effective(events)))


def reading_as_clinician() -> Reading:
    return lambda events: fold_all(PROJECTIONS, events)


class Documents:
    def __init__(self, documents: dict[str, Document]) -> None:
        self._documents = documents

    def __getitem__(self, name: str) -> Any:
        return self._documents[name]

    def shows(self, text: str) -> bool:
        return orjson.dumps(text)[1:-1] in orjson.dumps(self._documents)

    def then_shows(self, *texts: str) -> "Documents":
        for text in texts:
            assert self.shows(text), f"{text} is not shown"
        return self

    def then_shows_nothing_of(self, *texts: str) -> "Documents":
        for text in texts:
            assert not self.shows(text), f"{text} is shown"
        return self


class Given:
    def __init__(self, events: Sequence[Recorded]) -> None:
        self.events = events

    def when(self, reading: Reading) -> Documents:
        return Documents(reading(self.events))


def given(*told: Fact | tuple[Target, Fact]) -> Given:
    """What happened, a day apart. A bare fact stands in the one stream of its kind."""
    acts = [each if isinstance(each, tuple) else (target_of(each), each) for each in told]
    return Given(in_turn(*acts))
