"""Persons' histories as the engine reads them: from the log, with what was decoded before kept in bounded memory."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import repeat
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain.facts import Recorded
from domain.retention import KeyDestroyed
from infra.keys import DataKey, KeyRing, KeyUnusable
from infra.payloads import COLUMNS, Row, recorded_each
from projections.folds.unfolding import Unfolding

# Measured: a decoded event takes about this much as Python objects, and with its part in the folds this much more.
_BYTES_PER_EVENT = 1_600
_BYTES_PER_FOLDED_EVENT = 2_700
_BYTES_PER_KEY = 1_600
_BATCH = f"select {COLUMNS} from log.events where position > %b and position <= %b order by position"  # noqa: S608
_HISTORIES = f"""select {COLUMNS} from log.events
                  where patient_id = any(%b) and position <= %b order by patient_id, patient_seq"""  # noqa: S608
_KEYS = "select key_id, patient_id, wrapped from log.keys where patient_id = any(%b)"
_DESTROYED = "select patient_id from log.destructions where carried_out_at is not null and patient_id = any(%b)"
_PATIENT, SEQ, _TYPE = 4, 5, 6


class Gap(Exception):
    """The log skipped or repeated a position, or its time went back: the line stops, since something may be lost."""


class KeyGone(KeyUnusable):
    """The person's key was destroyed: there is nothing to fold."""


class Batch(NamedTuple):
    """Rows after a checkpoint through position `through`, by patient in order of position."""

    through: int
    rows: dict[UUID, list[Row]]
    events: int


@dataclass(slots=True)
class Held:
    """One person's events, decoded; and, of persons who were folded before, the folds that grow with them."""

    events: list[Recorded] = field(default_factory=list)
    unfolding: Unfolding | None = None

    @property
    def bytes(self) -> int:
        folded = self.unfolding.size if self.unfolding is not None else 0
        return len(self.events) * _BYTES_PER_EVENT + folded * _BYTES_PER_FOLDED_EVENT


class Histories:
    """One connection's view. Bounded in bytes, least recently used persons forgotten first."""

    def __init__(self, keys: KeyRing, limit_bytes: int = 128_000_000) -> None:
        self._keyring = keys
        self._limit = limit_bytes
        self._held: OrderedDict[UUID, Held] = OrderedDict()
        # As they were last weighed.
        self._weights: dict[UUID, int] = {}
        self._bytes = 0
        self._keys: OrderedDict[UUID, DataKey] = OrderedDict()
        self._destroyed: set[UUID] = set()
        # When the last position of the batch before was recorded.
        self._times: dict[int, datetime] = {}

    def batch(self, connection: "psycopg.Connection[Any]", after: int, most: int) -> Batch:
        """At most `most` events after position `after`; whose key one of them destroys is evicted. Raises Gap."""
        rows: dict[UUID, list[Row]] = {}
        expected, last_time = after, self._times.get(after)
        for row in connection.execute(_BATCH, [after, after + most], binary=True):
            expected += 1
            if row[0] != expected:
                raise Gap(f"position {expected} is missing from the log: {row[0]} came instead")
            if last_time is not None and row[1] < last_time:
                raise Gap(f"the time of recording goes back at position {expected}")
            last_time = row[1]
            if row[_TYPE] == KeyDestroyed.stored:
                self.evict(row[_PATIENT])
            if row[_PATIENT] is not None:
                rows.setdefault(row[_PATIENT], []).append(row)
        if expected == after:
            _refuse_a_shorter_log(connection, after)
        elif last_time is not None:
            self._times = {expected: last_time}
        return Batch(expected, rows, expected - after)

    def load(self, connection: "psycopg.Connection[Any]", batch: Batch) -> dict[UUID, list[Row]]:
        """Rows still to be decoded: the batch's for persons held, the whole history for the others."""
        cold = [patient for patient, rows in batch.rows.items() if not self._follows(patient, rows)]
        undecoded = {**batch.rows, **self.whole(connection, cold, batch.through)}
        self._load_keys(connection, list(undecoded))
        return undecoded

    def whole(self, connection: "psycopg.Connection[Any]", patients: list[UUID], through: int) -> dict[UUID, list[Row]]:
        """All rows of these persons through a position; what was held of them is forgotten."""
        rows: dict[UUID, list[Row]] = {}
        if not patients:
            return rows
        for patient in patients:
            self.forget(patient)
        for row in connection.execute(_HISTORIES, [patients, through], binary=True):
            rows.setdefault(row[_PATIENT], []).append(row)
        self._load_keys(connection, patients)
        return rows

    def history(self, patient: UUID, rows: Sequence[Row]) -> Held:
        """The person's whole history, of which these rows are what was not decoded yet, to be weighed when it is
        folded. Raises what decoding raises; the person is then forgotten."""
        key = self.key(patient)
        try:
            decoded = recorded_each(rows, repeat(key, len(rows)))
        except Exception:
            self.forget(patient)
            raise
        held = self._held.setdefault(patient, Held())
        held.events.extend(decoded)
        self._held.move_to_end(patient)
        return held

    def decoded(self, rows: Mapping[UUID, Sequence[Row]]) -> list[Recorded]:
        """Events of several records, each opened with its own key; nothing is kept. Of a record whose key was
        destroyed come tombstones. Raises what decoding raises."""
        keys = {patient: None if patient in self._destroyed else self.key(patient) for patient in rows}
        of_all = [row for of_patient in rows.values() for row in of_patient]
        return recorded_each(of_all, [keys[row[_PATIENT]] for row in of_all])

    def weigh(self, patient: UUID) -> None:
        weight = self._held[patient].bytes
        self._bytes += weight - self._weights.get(patient, 0)
        self._weights[patient] = weight

    def key(self, patient: UUID) -> DataKey:
        """Raises KeyGone, KeyUnusable."""
        try:
            return self._keys[patient]
        except KeyError:
            lost = KeyGone if patient in self._destroyed else KeyUnusable
            raise lost("this patient has no key") from None

    def evict(self, patient: UUID) -> None:
        """Everything of a person whose key was destroyed, the key too."""
        self.forget(patient)
        key = self._keys.pop(patient, None)
        if key is not None:
            self._keyring.evict(key.key_id)

    def forget(self, patient: UUID) -> None:
        self._held.pop(patient, None)
        self._bytes -= self._weights.pop(patient, 0)

    def clear(self) -> None:
        self._held.clear()
        self._weights.clear()
        self._bytes = 0

    def trim(self) -> None:
        while self._bytes > self._limit and self._held:
            self.forget(next(iter(self._held)))
        while len(self._keys) * _BYTES_PER_KEY > self._limit:
            self._keys.popitem(last=False)

    def _follows(self, patient: UUID, rows: list[Row]) -> bool:
        """Whether what is held ends just before these rows, by the person's own dense sequence."""
        held = self._held.get(patient)
        before = held.events[-1].patient_seq if held is not None and held.events else 0
        return bool(before + 1 == rows[0][SEQ])

    def _load_keys(self, connection: "psycopg.Connection[Any]", patients: list[UUID]) -> None:
        unknown = [patient for patient in patients if patient not in self._keys]
        if unknown:
            for key_id, patient, wrapped in connection.execute(_KEYS, [unknown], binary=True):
                self._keys[patient] = self._keyring.unwrap(key_id, wrapped)
            keyless = [patient for patient in unknown if patient not in self._keys]
            if keyless:
                self._destroyed.update(row[0] for row in connection.execute(_DESTROYED, [keyless], binary=True))


def _refuse_a_shorter_log(connection: "psycopg.Connection[Any]", after: int) -> None:
    row = connection.execute("select coalesce(max(position), 0) from log.events").fetchone()
    if row is not None and row[0] < after:
        raise Gap(f"the log ends at position {row[0]}, and position {after} was folded: it is not the log it was")
