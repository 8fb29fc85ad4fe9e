"""What a projection is, and the one pass in which all of them fold a person's history.

Folds are pure: no clock, no input or output, nothing random. Live reading, rebuild and replay run the same ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
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


def _by_nothing(_: Document) -> list[tuple[str, ...]]:
    return []


def _nothing_clear(_: Document) -> dict[str, Any]:
    return {}


def _members(members: Document) -> Document:
    return members


class Part(NamedTuple):
    """A fold of its own, whose `members` are some of a document's. `initial` makes a state private to one person, a
    dataclass which handlers change in place.

    `handlers` are called with (state, fact, entry) for facts of their class, `every` for facts of all classes. What
    stands in a document is never changed afterwards: handlers put new dicts and lists in the place of old ones, so
    that whoever compares two documents may pass over what is the same object.
    """

    initial: Callable[[], State]
    handlers: Handlers
    members: Callable[[State], Document]
    every: EveryHandler | None = None

    def heeds(self, fact: type[Fact]) -> bool:
        return self.every is not None or fact in self.handlers


class Projection(NamedTuple):
    """A named fold. Its name is a key of checkpoints and tables and never changes; a change of what it says
    raises `version`.

    A fact folds anew only the parts that heed it, so a large document is made of many. `document` makes it of the
    members of all parts, in a dict of its own. `clear` picks from a document what may stand unencrypted in columns
    for SQL; `looked_up_by` gives what a person is found by where it must not: it is kept as keyed digests alone.
    """

    name: str
    version: int
    parts: tuple[Part, ...]
    document: Callable[[Document], Document] = _members
    clear: Callable[[Document], dict[str, Any]] = _nothing_clear
    looked_up_by: Callable[[Document], list[tuple[str, ...]]] = _by_nothing
    input: Literal["effective", "recorded"] = "effective"


def fold_all(projections: Iterable[Projection], recorded: Iterable[Recorded]) -> dict[str, Document]:
    """Documents by name, from all events of one person as known at some position, annotations included."""
    chosen = tuple(projections)
    arrived = sorted(recorded, key=lambda event: event.position)
    entries = entries_of(arrived)
    at_position = {entry.event.position: entry for entry in entries}
    standing = [_entry(at_position, event) for event in effective(arrived)]
    folded = _fold([each for each in chosen if each.input == "effective"], standing)
    folded |= _fold([each for each in chosen if each.input == "recorded"], entries)
    return {each.name: folded[each.name] for each in chosen}


def fold_in_order(projections: Iterable[Projection], history: Iterable[Recorded]) -> dict[str, Document]:
    """Documents by name, from exactly these events in this order, such as the part that a patient may see."""
    return _fold(tuple(projections), entries_of(history))


def entries_of(events: Iterable[Recorded]) -> list[Entry]:
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
    """All in one pass, in which each event meets only the parts that heed it."""
    parts = [part for each in projections for part in each.parts]
    states: list[State | None] = [None] * len(parts)
    acting: dict[type[Fact], list[tuple[int, Handler | EveryHandler]]] = {}
    for entry in entries:
        fact = entry.fact
        handlers = acting.get(type(fact))
        if handlers is None:
            handlers = acting[type(fact)] = list(_acting(parts, type(fact)))
        for place, handler in handlers:
            state = states[place]
            if state is None:
                state = states[place] = parts[place].initial()
            handler(state, fact, entry)
    folded = zip(parts, states, strict=True)
    return {each.name: each.document(_all_members(each, folded)) for each in projections}


def _acting(parts: Sequence[Part], fact: type[Fact]) -> Iterator[tuple[int, Handler | EveryHandler]]:
    for place, part in enumerate(parts):
        if part.every is not None:
            yield place, part.every
        if fact in part.handlers:
            yield place, part.handlers[fact]


def _all_members(projection: Projection, folded: Iterator[tuple[Part, State | None]]) -> Document:
    members: Document = {}
    for part, state in islice(folded, len(projection.parts)):
        members.update(nothing(part) if state is None else part.members(state))
    return members


def nothing(part: Part) -> Document:
    """What a part says of a person of whom it heeded no event."""
    return _nothing(part.initial, part.members)


@cache
def _nothing(initial: Callable[[], State], members: Callable[[State], Document]) -> Document:
    return members(initial())


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


_EMPTY: tuple[Any, ...] = ([], {}, NOT_RECORDED, missing())


def empty_sections(document: Document) -> list[str]:
    """Names of the sections about which nothing is recorded, so that an empty list is never taken for a no."""
    return [name for name, section in document.items() if section in _EMPTY]
