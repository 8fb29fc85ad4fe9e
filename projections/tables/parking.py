"""People whose fold failed: held back wherever they are served, until an operator has looked."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
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
    reason: str


class HoldingBack(Protocol):
    """What becomes of people whose fold fails."""

    def who(self, connection: Connection) -> set[UUID]: ...
    def park(self, connection: Connection, failures: Sequence[Failure]) -> None: ...
    def release(self, connection: Connection, persons: Collection[UUID]) -> None: ...


class Parking:
    """They are held back from everyone who reads."""

    def who(self, connection: Connection) -> set[UUID]:
        return who(connection)

    def park(self, connection: Connection, failures: Sequence[Failure]) -> None:
        park(connection, failures)

    def release(self, connection: Connection, persons: Collection[UUID]) -> None:
        release(connection, persons)


class Noting:
    """They are noted: nobody reads yet what is being folded."""

    def __init__(self) -> None:
        self.failures: dict[UUID, Failure] = {}

    def note(self, failure: Failure) -> None:
        self.failures[failure.person] = failure

    def who(self, _: Connection) -> set[UUID]:
        return set()

    def park(self, _: Connection, failures: Sequence[Failure]) -> None:
        for each in failures:
            self.note(each)

    def release(self, _: Connection, persons: Collection[UUID]) -> None:
        for person in persons:
            self.failures.pop(person, None)


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
