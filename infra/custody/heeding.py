"""Heeding destructions: what a process holds of people whose key was destroyed is forgotten within seconds.

That nothing is written or read under such a key does not rest on this: a decision about them is stale, and their key
is no longer in the database. This is about the memory of running processes.
"""

import time

import psycopg
import structlog

from infra.keys import KeyRing
from infra.writing.holdings import Holdings
from infra.writing.log import Log

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 1.0


class Destructions:
    """Belongs to the writer's thread; `rings` may be those of other threads."""

    def __init__(self, store: Log, holdings: Holdings, keys: KeyRing) -> None:
        self._log = store
        self._holdings = holdings
        self.rings = [keys]
        self._through = 0
        self._next = 0.0

    def forget(self) -> None:
        """In a database that was restored, positions mean something else; to hear of a destruction twice is no harm."""
        self._through, self._next = 0, 0.0

    def heed(self) -> None:
        """Asks the database once a second at most. A database that is away is asked again later."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_SECONDS
        try:
            destroyed, ended = self._log.destroyed(self._through), self._log.ended_month_keys()
        except psycopg.Error as error:
            log.warning("destructions_not_read", error=type(error).__name__)
            return
        for position, patient_id, key_id in destroyed:
            self._holdings.evict(patient_id)
            for ring in self.rings:
                ring.evict(key_id)
            self._through = position
        for ring in self.rings:
            for key_id in ended:
                ring.evict(key_id)
