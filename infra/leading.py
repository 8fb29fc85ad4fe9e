"""A process of which several may run and one leads, by a lock of its database session."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import structlog

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
Stopping = Callable[[], bool]
_IDLE_SECONDS = 1.0


class Leading(NamedTuple):
    """`lock`: the number of the advisory lock; `reconnects`: the name of the log's line when the connection is lost;
    `seconds` between two rounds."""

    lock: int
    reconnects: str
    seconds: float

    def run(self, connect: Callable[[], Connection], once: Callable[[Connection], None], stopping: Stopping) -> None:
        """A round after the other while this session leads, until `stopping`; a lost connection is made anew."""
        while not stopping():
            try:
                with connect() as connection:
                    self._rounds(connection, once, stopping)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                log.warning(self.reconnects, error=error)
                time.sleep(_IDLE_SECONDS)

    def _rounds(self, connection: Connection, once: Callable[[Connection], None], stopping: Stopping) -> None:
        while not is_leader(connection, self.lock):
            if stopping():
                return
            time.sleep(_IDLE_SECONDS)
        while not stopping():
            once(connection)
            _wait(self.seconds, stopping)


def is_leader(connection: Connection, lock: int) -> bool:
    """Whether this session leads, now that it has asked."""
    row = connection.execute("select pg_try_advisory_lock(%s)", [lock]).fetchone()
    return bool(row and row[0])


def _wait(seconds: float, stopping: Stopping) -> None:
    until = time.monotonic() + seconds
    while not stopping() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
