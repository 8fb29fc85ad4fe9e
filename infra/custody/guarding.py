"""A look at the database behind each new connection of a process that runs: is it the one it was, and if not, may it be
served from?

A restore exchanges the database under running processes, whose connections end and are opened anew. What comes back
may hold keys that were destroyed: then the connection is refused, as if the database were away, until the ledger was
applied.
"""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
import structlog

from infra.custody.agreement import CARRIED_OUT, CarriedOut, Unapplied, left_to_apply
from infra.custody.ledger import Ledger, LedgerBroken

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
# No database is exchanged without its server, or itself, being made anew; any role may ask.
_IDENTITY = """select extract(epoch from pg_postmaster_start_time())::text,
                      (select oid from pg_database where datname = current_database())"""


class NotServed(psycopg.OperationalError):
    """The database behind a new connection is not one to be served from: it is treated as one that is away."""


class Identity(NamedTuple):
    """When its server started, to the microsecond, and which of that server's databases it is."""

    started: str
    database: int


class Guard:
    """Of one process, for all its connections; may be used by several threads. `ledger` is read only where the database
    is not the one that was looked at last."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: Identity | None = None

    def opened(self, connect: Callable[[], Connection]) -> Connection:
        """A connection from `connect`, in autocommit. Raises NotServed and what `connect` raises."""
        connection = connect()
        try:
            self.look(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def look(self, connection: Connection) -> None:
        """`connection` in autocommit. Raises NotServed, psycopg.Error."""
        row = connection.execute(_IDENTITY).fetchone()
        if row is not None and (identity := Identity(*row)) != self._known:
            self._accept(identity, connection.execute(CARRIED_OUT).fetchall())

    async def look_async(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        """The same."""
        row = await (await connection.execute(_IDENTITY)).fetchone()
        if row is not None and (identity := Identity(*row)) != self._known:
            known = await (await connection.execute(CARRIED_OUT)).fetchall()
            await asyncio.to_thread(self._accept, identity, known)

    def _accept(self, identity: Identity, known: list[CarriedOut]) -> None:
        try:
            left = left_to_apply(known, self._ledger)
        except (LedgerBroken, OSError) as broken:
            log.critical("database_refused", reason="ledger-broken")
            raise NotServed(str(broken)) from broken
        if left:
            log.critical("database_refused", reason="unapplied", count=len(left))
            raise NotServed(str(Unapplied.of(len(left))))
        if self._known not in (None, identity):  # another thread may have met the same one meanwhile
            log.warning("database_exchanged")
        self._known = identity
