"""People whose fold failed: held back wherever they are served, until an operator has looked."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
PARKED = "select patient_id, since_position, reason, attempts, parked_at from read.parked order by since_position"
_PARK = """insert into read.parked (patient_id, since_position, reason)
           select * from unnest(%b::uuid[], %b::bigint[], %b::text[])
           on conflict (patient_id) do update
               set attempts = read.parked.attempts + 1, reason = excluded.reason"""


class Parked(NamedTuple):
    """`reason` is the class of the error: its text may quote the person."""

    patient_id: UUID
    since_position: int
    reason: str
    attempts: int
    parked_at: datetime


class Failure(NamedTuple):
    """`since` is the first position that is in no document of this person."""

    person: UUID
    since: int
    error: Exception

    @property
    def reason(self) -> str:
        return type(self.error).__name__


def parked(connection: Connection) -> list[Parked]:
    return [Parked(*row) for row in connection.execute(PARKED)]


def who(connection: Connection) -> set[UUID]:
    return {row[0] for row in connection.execute("select patient_id from read.parked", binary=True)}


def park(connection: Connection, failures: Sequence[Failure]) -> None:
    if not failures:
        return
    for each in failures:
        log.error("person_parked", position=each.since, error=each.reason)
    columns = [[each.person, each.since, each.reason] for each in failures]
    connection.execute(_PARK, [list(column) for column in zip(*columns, strict=True)])


def release(connection: Connection, persons: Collection[UUID]) -> None:
    if persons:
        connection.execute("delete from read.parked where patient_id = any(%b)", [list(persons)])
