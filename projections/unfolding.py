"""How documents came about: the same folds, one event after the other, doing only what each event touches.

Most events stand at the end of the effective history and concern few projections. One that stands earlier folds
anew those that heed it, and an annotation folds all anew.
"""

from collections.abc import Sequence
from copy import copy

from domain.facts import Recorded
from domain.history import Growing
from projections.differences import Change, between
from projections.folding import Document, Entry, Projection, State, entries_of

# Facts between two copies of a state.
_KEPT_EVERY = 16


def changes(projections: Sequence[Projection], recorded: Sequence[Recorded]) -> list[list[Change]]:
    """What each event changed in all documents; `recorded` is everything of one person in order of recording."""
    unfolding = _Unfolding(projections)
    return [unfolding.add(entry) for entry in entries_of(recorded)]


class _Unfolding:
    def __init__(self, projections: Sequence[Projection]) -> None:
        self._growing = Growing()
        self._standing: list[Entry] = []
        self._by_position: dict[int, Entry] = {}
        self._folds = [_Fold(each) for each in projections]

    def add(self, entry: Entry) -> list[Change]:
        self._by_position[entry.event.position] = entry
        place = self._growing.add(entry.event)
        if place is None:
            self._standing = [self._entry(event) for event in self._growing.events]
        else:
            self._standing.insert(place, entry)
        found: list[Change] = []
        for fold in self._folds:
            if self._moved(fold, entry, place) or len(self._by_position) == 1:
                found.extend(fold.changes())
        return found

    def _moved(self, fold: "_Fold", entry: Entry, place: int | None) -> bool:
        """Brings one fold up to date; whether its document may have changed."""
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


class _Fold:
    """One projection's state, and copies of it from before, so that a late event need not fold anew from the start."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self._document: Document | None = None
        self._state = projection.initial()
        self._applied = 0
        self._earlier = [(0, _copy(self._state))]

    def heeds(self, entry: Entry) -> bool:
        return self.projection.every is not None or type(entry.fact) in self.projection.handlers

    def apply(self, entry: Entry) -> bool:
        every, handler = self.projection.every, self.projection.handlers.get(type(entry.fact))
        changed = every is not None and every(self._state, entry.fact, entry)
        if handler is not None:
            handler(self._state, entry.fact, entry)
        self._applied += 1
        if self._applied % _KEPT_EVERY == 0:
            self._earlier.append((self._applied, _copy(self._state)))
        return changed or handler is not None

    def anew(self, entries: Sequence[Entry], place: int) -> None:
        """Folds all entries, those before `place` being those that were folded before."""
        self._forget(place)
        self._applied, state = self._earlier[-1]
        self._state = _copy(state)
        for entry in entries[self._applied :]:
            self.apply(entry)

    def shift(self, place: int) -> None:
        """An entry that this fold does not heed now stands at `place`."""
        self._forget(place)
        self._applied += 1

    def changes(self) -> list[Change]:
        before, self._document = self._document, self.projection.document(self._state)
        return between(f"/{self.projection.name}", before, self._document)

    def _forget(self, place: int) -> None:
        while self._earlier[-1][0] > place:
            self._earlier.pop()


def _copy(state: State) -> State:
    """What stands in a state's lists and dicts is never changed, only they are; a state is a dataclass of such."""
    copied = copy(state)
    for name, value in vars(state).items():
        if isinstance(value, dict | list):
            setattr(copied, name, value.copy())
    return copied
