"""The process that carries out destructions when they are due and renews the keys of months. One leads, more wait.

That two people asked and the time to object has passed is checked by the database each time. Killed anywhere, the next
round goes on: what was begun stands in the database and in the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from infra.custody.agreement import Unapplied
from infra.custody.destruction import Destroyed, carry_out
from infra.custody.ledger import Ledger, LedgerBroken
from infra.custody.renewal import Renewed, renew
from infra.custody.rotation import CustodyRefused
from infra.keys import KeyRing, KeyUnusable
from infra.leading import Leading

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
_LEADER = 7305550319
_DUE = """select patient_id from log.destructions
           where carried_out_at is null and withdrawn_at is null and due_at <= clock_timestamp() order by due_at"""
_STANDING = """
    select count(*), count(*) filter (where due_at <= clock_timestamp()),
           coalesce(extract(epoch from clock_timestamp() - min(due_at)), 0)::float8,
           (select count(*) from log.monthly_keys where state <> 'open')
      from log.destructions where carried_out_at is null and withdrawn_at is null"""


class Refused(NamedTuple):
    """A destruction that is due and is not carried out: a hold was placed, or the record was joined with another."""

    patient_id: UUID
    reason: str


class Round(NamedTuple):
    done: list[Destroyed]
    refused: list[Refused]
    renewed: Renewed


class Measurements:
    """What an operator watches; `custody_refused` and `destructions_overdue_seconds` are alarms."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge("destructions_open", "Destructions asked for and not carried out", registry=registry)
        self.due = Gauge("destructions_due", "Destructions that are due and not carried out", registry=registry)
        self.overdue = Gauge(
            "destructions_overdue_seconds", "Since when the oldest of them is due", registry=registry
        )  # fmt: skip
        self.renewing = Gauge("month_keys_to_renew", "Keys of months that are to be renewed", registry=registry)
        self.refused = Gauge("custody_refused", "1 while database and ledger do not agree", registry=registry)
        self.looked = Gauge("custody_round_timestamp_seconds", "When all that is due was last tried", registry=registry)
        self.done = Counter("destructions_carried_out", "Keys destroyed by this process", registry=registry)

    def stand(self, connection: Connection) -> None:
        count, due, overdue, renewing = connection.execute(_STANDING).fetchone() or (0, 0, 0.0, 0)
        self.open.set(count)
        self.due.set(due)
        self.overdue.set(max(0.0, overdue))
        self.renewing.set(renewing)


@dataclass
class Custody:
    """`connect` gives a fresh autocommit connection of role shredder."""

    connect: Callable[[], Connection]
    keys: KeyRing
    ledger: Ledger
    measurements: Measurements
    seconds: float

    def run(self, stopping: Callable[[], bool]) -> None:
        """Until `stopping`. What fails or is refused is tried again in the next round."""
        Leading(_LEADER, "custody_reconnects", self.seconds).run(self.connect, self._attempt, stopping)

    def round(self, connection: Connection) -> Round:
        """All that is due, once. Raises Unapplied, LedgerBroken, KeyUnusable, OSError, psycopg.Error."""
        done: list[Destroyed] = []
        refused: list[Refused] = []
        try:
            for (patient_id,) in connection.execute(_DUE).fetchall():
                self._try(connection, patient_id, done, refused)
            renewed = renew(connection, self.keys, _unheard)
        finally:
            self.measurements.stand(connection)
        self.measurements.looked.set_to_current_time()
        return Round(done, refused, renewed)

    def _try(self, connection: Connection, patient_id: UUID, done: list[Destroyed], refused: list[Refused]) -> None:
        try:
            destroyed = carry_out(connection, self.keys, self.ledger, patient_id, _unheard)
        except Unapplied:
            raise
        except CustodyRefused as reason:
            refused.append(Refused(patient_id, str(reason)))
            return
        self.measurements.done.inc()
        log.info("key_destroyed", position=destroyed.position, messages=destroyed.copies)
        done.append(destroyed)

    def _attempt(self, connection: Connection) -> None:
        try:
            found = self.round(connection)
        except (CustodyRefused, LedgerBroken, KeyUnusable, OSError) as error:
            self.measurements.refused.set(1)
            log.critical("custody_refused", error=error)
            return
        self.measurements.refused.set(0)
        if found.refused:
            log.warning("destructions_refused", count=len(found.refused))
        if found.renewed.months:
            log.info("month_keys_renewed", count=found.renewed.months, messages=found.renewed.messages)


def _unheard(_done: int, _of: int) -> None:
    """Nobody follows the progress of a process that runs by itself."""
