"""The live engine: folds whoever the newest events touch, and moves the checkpoint in the same transaction.

A person whose fold fails is parked and shown as held back; others go on. A gap in the log stops the line.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog

from infra.keys import KeyRing
from projections import documents
from projections.documents import Stored, table_name
from projections.folding import Document, Projection, fold_all
from projections.histories import Batch, Held, Histories, Row
from projections.unfolding import Unfolding

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
_LEADER = 7305550313
_CHECKPOINTS = "select projection, position from read.checkpoints where projection = any(%s) for update"


class Advance(NamedTuple):
    """What one batch did; `behind` says whether the log holds more than was read."""

    through: int
    events: int
    persons: int
    parked: int


class Engine:
    """Not thread-safe. `connect` gives a fresh autocommit connection of role projector."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        keys: KeyRing,
        projections: Sequence[Projection],
        most: int = 500,
        limit_bytes: int = 128_000_000,
    ) -> None:
        self._connect = connect
        self._projections = {table_name(each): each for each in projections}
        self._histories = Histories(keys, limit_bytes)
        self._most = most
        self._connection: Connection | None = None

    def run(self, stopping: Callable[[], bool], advanced: Callable[[Advance], None]) -> None:
        """Until `stopping`; waits for its turn where another runner leads. Raises Gap: the operator must look."""
        while not stopping():
            try:
                self._lead(stopping, advanced)
            except psycopg.OperationalError as error:
                log.warning("projections_reconnect", error=type(error).__name__)
                self.close()
                time.sleep(0.5)

    def catch_up(self) -> int:
        """Folds everything there is, for tests and tools; returns the position reached."""
        connection = self._open()
        while self.step(connection).events:
            pass
        row = connection.execute("select min(position) from read.checkpoints").fetchone()
        return int(row[0]) if row else 0

    def step(self, connection: Connection) -> Advance:
        """One batch in one transaction, for the projections that are furthest behind. Raises Gap."""
        try:
            return self._step(connection)
        except documents.Missing:
            log.warning("documents_missing")  # someone has emptied a table under us
            self._histories.clear()
            return self._step(connection)

    def _step(self, connection: Connection) -> Advance:
        with connection.transaction():
            checkpoints = dict(connection.execute(_CHECKPOINTS, [list(self._projections)]).fetchall())
            after = min(checkpoints.values())
            lagging = [self._projections[name] for name, at in checkpoints.items() if at == after]
            ahead = [at - after for at in checkpoints.values() if at > after]
            batch = self._histories.batch(connection, after, min([self._most, *ahead]))
            if not batch.events:
                return Advance(after, 0, 0, 0)
            parked = self._fold(connection, batch, lagging)
            connection.execute(
                """update read.checkpoints set position = %s, advanced_at = clock_timestamp()
                    where projection = any(%s)""",
                [batch.through, [table_name(each) for each in lagging]],
            )
        self._histories.trim()
        return Advance(batch.through, batch.events, len(batch.rows), parked)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lead(self, stopping: Callable[[], bool], advanced: Callable[[Advance], None]) -> None:
        connection = self._open()
        while not stopping():
            row = connection.execute("select pg_try_advisory_lock(%s)", [_LEADER]).fetchone()
            if row and row[0]:
                break
            time.sleep(1)
        connection.execute("listen events")
        while not stopping():
            advance = self.step(connection)
            if advance.events:
                advanced(advance)
            else:
                _wait_for_news(connection)

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            documents.create(self._connection, list(self._projections.values()))
        return self._connection

    def _fold(self, connection: Connection, batch: Batch, projections: Sequence[Projection]) -> int:
        undecoded = self._histories.load(connection, batch)
        parked = {row[0] for row in connection.execute("select patient_id from read.parked")}
        stored: dict[str, list[Stored]] = {table_name(each): [] for each in projections}
        failed = 0
        for patient, rows in undecoded.items():
            if patient in parked:
                self._histories.forget(patient)
                continue
            try:
                folded = self._documents(patient, rows, projections)
            except Exception as error:  # noqa: BLE001 one person's failure must not stop the others
                failed += 1
                self._park(connection, patient, rows[0][0], error)
                continue
            for name, document in folded.items():
                stored[name].append(document)
        for each in projections:
            documents.upsert(connection, each, stored[table_name(each)])
        return failed

    def _documents(self, patient: UUID, rows: list[Row], projections: Sequence[Projection]) -> dict[str, Stored]:
        held = self._histories.history(patient, rows)
        folded, unchanged = self._folded(held, len(rows), projections)
        self._histories.weigh(patient)
        key, last = self._histories.key(patient), held.events[-1].position
        return {
            table_name(each): documents.still(patient, last, key)
            if each.name in unchanged
            else documents.sealed(each, patient, last, key, folded[each.name])
            for each in projections
        }

    def _folded(
        self, held: Held, new: int, projections: Sequence[Projection]
    ) -> tuple[dict[str, Document], frozenset[str]]:
        """Documents by name, and the names of those that are as they were stored before.

        Whoever comes for the first time is folded once; the folds of whoever comes again are kept, and grow by the
        new events alone.
        """
        if new == len(held.events) or len(projections) < len(self._projections):
            held.unfolding = None
            return fold_all(projections, held.events), frozenset()
        unfolding = held.unfolding
        if unfolding is None or unfolding.size + new != len(held.events):
            unfolding, unchanged = Unfolding(projections), frozenset[str]()
        else:
            unchanged = frozenset(each.name for each in projections)
        for event in held.events[unfolding.size :]:
            unchanged = unchanged.difference(fold.projection.name for fold in unfolding.add(event))
        held.unfolding = unfolding
        return unfolding.documents(), unchanged

    def _park(self, connection: Connection, patient: UUID, position: int, error: Exception) -> None:
        """The reason is the error's class: its text may quote the person."""
        self._histories.forget(patient)
        log.error("person_parked", position=position, error=type(error).__name__)
        connection.execute(
            """insert into read.parked (patient_id, since_position, reason) values (%s, %s, %s)
               on conflict (patient_id) do update set attempts = read.parked.attempts + 1""",
            [patient, position, type(error).__name__],
        )


def _wait_for_news(connection: Connection) -> None:
    """Until the log grows; a second at most, in case a notification was lost."""
    for _ in connection.notifies(timeout=1.0, stop_after=1):
        return
