"""The live engine: keeps documents at the end of the log, moving the checkpoints in the same transaction.

Several runners may run. Each projection has one leader, by a lock of its session; a leader that dies, or that the
database has not heard of for some seconds, loses it to another. A gap in the log stops the line.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from infra.keys import KeyRing
from infra.writing.log import may_pass
from projections.folds.folding import Projection
from projections.keeping.histories import Gap
from projections.keeping.keeper import Advance, Keeper
from projections.rebuild.rebuilding import clear_abandoned
from projections.tables import documents, generations, halting
from projections.tables.generations import Standing

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
LEADING = 73054
_PAUSE_SECONDS = 0.5
_LEAD = "select n.name from unnest(%b::text[]) as n(name) where pg_try_advisory_lock(%b, hashtext(n.name))"
# The server ends a session that says nothing for so long, whether its process has stopped or its host is gone; a
# leader speaks at least once a second, and within a batch whenever a person's history is read or written.
_SESSION = {
    "idle_session_timeout": "6s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "6s",
}
_NOTHING = Advance(0, 0, 0, 0)


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
        self._projections = {lead_name(each): each for each in projections}
        self._led: dict[str, Projection] = {}
        self._keeper = Keeper(keys, limit_bytes)
        self._most = most
        self._lowest_first = True
        self._connection: Connection | None = None

    @property
    def led(self) -> list[str]:
        """Names and versions of the projections that this runner leads."""
        return list(self._led)

    def run(self, stopping: Callable[[], bool], advanced: Callable[[Advance], None]) -> None:
        """Until `stopping`; waits for its turn where others lead. Raises Gap: the operator must look."""
        while not stopping():
            try:
                self._lead(stopping, advanced)
            except psycopg.Error as error:
                if not may_pass(error):
                    raise
                log.warning("projections_reconnect", error=type(error).__name__)
                self.close()
                time.sleep(_PAUSE_SECONDS)

    def catch_up(self) -> int:
        """Folds everything there is, for tests and tools; returns the position reached."""
        connection = self._open()
        projections = list(self._projections.values())
        reached = 0
        while (advance := self.step(connection, projections)).events:
            reached = advance.through
        with connection.transaction():
            return min((each.position for each in generations.locked(connection, projections)), default=reached)

    def step(self, connection: Connection, projections: Sequence[Projection]) -> Advance:
        """One batch in one transaction. Raises Gap."""
        try:
            return self._step(connection, projections)
        except documents.Missing:
            log.warning("documents_missing")  # someone has emptied a table under us
            self._keeper.forget()
            return self._step(connection, projections)

    def _step(self, connection: Connection, projections: Sequence[Projection]) -> Advance:
        with connection.transaction():
            for tables, most in self._in_turn(generations.locked(connection, projections)):
                kept = [each.kept for each in tables]
                advance = self._keeper.advance(connection, kept, tables[0].position, min(most, self._most))
                if advance.events:
                    generations.move(connection, kept, advance.through)
                    return advance
        return _NOTHING

    def _in_turn(self, standing: list[Standing]) -> Iterator[tuple[list[Standing], int]]:
        """Tables of one position, and how many events they may take before they meet the next. Where some lag, they
        take turns with those in front, so that catching up makes nobody else stale."""
        positions = sorted({each.position for each in standing})
        room = {at: following - at for at, following in pairwise(positions)}
        self._lowest_first = not self._lowest_first
        for at in positions if self._lowest_first else reversed(positions):
            yield [each for each in standing if each.position == at], room.get(at, self._most)

    def close(self) -> None:
        """What was held is forgotten with the connection: the next one may lead to a log that was restored."""
        self._led.clear()
        self._keeper.forget()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lead(self, stopping: Callable[[], bool], advanced: Callable[[Advance], None]) -> None:
        connection = self._open()
        connection.execute(
            "select set_config(name, value, false) from jsonb_each_text(%s) as s(name, value)", [_session()]
        )
        tried = 0.0
        while not stopping():
            if len(self._led) < len(self._projections) and time.monotonic() - tried > _PAUSE_SECONDS:
                self._take_the_lead(connection)
                tried = time.monotonic()
            if not self._led:
                time.sleep(_PAUSE_SECONDS)
                continue
            advance = self._stepped(connection)
            if advance.events:
                advanced(advance)
            else:
                _wait_for_news(connection)

    def _stepped(self, connection: Connection) -> Advance:
        try:
            return self.step(connection, list(self._led.values()))
        except Gap as gap:
            halting.halt(connection, str(gap))
            raise

    def _take_the_lead(self, connection: Connection) -> None:
        wanted = [name for name in self._projections if name not in self._led]
        taken = [row[0] for row in connection.execute(_LEAD, [wanted, LEADING])]
        if not taken:
            return
        self._led.update((name, self._projections[name]) for name in taken)
        connection.execute("listen events")
        clear_abandoned(connection, [self._projections[name].name for name in taken])
        halting.clear(connection)
        log.info("projections_led", projections=len(self._led))

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._led.clear()
            self._connection = self._connect()
            projections = list(self._projections.values())
            generations.ensure(self._connection, projections)
            for name in generations.awaiting(self._connection, projections):
                log.warning("projection_awaits_rebuild", projection=name)
        return self._connection


def lead_name(projection: Projection) -> str:
    return f"{projection.name}_v{projection.version}"


def _session() -> Jsonb:
    return Jsonb({**_SESSION, "application_name": f"projections {socket.gethostname()} {os.getpid()}"})


def _wait_for_news(connection: Connection) -> None:
    """Until the log grows; a second at most, in case a notification was lost."""
    for _ in connection.notifies(timeout=1.0, stop_after=1):
        return
