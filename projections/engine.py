"""The live engine: keeps documents at the end of the log, moving the checkpoint in the same transaction.

A gap in the log stops the line.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog

from infra.keys import KeyRing
from projections import documents
from projections.documents import table_name
from projections.folding import Projection
from projections.keeper import Advance, Keeper, Kept

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
_LEADER = 7305550313
_CHECKPOINTS = "select projection, position from read.checkpoints where projection = any(%s) for update"


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
        self._keeper = Keeper(keys, limit_bytes)
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
            self._keeper.forget()
            return self._step(connection)

    def _step(self, connection: Connection) -> Advance:
        with connection.transaction():
            checkpoints = dict(connection.execute(_CHECKPOINTS, [list(self._projections)]).fetchall())
            after = min(checkpoints.values())
            lagging = [Kept(name, self._projections[name]) for name, at in checkpoints.items() if at == after]
            ahead = [at - after for at in checkpoints.values() if at > after]
            advance = self._keeper.advance(connection, lagging, after, min([self._most, *ahead]))
            if advance.events:
                connection.execute(
                    """update read.checkpoints set position = %s, advanced_at = clock_timestamp()
                        where projection = any(%s)""",
                    [advance.through, [each.table for each in lagging]],
                )
        return advance

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


def _wait_for_news(connection: Connection) -> None:
    """Until the log grows; a second at most, in case a notification was lost."""
    for _ in connection.notifies(timeout=1.0, stop_after=1):
        return
