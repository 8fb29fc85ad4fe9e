"""What an operator does with read models: look how they stand, retry the parked, verify, build anew."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from infra.keys import KeyRing
from projections import documents
from projections.documents import table, table_name
from projections.folding import Projection, fold_all
from projections.histories import Histories

Connection = psycopg.Connection[Any]
PARKED = "select patient_id, since_position, reason, attempts, parked_at from read.parked order by since_position"
_PERSONS_AT_ONCE = 200


class Status(NamedTuple):
    """`behind` counts events of the log after the checkpoint; `advanced_at` is when the checkpoint last moved."""

    projection: str
    position: int
    behind: int
    advanced_at: datetime
    documents: int


class Parked(NamedTuple):
    patient_id: UUID
    since_position: int
    reason: str
    attempts: int
    parked_at: datetime


class Difference(NamedTuple):
    """A stored document that is not what a refold gives. `how`: missing, other or unreadable."""

    patient_id: UUID
    how: str


def status(connection: Connection) -> list[Status]:
    rows = connection.execute(
        """select projection, position, (select coalesce(max(position), 0) from log.events) - position, advanced_at
             from read.checkpoints order by projection"""
    ).fetchall()
    return [
        Status(name, position, behind, advanced_at, _count(connection, name))
        for name, position, behind, advanced_at in rows
    ]


def parked(connection: Connection) -> list[Parked]:
    return [Parked(*row) for row in connection.execute(PARKED)]


def retry(connection: Connection, keys: KeyRing, projections: Sequence[Projection], patient_id: UUID) -> None:
    """Folds a parked person again as known at the checkpoints; raises what the fold raises, and they stay parked."""
    with connection.transaction():
        checkpoints = _checkpoints(connection, projections)
        for each in projections:
            through = checkpoints[table_name(each)]
            folded = dict(_refold(connection, keys, [each], [patient_id], through))
            documents.upsert(connection, each, [folded[patient_id][each.name]])
        connection.execute("delete from read.parked where patient_id = %s", [patient_id])


def verify(
    connection: Connection, keys: KeyRing, projection: Projection, progress: Callable[[int, int], None]
) -> list[Difference]:
    """Compares every stored document with a refold as known at the checkpoint; calls progress(done, of all)."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        through = _checkpoints(connection, [projection])[table_name(projection)]
        persons = _persons(connection, through)
        held_back = {each.patient_id for each in parked(connection)}
        found: list[Difference] = []
        for start in range(0, len(persons), _PERSONS_AT_ONCE):
            some = [each for each in persons[start : start + _PERSONS_AT_ONCE] if each not in held_back]
            found += _differences(connection, keys, projection, some, through)
            progress(min(start + _PERSONS_AT_ONCE, len(persons)), len(persons))
    return found


def rebuild(connection: Connection, projection: Projection) -> None:
    """Empties one projection in one transaction; the running engine fills it again from position 0. Until it has
    caught up, answers say how far behind they are."""
    with connection.transaction():
        _checkpoints(connection, [projection])
        connection.execute(sql.SQL("truncate {}").format(table(projection)))
        connection.execute(
            "update read.checkpoints set position = 0, advanced_at = clock_timestamp() where projection = %s",
            [table_name(projection)],
        )


def _differences(
    connection: Connection, keys: KeyRing, projection: Projection, persons: list[UUID], through: int
) -> Iterator[Difference]:
    query = sql.SQL("select patient_id, body from {} where patient_id = any(%b)").format(table(projection))
    stored = dict(connection.execute(query, [persons], binary=True).fetchall())
    for patient_id, folded in _refold(connection, keys, [projection], persons, through):
        expected = folded[projection.name]
        body = stored.get(patient_id)
        if body is None:
            yield Difference(patient_id, "missing")
        elif not _says_the_same(projection, keys, patient_id, expected, body):
            yield Difference(patient_id, "other")


def _says_the_same(
    projection: Projection, keys: KeyRing, patient_id: UUID, expected: documents.Stored, body: bytes
) -> bool:
    key = keys.held(expected.key_id)
    if key is None:
        return False
    return documents.opened(projection, patient_id, key, expected.body) == documents.opened(
        projection, patient_id, key, body
    )


def _refold(
    connection: Connection, keys: KeyRing, projections: Sequence[Projection], persons: list[UUID], through: int
) -> Iterator[tuple[UUID, dict[str, documents.Stored]]]:
    histories = Histories(keys)
    for patient_id, rows in histories.whole(connection, persons, through).items():
        history = histories.history(patient_id, rows).events
        folded = fold_all(projections, history)
        key, last = histories.key(patient_id), history[-1].position
        yield (
            patient_id,
            {each.name: documents.sealed(each, patient_id, last, key, folded[each.name]) for each in projections},
        )


def _checkpoints(connection: Connection, projections: Sequence[Projection]) -> dict[str, int]:
    names = [table_name(each) for each in projections]
    rows = connection.execute(
        "select projection, position from read.checkpoints where projection = any(%s) for update", [names]
    )
    return dict(rows.fetchall())


def _persons(connection: Connection, through: int) -> list[UUID]:
    rows = connection.execute(
        "select distinct patient_id from log.events where position <= %b and patient_id is not null order by 1",
        [through],
        binary=True,
    )
    return [row[0] for row in rows]


def _count(connection: Connection, name: str) -> int:
    row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier("read", name))).fetchone()
    return int(row[0]) if row else 0
