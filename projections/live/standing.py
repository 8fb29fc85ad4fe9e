"""How the read side stands: what is served of each projection, how fresh it is, who leads, and what is being built."""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from projections.live.engine import LEADING
from projections.tables.generations import SIGNALS

Connection = psycopg.Connection[Any]
# Seconds: how long the oldest event that is not folded has waited.
_STATUS = """
    select g.projection, g.table_name, g.version, c.position, head.position - c.position,
           coalesce(extract(epoch from clock_timestamp() - waiting.recorded_at), 0)::float8,
           c.advanced_at, leader.application_name
      from read.generations g
      join read.checkpoints c on c.projection = g.table_name
      cross join (select coalesce(max(position), 0) as position from log.events) head
      left join log.events waiting on waiting.position = c.position + 1
      left join lateral (
        select a.application_name from pg_locks l join pg_stat_activity a using (pid)
         where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid = %(leading)s::integer::oid
           and l.database = (select oid from pg_database where datname = current_database())
           and l.objid = hashtext(g.projection || '_v' || g.version)::oid
      ) leader on true
     where g.state = 'serving'
     order by g.projection"""
_OTHERS = """select g.table_name, g.projection, g.version, g.state, c.position, g.events, g.folded, g.began_at,
                    extract(epoch from clock_timestamp() - g.began_at)::float8
               from read.generations g left join read.checkpoints c on c.projection = g.table_name
              where g.state <> 'serving' order by g.number"""


class Status(NamedTuple):
    """`behind` events of the log stand after the checkpoint, the oldest of them for `seconds`; `leader` is the runner
    that keeps it, None where nobody does."""

    projection: str
    table: str
    version: int
    position: int
    behind: int
    seconds: float
    advanced_at: datetime
    leader: str | None


class Other(NamedTuple):
    """A table that is not served: kept as the way back, or being built: `folded` of `events`, since `seconds`."""

    table: str
    projection: str
    version: int
    state: str
    position: int | None
    events: int
    folded: int
    began_at: datetime
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """As fast as so far; None where nothing is known yet."""
        return self.seconds * (self.events - self.folded) / self.folded if self.folded else None


def served(connection: Connection) -> list[Status]:
    return [Status(*row) for row in connection.execute(_STATUS, {"leading": LEADING})]


def others(connection: Connection) -> list[Other]:
    return [Other(*row) for row in connection.execute(_OTHERS)]


def signals(connection: Connection) -> int | None:
    """How far other systems have been told."""
    row = connection.execute("select position from read.checkpoints where projection = %s", [SIGNALS]).fetchone()
    return row[0] if row else None
