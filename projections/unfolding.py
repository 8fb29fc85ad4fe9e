"""The same folds, one event after the other, doing only what each event touches.

Most events stand at the end of the effective history and concern few projections. One that stands earlier folds
anew, from a copy of the state before it, those projections that heed it; an annotation folds all anew. Whatever
arrives, the documents are those of `fold_all`.
"""

from collections.abc import Iterable, Sequence
from copy import copy

from domain.facts import Recorded
from domain.history import Growing
from projections.differences import Change, between
from projections.folding import Document, Entry, Projection, State

# Facts between two copies of a state, and how many copies are kept.
_COPIED_EVERY = 16
_COPIES = 5


def changes(projections: Sequence[Projection], recorded: Iterable[Recorded]) -> list[list[Change]]:
    """What each event changed in all documents; `recorded` is everything of one person in order of recording."""
    unfolding = Unfolding(projections)
    found: list[list[Change]] = []
    before: dict[str, Document] = {}
    for event in recorded:
        moved = unfolding.add(event)
        named = moved if before else unfolding.folds
        found.append([change for fold in named for change in fold.changes(before.get(fold.projection.name))])
        before.update((fold.projection.name, fold.document()) for fold in named)
    return found


class Unfolding:
    """The projections of one person, to which events are added in order of recording."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self.projections = tuple(projections)
        self.folds = [Fold(each) for each in projections]
        self._growing = Growing()
        self._standing: list[Entry] = []
        self._by_position: dict[int, Entry] = {}
        self._streams: dict[int, str] = {}

    def add(self, event: Recorded) -> "list[Fold]":
        """The folds whose documents may have changed. What raises in a fold leaves all of this of no use."""
        entry = self._by_position[event.position] = Entry(event, self._stream(event))
        place = self._growing.add(event)
        if place is None:
            self._standing = [self._entry(each) for each in self._growing.events]
        else:
            self._standing.insert(place, entry)
        return [fold for fold in self.folds if self._moves(fold, entry, place)]

    @property
    def size(self) -> int:
        """How many events were added."""
        return len(self._by_position)

    def documents(self) -> dict[str, Document]:
        return {fold.projection.name: fold.document() for fold in self.folds}

    def _stream(self, event: Recorded) -> str:
        """A person has many events in few streams; putting a UUID into words costs as much as a small handler."""
        words = self._streams.get(event.stream_id.int)
        if words is None:
            words = self._streams[event.stream_id.int] = str(event.stream_id)
        return words

    def _moves(self, fold: "Fold", entry: Entry, place: int | None) -> bool:
        if fold.projection.input == "recorded" or place == len(self._standing) - 1:
            return fold.apply(entry)
        if place is None or fold.heeds(entry):
            fold.anew(self._standing, place or 0)
            return True
        fold.shift(place)
        return False

    def _entry(self, event: Recorded) -> Entry:
        """A corrected event differs from what was recorded at its position."""
        entry = self._by_position[event.position]
        return entry if entry.fact is event.fact else Entry(event, entry.stream)


class Fold:
    """One projection's state, and copies of it from before, so that a late event need not fold anew from the start."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self._document: Document | None = None
        self._state = projection.initial()
        self._applied = 0
        self._copies: list[tuple[int, State]] = []

    def heeds(self, entry: Entry) -> bool:
        return self.projection.every is not None or type(entry.fact) in self.projection.handlers

    def apply(self, entry: Entry) -> bool:
        """Adds an entry at the end; whether the document may have changed."""
        every, handler = self.projection.every, self.projection.handlers.get(type(entry.fact))
        changed = every is not None and every(self._state, entry.fact, entry)
        if handler is not None:
            handler(self._state, entry.fact, entry)
            changed = True
        if changed:
            self._document = None
        self._applied += 1
        if self._applied % _COPIED_EVERY == 0:
            self._copies = [*self._copies[1 - _COPIES :], (self._applied, _copy(self._state))]
        return changed

    def anew(self, entries: Sequence[Entry], place: int) -> None:
        """Folds all entries, those before `place` being the ones that were folded before."""
        self._forget(place)
        self._applied, state = self._copies[-1] if self._copies else (0, self.projection.initial())
        self._state = _copy(state)
        self._document = None
        for entry in entries[self._applied :]:
            self.apply(entry)

    def shift(self, place: int) -> None:
        """An entry that this fold does not heed now stands at `place`."""
        self._forget(place)
        self._applied += 1

    def document(self) -> Document:
        if self._document is None:
            self._document = self.projection.document(self._state)
        return self._document

    def changes(self, before: Document | None) -> list[Change]:
        return between(f"/{self.projection.name}", before, self.document())

    def _forget(self, place: int) -> None:
        while self._copies and self._copies[-1][0] > place:
            self._copies.pop()


def _copy(state: State) -> State:
    """What stands in a state's lists and dicts is never changed, only they are; a state is a dataclass of such."""
    copied = copy(state)
    for name, value in vars(state).items():
        if isinstance(value, dict | list):
            setattr(copied, name, value.copy())
    return copied
