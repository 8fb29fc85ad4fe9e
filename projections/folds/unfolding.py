"""The same folds, one event after the other, doing only what each event touches.

Every part of a projection grows by itself, by the events that it heeds. Most events stand at the end of the effective
history. One that stands earlier folds anew, from a copy of the state before it, those parts that heeded a later one;
an annotation folds all anew. Whatever arrives, the documents are those of `fold_all`.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from domain.facts import Fact, Recorded
from domain.history import Growing
from projections.folds.folding import Document, Entry, Part, Projection, State, entries_of, nothing, nothing_of

# Events of a part between two copies of its state, and how many copies are kept.
_COPIED_EVERY = 8
_COPIES = 6
# Sets of projections that grow together.
_FEW = 64


def in_order(projection: Projection, history: Iterable[Recorded]) -> list[Document]:
    """The document of no event, and that after each of exactly these in this order."""
    fold = Fold(projection)
    documents = [fold.document()]
    for entry in entries_of(history):
        arrival = Arrival(entry)
        for strand in fold.strands:
            if strand.take(arrival):
                fold.outdate(strand)
        documents.append(fold.document())
    return documents


class Arrival(NamedTuple):
    """An event as it came. `later`: the `id` of each entry before which it stands, none where it stands last. `anew`:
    the whole effective history, where what stood before may have changed."""

    entry: Entry
    later: Collection[int] = ()
    anew: Sequence[Entry] | None = None


class Arriving:
    """The effective history of one person as entries, while events are added in order of recording."""

    def __init__(self) -> None:
        self._growing = Growing()
        self._standing: list[Entry] = []
        self._by_position: dict[int, Entry] = {}
        self._streams: dict[int, str] = {}

    @property
    def size(self) -> int:
        """How many events were added."""
        return len(self._by_position)

    def add(self, event: Recorded) -> Arrival:
        entry = self._by_position[event.position] = Entry(event, self._stream(event))
        place = self._growing.add(event)
        if place is None:
            self._standing = [self._entry(each) for each in self._growing.events]
            return Arrival(entry, anew=tuple(self._standing))
        standing = self._standing
        if place == len(standing):
            standing.append(entry)
            return Arrival(entry)
        later = {id(each) for each in standing[place:]}
        standing.insert(place, entry)
        return Arrival(entry, later)

    def _stream(self, event: Recorded) -> str:
        """A person has many events in few streams; putting a UUID into words costs as much as a small handler."""
        words = self._streams.get(event.stream_id.int)
        if words is None:
            words = self._streams[event.stream_id.int] = str(event.stream_id)
        return words

    def _entry(self, event: Recorded) -> Entry:
        """A corrected event differs from what was recorded at its position."""
        entry = self._by_position[event.position]
        return entry if entry.fact is event.fact else Entry(event, entry.stream)


class Unfolding:
    """The projections of one person, to which events are added in order of recording."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self.projections = tuple(projections)
        self.folds = [Fold(each) for each in projections]
        self._arriving = Arriving()
        self._heeding = heeding(self.projections)

    def add(self, event: Recorded) -> "list[Fold]":
        """The folds whose documents may have changed. What raises in a fold leaves all of this of no use."""
        arrival = self._arriving.add(event)
        if arrival.anew is not None:
            return self._annotated(arrival)
        moved: dict[Fold, None] = {}
        for fold_number, strand_number in self._heeding[type(arrival.entry.fact)]:
            fold = self.folds[fold_number]
            strand = fold.strands[strand_number]
            if strand.take(arrival):
                fold.outdate(strand)
                moved[fold] = None
        return list(moved)

    @property
    def size(self) -> int:
        """How many events were added."""
        return self._arriving.size

    def documents(self) -> dict[str, Document]:
        return {fold.projection.name: fold.document() for fold in self.folds}

    def _annotated(self, arrival: Arrival) -> "list[Fold]":
        """What stood before may have changed anywhere."""
        for fold in self.folds:
            for strand in fold.strands:
                if strand.take(arrival):
                    fold.outdate(strand)
        return list(self.folds)


class _Heeding(dict[type[Fact], list[tuple[int, int]]]):
    """By the class of a fact the numbers of the projections, and of their parts, that heed it."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        super().__init__()
        self._projections = projections

    def __missing__(self, fact: type[Fact]) -> list[tuple[int, int]]:
        found = self[fact] = [
            (place, number)
            for place, projection in enumerate(self._projections)
            for number, part in enumerate(projection.parts)
            if part.heeds(fact)
        ]
        return found


@lru_cache(_FEW)
def heeding(projections: tuple[Projection, ...]) -> _Heeding:
    """Made once for all people."""
    return _Heeding(projections)


class Fold:
    """One projection of one person."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.strands = [Strand(part, projection.input == "effective") for part in projection.parts]
        self._members = nothing_of(projection)
        self._renewed: set[Strand] = set()
        self._document = projection.document(self._members)

    def document(self) -> Document:
        if self._renewed:
            for strand in self._renewed:
                self._members.update(strand.members())
            self._renewed.clear()
            self._document = self.projection.document(self._members)
        return self._document

    def outdate(self, strand: "Strand") -> None:
        """What this strand makes may be other than it was."""
        self._renewed.add(strand)


class Strand:
    """One part with the events that it heeded, in their order, and (where some may come late) copies of its state
    from before, so that it need not fold anew from the start."""

    __slots__ = ("_copies", "_entries", "_is_of_standing", "_state", "part")

    def __init__(self, part: Part, is_of_standing: bool) -> None:
        self.part = part
        self._is_of_standing = is_of_standing
        self._entries: list[Entry] = []
        self._state: State | None = None
        self._copies: list[tuple[int, State]] = []

    def take(self, arrival: Arrival) -> bool:
        """Whether what this makes may have changed."""
        if arrival.anew is None or not self._is_of_standing:
            return self.part.heeds(type(arrival.entry.fact)) and self.insert(arrival)
        self._entries = [entry for entry in arrival.anew if self.part.heeds(type(entry.fact))]
        self._again(0)
        return True

    def insert(self, arrival: Arrival) -> bool:
        """Adds an entry that it heeds, before those that stand later."""
        entry, later, entries = arrival.entry, arrival.later, self._entries
        if not later or not self._is_of_standing:
            return self._apply(entry)
        place = len(entries)
        while place and id(entries[place - 1]) in later:
            place -= 1
        if place == len(entries):
            return self._apply(entry)
        entries.insert(place, entry)
        self._again(place)
        return True

    def members(self) -> Document:
        return nothing(self.part) if self._state is None else self.part.members(self._state)

    def _again(self, place: int) -> None:
        """Folds what stands at `place` and after it."""
        while self._copies and self._copies[-1][0] > place:
            self._copies.pop()
        start, state = self._copies[-1] if self._copies else (0, None)
        entries = self._entries
        self._entries = entries[:start]
        self._state = None if state is None else _copy(state)
        for entry in entries[start:]:
            self._apply(entry)

    def _apply(self, entry: Entry) -> bool:
        part, fact = self.part, entry.fact
        state = self._state
        if state is None:
            state = self._state = part.initial()
        handler = part.handlers.get(type(fact))
        changed = part.every is not None and part.every(state, fact, entry) is not False
        if handler is not None and handler(state, fact, entry) is not False:
            changed = True
        self._entries.append(entry)
        if self._is_of_standing and len(self._entries) % _COPIED_EVERY == 0:
            self._copies = [*self._copies[1 - _COPIES :], (len(self._entries), _copy(state))]
        return changed


def _copy(state: State) -> State:
    """What stands in a state's lists and dicts is never changed, only they are; a state is a dataclass of such."""
    copied = object.__new__(type(state))
    for name, value in vars(state).items():
        setattr(copied, name, value.copy() if isinstance(value, dict | list) else value)
    return copied
