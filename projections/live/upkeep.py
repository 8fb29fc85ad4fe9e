"""What an operator does with read models that are served: retry the parked, and compare with a refold."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from infra.keys import KeyRing
from projections.folds.folding import Projection
from projections.keeping.refolding import Refolding
from projections.tables import documents, generations, parking
from projections.tables.documents import Stored
from projections.tables.generations import identifier
from projections.tables.parking import Failure, Parked

Connection = psycopg.Connection[Any]
HELD_BACK = "held-back"
_PERSONS_AT_ONCE = 200


class NothingServed(Exception):
    """There is no table of this projection in this version: a runner makes the first one, a rebuild the others."""


class Difference(NamedTuple):
    """A stored document that is not what a refold gives. `how`: missing, other, surplus (of a record that is
    merged into another), unfoldable, or held-back (parked: there is nothing to compare)."""

    patient_id: UUID
    how: str


def retry(connection: Connection, keys: KeyRing, projections: Sequence[Projection], patient_id: UUID) -> None:
    """Folds a parked person again as known at the checkpoints; raises what the fold raises, and they stay parked."""
    with connection.transaction():
        refolding = Refolding(connection, keys)
        for (table, projection), _, through in generations.locked(connection, projections):
            for _, folded in refolding.fold([projection], refolding.persons([patient_id], through), through):
                if isinstance(folded, Exception):
                    raise folded
                documents.upsert(connection, table, [folded[projection.name]])
        parking.release(connection, [patient_id])


def retried(connection: Connection, keys: KeyRing, projections: Sequence[Projection], parked: Parked) -> str | None:
    """None where the person is served again; else what failed, and they stay held back. Raises psycopg.Error."""
    try:
        retry(connection, keys, projections, parked.patient_id)
    except psycopg.Error:
        raise
    except Exception as error:  # noqa: BLE001 one person's failure must not stop the others
        parking.park(connection, [Failure(parked.patient_id, parked.since_position, type(error).__name__)])
        return type(error).__name__
    return None


def verify(
    connection: Connection, keys: KeyRing, projection: Projection, progress: Callable[[int, int], None]
) -> list[Difference]:
    """Compares every document that is served with a refold as known at the checkpoint, in one snapshot; calls
    progress(done, of all). Raises NothingServed."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        served = generations.served(connection, projection)
        if served is None or served.version != projection.version:
            raise NothingServed(f"no table of {projection.name} in version {projection.version} is served")
        through = generations.positions(connection, [projection.name])[projection.name]
        patients = _patients(connection, through)
        comparing = _Comparing(connection, keys, projection, served.table, through)
        found: list[Difference] = []
        for start in range(0, len(patients), _PERSONS_AT_ONCE):
            found += comparing.differences(patients[start : start + _PERSONS_AT_ONCE])
            progress(min(start + _PERSONS_AT_ONCE, len(patients)), len(patients))
    return found


class _Comparing:
    def __init__(self, connection: Connection, keys: KeyRing, projection: Projection, table: str, through: int) -> None:
        self._connection = connection
        self._keys = keys
        self._projection = projection
        self._through = through
        self._held_back = parking.who(connection)
        self._refolding = Refolding(connection, keys)
        self._query = sql.SQL("select patient_id, body from {} where patient_id = any(%b)").format(identifier(table))

    def differences(self, patients: list[UUID]) -> Iterator[Difference]:
        stored = dict(self._connection.execute(self._query, [patients], binary=True).fetchall())
        found = self._refolding.persons(patients, self._through)
        persons = {each: members for each, members in found.items() if each in patients}
        yield from (Difference(each, "surplus") for each in stored if each not in persons)
        yield from (Difference(each, HELD_BACK) for each in persons if each in self._held_back)
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


def _patients(connection: Connection, through: int) -> list[UUID]:
    rows = connection.execute(
        "select distinct patient_id from log.events where position <= %b and patient_id is not null order by 1",
        [through],
        binary=True,
    )
    return [row[0] for row in rows]
