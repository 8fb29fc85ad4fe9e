"""Brings tables of documents forward along the log: whoever a batch touches is folded as known at its last position.

A person whose fold fails is parked and shown as held back; others go on.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from infra.keys import KeyRing
from infra.payloads import Row
from projections.folds.folding import PEOPLE_TOGETHER, Document, Projection, fold_all, fold_each
from projections.folds.unfolding import Unfolding
from projections.keeping.histories import SEQ, Batch, Held, Histories, KeyGone
from projections.keeping.persons import Following, Gathered
from projections.tables import documents
from projections.tables.documents import Stored
from projections.tables.generations import Kept
from projections.tables.parking import Failure, HoldingBack, Parking

Connection = psycopg.Connection[Any]
Projections = tuple[Projection, ...]
_PORTION = 50


class Advance(NamedTuple):
    """What one batch did; no events: there was nothing after the checkpoint."""

    through: int
    events: int
    persons: int
    parked: int


class Keeper:
    """Not thread-safe. Holds decoded histories and the folds of people who come again, bounded in bytes."""

    def __init__(self, keys: KeyRing, limit_bytes: int = 128_000_000, holding_back: HoldingBack | None = None) -> None:
        self._histories = Histories(keys, limit_bytes)
        self._digest = keys.digest
        self._following = Following()
        self._holding_back = holding_back or Parking()

    def advance(self, connection: Connection, tables: Sequence[Kept], after: int, most: int) -> Advance:
        """Folds at most `most` events after position `after` into tables that all stand there, in the caller's
        transaction. Raises Gap, and documents.Missing: `forget`, and begin again in a new transaction."""
        batch = self._histories.batch(connection, after, most)
        if not batch.events:
            return Advance(after, 0, 0, 0)
        people = self._following.gather(connection, batch.rows, after, batch.through)
        parked = self._holding_back.who(connection) - people.changed
        turn = _Turn(tuple({each.projection.name: each.projection for each in tables}.values()))
        self._fold_alone(connection, turn, people, batch, parked)
        self._fold_joined(connection, turn, people, batch, parked)
        turn.write(connection, tables, people.retired)
        self._holding_back.release(connection, people.changed | people.retired | turn.gone)
        self._holding_back.park(connection, turn.failures)
        self._histories.trim()
        return Advance(batch.through, batch.events, len(batch.rows), len(turn.failures))

    def forget(self) -> None:
        """Everything held, since what is stored is not what was believed."""
        self._histories.clear()
        self._following = Following()

    def _fold_alone(
        self, connection: Connection, turn: "_Turn", people: Gathered, batch: Batch, parked: set[UUID]
    ) -> None:
        """A portion of the people at a time: whole histories of all of a batch would take more memory than what is
        kept may."""
        mine = iter([each for each in people.alone if each not in parked])
        while some := list(islice(mine, _PORTION)):
            self._fold_portion(connection, turn, batch._replace(rows={each: batch.rows[each] for each in some}))
            self._histories.trim()

    def _fold_portion(self, connection: Connection, turn: "_Turn", batch: Batch) -> None:
        told = self._histories.load(connection, batch)
        whole = iter([patient for patient, rows in told.items() if rows[0][SEQ] == 1])
        while some := list(islice(whole, PEOPLE_TOGETHER)):
            if self._fold_together(turn, {each: told[each] for each in some}):
                for each in some:
                    del told[each]
        for patient, rows in told.items():
            try:
                turn.folded.append(self._documents(patient, rows, turn.projections))
            except KeyGone:
                turn.gone.add(patient)
            except Exception as error:  # noqa: BLE001 one person's failure must not stop the others
                self._histories.forget(patient)
                turn.failures.append(Failure(patient, batch.rows[patient][0][0], type(error).__name__))

    def _fold_together(self, turn: "_Turn", told: Mapping[UUID, list[Row]]) -> bool:
        """Of people whose whole histories these rows are. False where somebody's fold failed: who that is shows when
        each is folded alone."""
        try:
            histories = [self._histories.history(patient, rows) for patient, rows in told.items()]
            folded = fold_each(turn.projections, [each.events for each in histories])
            made = [
                self._sealed(patient, held, each, turn.projections, frozenset())
                for patient, held, each in zip(told, histories, folded, strict=True)
            ]
        except Exception:  # noqa: BLE001 one person's failure must not stop the others
            for patient in told:
                self._histories.forget(patient)
            return False
        turn.folded += made
        return True

    def _fold_joined(
        self, connection: Connection, turn: "_Turn", people: Gathered, batch: Batch, parked: set[UUID]
    ) -> None:
        """People of several records are read anew each time: they are few."""
        for person, members in people.joined.items():
            if person in parked:
                continue
            rows = self._histories.whole(connection, list(members), batch.through)
            try:
                events = self._histories.decoded(rows)
                key = self._histories.key(person)
                turn.folded.append(documents.refolded(turn.projections, person, key, events, self._digest))
            except KeyGone:
                turn.gone.add(person)
            except Exception as error:  # noqa: BLE001 as above
                since = min((batch.rows[each][0][0] for each in members if each in batch.rows), default=batch.through)
                turn.failures.append(Failure(person, since, type(error).__name__))

    def _documents(self, patient: UUID, rows: list[Row], projections: Projections) -> dict[str, Stored]:
        held = self._histories.history(patient, rows)
        folded, unchanged = self._folded(held, len(rows), projections)
        return self._sealed(patient, held, folded, projections, unchanged)

    def _sealed(
        self,
        patient: UUID,
        held: Held,
        folded: Mapping[str, Document],
        projections: Projections,
        unchanged: frozenset[str],
    ) -> dict[str, Stored]:
        self._histories.weigh(patient)
        key, last = self._histories.key(patient), held.events[-1].position
        return {
            each.name: documents.still(patient, last, key)
            if each.name in unchanged
            else documents.sealed(each, patient, last, key, folded[each.name], self._digest)
            for each in projections
        }

    def _folded(self, held: Held, new: int, projections: Projections) -> tuple[dict[str, Document], frozenset[str]]:
        """Documents by name, and the names of those that are as they were stored before.

        Whoever comes for the first time is folded once; the folds of whoever comes again are kept, and grow by the
        new events alone.
        """
        unfolding = held.unfolding
        if new == len(held.events):
            held.unfolding = None
            return fold_all(projections, held.events), frozenset()
        if unfolding is None or unfolding.size + new != len(held.events) or unfolding.projections != projections:
            unfolding, unchanged = Unfolding(projections), frozenset[str]()
        else:
            unchanged = frozenset(each.name for each in projections)
        for event in held.events[unfolding.size :]:
            unchanged = unchanged.difference(fold.projection.name for fold in unfolding.add(event))
        held.unfolding = unfolding
        return unfolding.documents(), unchanged


class _Turn:
    """What one batch comes to."""

    def __init__(self, projections: Projections) -> None:
        self.projections = projections
        self.folded: list[dict[str, Stored]] = []
        self.failures: list[Failure] = []
        # Whose key was destroyed.
        self.gone: set[UUID] = set()

    def write(self, connection: Connection, tables: Sequence[Kept], retired: frozenset[UUID]) -> None:
        for each in tables:
            documents.delete(connection, each.table, retired | self.gone)
            documents.upsert(connection, each.table, [one[each.projection.name] for one in self.folded])
