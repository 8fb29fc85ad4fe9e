"""What a projection is, and the one pass in which all of them fold a person's history.

Folds are pure: no clock, no input or output, nothing random. Live reading, rebuild and replay run the same ones.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

from domain.facts import Fact, Recorded
from domain.history import effective
from projections.folds import items

NOT_RECORDED = items.NOT_RECORDED
NOT_KNOWN = "not-known"

# A thousand events, where each has a hundred; a processor's cache does not hold many more.
PEOPLE_TOGETHER = 10
_FEW = 64  # sets of projections that are folded together
_position = itemgetter(0)

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
            item = items.told(self.fact)
            item["occurred"] = self.occurred
            item["because"] = self.because
            self._item = item
        return self._item.copy()

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The members that were told, as stored and not decoded into classes."""
        if self._provenance is None:
            members = orjson.loads(self.event.provenance_json)
            if None in members.values():
                members = {name: each for name, each in members.items() if each is not None}
            self._provenance = members
        return self._provenance

    def stamped(self, value: Any) -> Document:
        """One value with the event that set it."""
        return {"value": value, "occurred": self.occurred, "because": self.because}

    @property
    def stamp(self) -> Document:
        return {"occurred": self.occurred, "because": self.because}


State: TypeAlias = Any
# Returns False where it knows that it changed nothing.
Handler: TypeAlias = Callable[[State, Any, Entry], bool | None]
Handlers: TypeAlias = Mapping[type[Fact], Handler]


def _by_nothing(_: Document) -> list[tuple[str, ...]]:
    return []


def _nothing_clear(_: Document) -> dict[str, Any]:
    return {}


def _nothing_beside(_: Document) -> Document:
    return {}


@dataclass(frozen=True, eq=False)
class Part:
    """A fold of its own, whose `members` are some of a document's. `initial` makes a state private to one person, a
    dataclass which handlers change in place.

    `handlers` are called with (state, fact, entry) for facts of their class, `every` for facts of all classes. What
    stands in a document is never changed afterwards: handlers put new dicts and lists in the place of old ones, so
    that whoever compares two documents may pass over what is the same object. A part equals itself alone, so what is
    made of it once is found again by it.
    """

    initial: Callable[[], State]
    handlers: Handlers
    members: Callable[[State], Document]
    every: Handler | None = None

    def heeds(self, fact: type[Fact]) -> bool:
        return self.every is not None or fact in self.handlers


class Projection(NamedTuple):
    """A named fold. Its name is a key of checkpoints and tables and never changes; a change of what it says
    raises `version`.

    A fact folds anew only the parts that heed it, so a large document is made of many. It is the members of all parts
    in their order (unless `shows_parts` is false), and after them what `beside` makes of these. `clear` picks from a
    document what may stand unencrypted in columns for SQL; `looked_up_by` gives what a person is found by where it
    must not: it is kept as keyed digests alone.
    """

    name: str
    version: int
    parts: tuple[Part, ...]
    beside: Callable[[Document], Document] = _nothing_beside
    clear: Callable[[Document], dict[str, Any]] = _nothing_clear
    looked_up_by: Callable[[Document], list[tuple[str, ...]]] = _by_nothing
    input: Literal["effective", "recorded"] = "effective"
    shows_parts: bool = True

    @property
    def says_more(self) -> bool:
        """Whether its documents say anything beside what its parts say."""
        return self.beside is not _nothing_beside

    def document(self, members: Document) -> Document:
        """Of the members of all parts, in a dict of its own."""
        beside = self.beside(members)
        return members | beside if self.shows_parts else beside


def fold_all(projections: Iterable[Projection], recorded: Iterable[Recorded]) -> dict[str, Document]:
    """Documents by name, from all events of one person as known at some position, annotations included."""
    return fold_each(projections, [recorded])[0]


def fold_each(projections: Iterable[Projection], people: Iterable[Iterable[Recorded]]) -> list[dict[str, Document]]:
    """The same of each of some people, who are folded together."""
    chosen = tuple(projections)
    arrived = [sorted(recorded, key=_position) for recorded in people]
    standing = _fold(of_input(chosen, "effective"), [entries_of(effective(each)) for each in arrived])
    in_arrival = of_input(chosen, "recorded")
    if not in_arrival:
        return standing
    trails = _fold(in_arrival, [entries_of(each) for each in arrived])
    both = (of_facts | trail for of_facts, trail in zip(standing, trails, strict=True))
    return [{each.name: documents[each.name] for each in chosen} for documents in both]


def fold_in_order(projections: Iterable[Projection], history: Iterable[Recorded]) -> dict[str, Document]:
    """Documents by name, from exactly these events in this order, such as the part that a patient may see."""
    return _fold(tuple(projections), [entries_of(history)])[0]


@lru_cache(_FEW)
def of_input(projections: tuple[Projection, ...], told: str) -> tuple[Projection, ...]:
    return tuple(each for each in projections if each.input == told)


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


Heeded: TypeAlias = Mapping[Part, list[tuple[Handler, Entry]]]


def _fold(projections: tuple[Projection, ...], people: Iterable[Iterable[Entry]]) -> list[dict[str, Document]]:
    """One part after the other, of all these people, each part with only the events that it heeds: to go through all
    parts with each event takes a tenth longer, since a processor then has the code of none of them at hand."""
    heeding = [_heeded(projections, entries) for entries in people]
    folded: list[dict[str, Document]] = [{} for _ in heeding]
    for projection in projections:
        made: list[Document] = [{} for _ in heeding]
        for part in projection.parts:
            for members, heeded in zip(made, heeding, strict=True):
                members.update(_members_of(part, heeded))
        for documents, members in zip(folded, made, strict=True):
            documents[projection.name] = projection.document(members)
    return folded


def _heeded(projections: tuple[Projection, ...], entries: Iterable[Entry]) -> Heeded:
    heeded: dict[Part, list[tuple[Handler, Entry]]] = {}
    acting = _acting(projections)
    for entry in entries:
        for part, handler in acting[type(entry.fact)]:
            heeded.setdefault(part, []).append((handler, entry))
    return heeded


def _members_of(part: Part, heeded: Heeded) -> Document:
    told = heeded.get(part)
    if told is None:
        return nothing(part)
    state = part.initial()
    for handler, entry in told:
        handler(state, entry.fact, entry)
    return part.members(state)


class _Acting(dict[type[Fact], tuple[tuple[Part, Handler], ...]]):
    """By the class of a fact the handlers that heed it, in the order of the parts."""

    def __init__(self, parts: Iterable[Part]) -> None:
        super().__init__()
        self._parts = tuple(dict.fromkeys(parts))

    def __missing__(self, fact: type[Fact]) -> tuple[tuple[Part, Handler], ...]:
        found = self[fact] = tuple(self._heeding(fact))
        return found

    def _heeding(self, fact: type[Fact]) -> Iterator[tuple[Part, Handler]]:
        for part in self._parts:
            if part.every is not None:
                yield part, part.every
            if fact in part.handlers:
                yield part, part.handlers[fact]


@lru_cache(_FEW)
def _acting(projections: tuple[Projection, ...]) -> _Acting:
    """Made once for all people: to make it for each took as long as the handlers themselves."""
    return _Acting(part for each in projections for part in each.parts)


def nothing(part: Part) -> Document:
    """What a part says of a person of whom it heeded no event."""
    return _nothing(part.initial, part.members)


@cache
def _nothing(initial: Callable[[], State], members: Callable[[State], Document]) -> Document:
    return members(initial())


def nothing_of(projection: Projection) -> Document:
    """The members of all parts for a person of whom nothing is known, in a new dict."""
    return {name: each for part in projection.parts for name, each in nothing(part).items()}


def missing() -> Document:
    """In the place of a stamped value that no event has set."""
    return {"value": NOT_RECORDED}


_SAYING_NOTHING: tuple[Any, ...] = (NOT_RECORDED, missing())


def empty_sections(members: Document, never_missing: Collection[str]) -> list[str]:
    """Names of the sections about which nothing is recorded, so that an empty list is never taken for a no."""
    return [
        name
        for name, section in members.items()
        if (not section or section in _SAYING_NOTHING) and name not in never_missing
    ]
