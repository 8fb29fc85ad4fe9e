"""What a projection is, and the one pass in which all of them fold a person's history.

Folds are pure: no clock, no input or output, nothing random. Live reading, rebuild and replay run the same ones.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

from domain.facts import Fact, Recorded
from domain.history import effective

NOT_RECORDED = "not-recorded"
NOT_KNOWN = "not-known"

Document: TypeAlias = dict[str, Any]


class Entry:
    """One event as folds read it, `stream` being its stream's id in words; what several folds need is made once."""

    __slots__ = ("_item", "_provenance", "because", "event", "fact", "occurred", "stream")

    def __init__(self, event: Recorded, stream: str) -> None:
        self.event = event
        self.fact: Fact = event.fact
        self.stream = stream
        self.because = f"{self.stream}/{event.version}"
        self.occurred = event.occurred.words()
        self._item: Document | None = None
        self._provenance: Mapping[str, Any] | None = None

    @property
    def item(self) -> Document:
        """A new dict of the fact's fields as JSON, with `occurred` and `because`; what is missing is named so.
        Lists and dicts inside it are shared by all who ask: replace them, never change them."""
        if self._item is None:
            fields = self.fact.__pydantic_serializer__.to_python(self.fact, mode="json")
            item = {name: each if type(each) is str else explicit(each) for name, each in fields.items()}
            item["occurred"] = self.occurred
            item["because"] = self.because
            self._item = item
        return self._item.copy()

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The members that were told, as stored and not decoded into classes."""
        if self._provenance is None:
            told = orjson.loads(self.event.provenance_json)
            if None in told.values():
                told = {name: each for name, each in told.items() if each is not None}
            self._provenance = told
        return self._provenance

    def stamped(self, value: Any) -> Document:
        """One value with the event that set it."""
        return {"value": value, "occurred": self.occurred, "because": self.because}

    @property
    def stamp(self) -> Document:
        return {"occurred": self.occurred, "because": self.because}


State: TypeAlias = Any
Handler: TypeAlias = Callable[[State, Any, Entry], None]
Handlers: TypeAlias = Mapping[type[Fact], Handler]
# Of facts of all classes; returns whether it changed anything.
EveryHandler: TypeAlias = Callable[[State, Any, Entry], bool]


def _nothing_clear(_: Document) -> dict[str, Any]:
    return {}


class Projection(NamedTuple):
    """A named fold. Its name is a key of checkpoints and tables and never changes; a change of what it says
    raises `version`. `initial` makes a state private to one fold, which handlers change in place.

    `handlers` are called with (state, fact, entry) for facts of their class, `every` for facts of all classes. What
    stands in a document is never changed afterwards: handlers put new dicts and lists in the place of old ones, so
    that whoever compares two documents may pass over what is the same object.
    `clear` picks from a document what may stand unencrypted in columns for SQL.
    """

    name: str
    version: int
    initial: Callable[[], State]
    handlers: Handlers
    document: Callable[[State], Document]
    clear: Callable[[Document], dict[str, Any]] = _nothing_clear
    every: EveryHandler | None = None
    input: Literal["effective", "recorded"] = "effective"

    def fold(self, state: State, event: Recorded) -> None:
        entry = Entry(event, str(event.stream_id))
        if self.every is not None:
            self.every(state, entry.fact, entry)
        handler = self.handlers.get(type(entry.fact))
        if handler is not None:
            handler(state, entry.fact, entry)


def fold_all(projections: Iterable[Projection], recorded: Iterable[Recorded]) -> dict[str, Document]:
    """Documents by name, from all events of one person as known at some position, annotations included."""
    chosen = tuple(projections)
    arrived = sorted(recorded, key=lambda event: event.position)
    entries = _entries(arrived)
    at_position = {entry.event.position: entry for entry in entries}
    standing = [_entry(at_position, event) for event in effective(arrived)]
    folded = _fold([each for each in chosen if each.input == "effective"], standing)
    folded |= _fold([each for each in chosen if each.input == "recorded"], entries)
    return {each.name: folded[each.name] for each in chosen}


def fold_in_order(projections: Iterable[Projection], history: Iterable[Recorded]) -> dict[str, Document]:
    """Documents by name, from exactly these events in this order, such as the part that a patient may see."""
    return _fold(tuple(projections), _entries(history))


def _entries(events: Iterable[Recorded]) -> list[Entry]:
    """A person has many events in few streams; putting a UUID into words costs as much as a small handler."""
    streams: dict[int, str] = {}
    entries = []
    for event in events:
        stream = streams.get(event.stream_id.int)
        if stream is None:
            stream = streams[event.stream_id.int] = str(event.stream_id)
        entries.append(Entry(event, stream))
    return entries


def _entry(at_position: Mapping[int, Entry], event: Recorded) -> Entry:
    """A corrected event differs from what was recorded at its position."""
    entry = at_position[event.position]
    return entry if entry.fact is event.fact else Entry(event, entry.stream)


def _fold(projections: Sequence[Projection], entries: Sequence[Entry]) -> dict[str, Document]:
    folded: dict[str, Document] = {}
    for each in projections:
        state, handlers, every = each.initial(), each.handlers, each.every
        for entry in entries:
            if every is not None:
                every(state, entry.fact, entry)
            handler = handlers.get(type(entry.fact))
            if handler is not None:
                handler(state, entry.fact, entry)
        folded[each.name] = each.document(state)
    return folded


def explicit(value: Any) -> Any:
    """JSON in which nothing is left open: None is not recorded, and never reads as no."""
    if value is None:
        return NOT_RECORDED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return {name: explicit(each) for name, each in value.items()}
    if isinstance(value, list):
        return [explicit(each) for each in value]
    return value


def missing() -> Document:
    """In the place of a stamped value that no event has set."""
    return {"value": NOT_RECORDED}


def empty_sections(document: Document) -> list[str]:
    """Names of the sections about which nothing is recorded, so that an empty list is never taken for a no."""
    return [name for name, section in document.items() if section in ([], {}, NOT_RECORDED, missing())]
