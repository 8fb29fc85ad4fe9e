"""What an operator does with read models: look how they stand, retry the parked, verify, build anew."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from infra.keys import KeyRing
from projections import documents, parking
from projections.documents import Stored, table, table_name
from projections.folding import Projection
from projections.refolding import Refolding

Connection = psycopg.Connection[Any]
_PERSONS_AT_ONCE = 200


class Status(NamedTuple):
    """`behind` counts events of the log after the checkpoint; `advanced_at` is when the checkpoint last moved."""

    projection: str
    position: int
    behind: int
    advanced_at: datetime
    documents: int


class Difference(NamedTuple):
    """A stored document that is not what a refold gives. `how`: missing, other, surplus (of a record that is
    merged into another), or unfoldable."""

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


def retry(connection: Connection, keys: KeyRing, projections: Sequence[Projection], patient_id: UUID) -> None:
    """Folds a parked person again as known at the checkpoints; raises what the fold raises, and they stay parked."""
    with connection.transaction():
        refolding = Refolding(connection, keys)
        for name, through in _checkpoints(connection, projections, "for update").items():
            projection = next(each for each in projections if table_name(each) == name)
            for _, folded in refolding.fold([projection], refolding.persons([patient_id], through), through):
                if isinstance(folded, Exception):
                    raise folded
                documents.upsert(connection, name, [folded[projection.name]])
        parking.release(connection, [patient_id])


def verify(
    connection: Connection, keys: KeyRing, projection: Projection, progress: Callable[[int, int], None]
) -> list[Difference]:
    """Compares every stored document with a refold as known at the checkpoint; calls progress(done, of all)."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        through = _checkpoints(connection, [projection])[table_name(projection)]
        patients = _patients(connection, through)
        comparing = _Comparing(connection, keys, projection, through, parking.who(connection))
        found: list[Difference] = []
        for start in range(0, len(patients), _PERSONS_AT_ONCE):
            found += comparing.differences(patients[start : start + _PERSONS_AT_ONCE])
            progress(min(start + _PERSONS_AT_ONCE, len(patients)), len(patients))
    return found


class _Comparing:
    def __init__(
        self, connection: Connection, keys: KeyRing, projection: Projection, through: int, held_back: set[UUID]
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._projection = projection
        self._through = through
        self._held_back = held_back
        self._refolding = Refolding(connection, keys)
        self._query = sql.SQL("select patient_id, body from {} where patient_id = any(%b)").format(table(projection))

    def differences(self, patients: list[UUID]) -> Iterator[Difference]:
        stored = dict(self._connection.execute(self._query, [patients], binary=True).fetchall())
        found = self._refolding.persons(patients, self._through)
        persons = {each: members for each, members in found.items() if each in patients}
        yield from (Difference(each, "surplus") for each in stored if each not in persons)
        folding = {each: members for each, members in persons.items() if each not in self._held_back}
        for person, folded in self._refolding.fold([self._projection], folding, self._through):
            how = self._how(person, folded, stored.get(person))
            if how is not None:
                yield Difference(person, how)

    def _how(self, person: UUID, folded: "dict[str, Stored] | Exception", body: bytes | None) -> str | None:
        if isinstance(folded, Exception):
            return "unfoldable"
        if body is None:
            return "missing"
        expected = folded[self._projection.name]
        return None if self._says_the_same(person, expected, body) else "other"

    def _says_the_same(self, person: UUID, expected: Stored, body: bytes) -> bool:
        key = self._keys.held(expected.key_id)
        if key is None:
            return False
        opened = partial(documents.opened, self._projection, person, key)
        return opened(expected.body) == opened(body)


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


def _checkpoints(
    connection: Connection, projections: Sequence[Projection], lock: Literal["", "for update"] = ""
) -> dict[str, int]:
    names = [table_name(each) for each in projections]
    query = f"select projection, position from read.checkpoints where projection = any(%s) {lock}"  # noqa: S608 ours
    return dict(connection.execute(query, [names]).fetchall())


def _patients(connection: Connection, through: int) -> list[UUID]:
    rows = connection.execute(
        "select distinct patient_id from log.events where position <= %b and patient_id is not null order by 1",
        [through],
        binary=True,
    )
    return [row[0] for row in rows]


def _count(connection: Connection, name: str) -> int:
    row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier("read", name))).fetchone()
    return int(row[0]) if row else 0
