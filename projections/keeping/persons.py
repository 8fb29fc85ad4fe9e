"""Which patients are one person, as the engine follows it: grown from the log's merges, as known at any position.

Few people have more than one record, so most batches cost one look into a short table.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain.persons import Merge, Persons

_MERGES = """select position, patient_id, into_id, joined from log.merges
              where position > %b and position <= %b order by position"""


class Gathered(NamedTuple):
    """Patients whom a batch touches. `alone` are persons of one record; `joined` maps a person of several records, or
    one whose records have just changed, to all of them; `retired` no longer stand for themselves."""

    alone: list[UUID]
    joined: dict[UUID, frozenset[UUID]]
    retired: frozenset[UUID]
    changed: frozenset[UUID]


class Following:
    """The merges through the furthest position asked for."""

    def __init__(self) -> None:
        self.persons = Persons()

    def gather(
        self, connection: "psycopg.Connection[Any]", patients: Iterable[UUID], after: int, through: int
    ) -> Gathered:
        """Persons as known at `through`, for patients with events after `after`."""
        merged = self._through(connection, after, through)
        if not self.persons.through:
            return Gathered(list(patients), {}, frozenset(), frozenset())
        moved = {each for merge in merged for each in (merge.patient_id, merge.into)}
        alone: list[UUID] = []
        joined: dict[UUID, frozenset[UUID]] = {}
        for patient in {*patients, *moved}:
            person = self.persons.person_of(patient, through)
            members = self.persons.members(person, through)
            if len(members) == 1 and patient not in moved:
                alone.append(patient)
            else:
                joined[person] = members
        changed = frozenset(self.persons.person_of(each, through) for each in moved)
        retired = frozenset(each for person in changed for each in joined[person] if each != person)
        return Gathered(alone, joined, retired, changed)

    def follow(self, connection: "psycopg.Connection[Any]", through: int) -> Persons:
        """All merges through a position, and perhaps later ones: ask as of a position."""
        self._through(connection, through, through)
        return self.persons

    def _through(self, connection: "psycopg.Connection[Any]", after: int, through: int) -> list[Merge]:
        """Those after `after`; whatever was not met before is added."""
        known = self.persons.through
        rows = connection.execute(_MERGES, [min(after, known), through], binary=True)
        merges = [Merge(*row) for row in rows]
        for merge in merges:
            if merge.position > known:
                self.persons.add(merge)
        return [merge for merge in merges if merge.position > after]
