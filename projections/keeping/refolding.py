"""Persons folded anew from the log as known at a position, apart from the engine: to retry and to compare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from infra.keys import KeyRing
from projections.folds.folding import Projection
from projections.keeping.histories import Histories, KeyGone
from projections.keeping.persons import Following
from projections.tables.documents import Stored, refolded

Connection = psycopg.Connection[Any]


class Refolding:
    """On one connection; holds nothing between calls but keys and merges."""

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._histories = Histories(keys)
        self._digest = keys.digest
        self._following = Following()

    def persons(self, patients: Iterable[UUID], through: int) -> dict[UUID, frozenset[UUID]]:
        """Whoever stands for these patients at this position, with all records that are theirs."""
        known = self._following.follow(self._connection, through)
        return {
            person: known.members(person, through) for person in {known.person_of(each, through) for each in patients}
        }

    def fold(
        self, projections: Sequence[Projection], persons: Mapping[UUID, frozenset[UUID]], through: int
    ) -> Iterator[tuple[UUID, dict[str, Stored] | Exception]]:
        """Each person's documents by projection, or what kept them from being folded; nobody whose key was
        destroyed."""
        records = [record for members in persons.values() for record in members]
        rows = self._histories.whole(self._connection, records, through)
        for person, members in persons.items():
            try:
                events = self._histories.decoded({each: rows[each] for each in members if each in rows})
                yield person, refolded(projections, person, self._histories.key(person), events, self._digest)
            except KeyGone:
                continue
            except Exception as error:  # noqa: BLE001 told by the caller, who knows what it means
                yield person, error
