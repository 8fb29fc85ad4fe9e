"""The line that has stopped, as everyone may see while no runner runs: nothing is folded until someone has looked."""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg

HALTED = "select reason, halted_at from read.halts"


class Halt(NamedTuple):
    reason: str
    halted_at: datetime


def halt(connection: "psycopg.Connection[Any]", reason: str) -> None:
    """`reason` names positions and nothing else of the log."""
    connection.execute(
        """insert into read.halts (reason) values (%s)
           on conflict (one) do update set reason = excluded.reason, halted_at = clock_timestamp()""",
        [reason],
    )


def clear(connection: "psycopg.Connection[Any]") -> None:
    """A runner leads again; where the cause stands, it halts again."""
    connection.execute("delete from read.halts")


def halted(connection: "psycopg.Connection[Any]") -> Halt | None:
    row = connection.execute(HALTED).fetchone()
    return Halt(*row) if row else None
