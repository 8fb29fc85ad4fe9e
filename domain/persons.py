"""Which patients are one person: merged records, as known at any position of the log.

A merge says that two records are of the same human being; it can be taken back, and every event then stands where
it was recorded. A retired record may have had others merged into it before, so a person is a tree of patients under
the one record that is merged into no other.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID


class Merge(NamedTuple):
    """`patient_id` became part of `into`, or (`joined` false) was parted from it again, by the event at `position`."""

    position: int
    patient_id: UUID
    into: UUID
    joined: bool


class Persons:
    """Merges in order of position, and the questions asked of them; few people have any."""

    def __init__(self, merges: Iterable[Merge] = ()) -> None:
        self._ups: dict[UUID, list[Merge]] = {}
        self._downs: dict[UUID, list[Merge]] = {}
        self.through = 0
        for merge in merges:
            self.add(merge)

    def add(self, merge: Merge) -> None:
        """Raises ValueError where the merge does not follow on what was added before."""
        if merge.position <= self.through:
            raise ValueError(f"merges are added in order of position; {merge.position} is not after {self.through}")
        self._ups.setdefault(merge.patient_id, []).append(merge)
        self._downs.setdefault(merge.into, []).append(merge)
        self.through = merge.position

    def person_of(self, patient_id: UUID, position: int | None = None) -> UUID:
        """The record that stands for this patient, itself where it is merged into none; `position` None is now."""
        seen = {patient_id}
        while (into := self._parent(patient_id, position)) is not None:
            if into in seen:
                raise ValueError("records are merged into each other in a circle")
            seen.add(into)
            patient_id = into
        return patient_id

    def members(self, person_id: UUID, position: int | None = None) -> frozenset[UUID]:
        """All patients whose events are this person's, `person_id` among them."""
        found = {person_id}
        open_ids = [person_id]
        while open_ids:
            into = open_ids.pop()
            children = {merge.patient_id for merge in self._downs.get(into, ())} - found
            joined = {child for child in children if self._parent(child, position) == into}
            found |= joined
            open_ids.extend(joined)
        return frozenset(found)

    def kin(self, patient_id: UUID) -> frozenset[UUID]:
        """Every patient that was ever one person with this one or with such a one: their events are enough to answer
        for any position."""
        found = {patient_id}
        open_ids = [patient_id]
        while open_ids:
            each = open_ids.pop()
            near = {merge.into for merge in self._ups.get(each, ())}
            near |= {merge.patient_id for merge in self._downs.get(each, ())}
            open_ids.extend(near - found)
            found |= near
        return frozenset(found)

    def is_alone(self, patient_id: UUID) -> bool:
        """Whether this record was never one with another, as nearly all are."""
        return patient_id not in self._ups and patient_id not in self._downs

    def _parent(self, patient_id: UUID, position: int | None) -> UUID | None:
        last = None
        for merge in self._ups.get(patient_id, ()):
            if position is not None and merge.position > position:
                break
            last = merge
        return last.into if last is not None and last.joined else None
