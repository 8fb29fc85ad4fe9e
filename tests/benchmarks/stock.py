"""The baselines: what a competent user writes with the eventsourcing library, its PostgreSQL recorders and cipher.

One aggregate for each thing that is reported on; the same fact is recorded once; payloads are encrypted under one
key. No receipts, raw bytes, leaves, keys of patients or offsets: the baseline does less than we do.
"""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.cryptography import AESCipher
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg import sql
from psycopg.types.json import Jsonb

from consumers.messages import RawMessage
from tests.benchmarks.lab import Lab
from tests.conftest import Database


class Report(NamedTuple):
    case_id: UUID
    patient_id: UUID
    kind: str
    occurred: str
    fact: dict[str, Any]


def read(message: RawMessage) -> Report:
    """The message's JSON, not validated further."""
    headers = {name: (value or b"").decode() for name, value in message.headers}
    data = orjson.loads(message.value or b"{}")
    kind = headers["ce_type"]
    patient_id = uuid5(NAMESPACE_URL, data["patient"]["nhs_number"])
    case_id = uuid5(patient_id, f"{kind.split('.')[3]}:{data.get('key')}")
    return Report(case_id, patient_id, kind, data.get("occurred") or headers["ce_time"], data["fact"])


def read_as_of_patient(message: RawMessage) -> Report:
    """For the other way to cut aggregates: one for each patient, with all that is reported of them."""
    report = read(message)
    return report._replace(case_id=report.patient_id)


class Case(Aggregate):
    """One thing on which sources report. The same fact changes nothing."""

    @event("Opened")
    def __init__(self, case_id: UUID, patient_id: UUID) -> None:
        self._id = case_id
        self.patient_id = patient_id
        self.facts: set[tuple[str, str, str]] = set()

    @staticmethod
    def create_id(case_id: UUID, patient_id: UUID) -> UUID:  # noqa: ARG004 the library calls it with all that is given
        return case_id

    def report(self, kind: str, occurred: str, fact: dict[str, Any]) -> None:
        if (kind, occurred, repr(fact)) not in self.facts:
            self._reported(kind, occurred, fact)

    @event("Reported")
    def _reported(self, kind: str, occurred: str, fact: dict[str, Any]) -> None:
        self.facts.add((kind, occurred, repr(fact)))


class Cases(Application[UUID]):
    def load_and_save(self, report: Report) -> None:
        try:
            case: Case = self.repository.get(report.case_id)
        except AggregateNotFoundError:
            case = Case(report.case_id, report.patient_id)
        case.report(report.kind, report.occurred, report.fact)
        self.save(case)

    def save_held(self, held: dict[UUID, Case], report: Report) -> None:
        """With every aggregate in memory, which one process may do while nobody else writes."""
        case = held.get(report.case_id)
        if case is None:
            case = held[report.case_id] = Case(report.case_id, report.patient_id)
        case.report(report.kind, report.occurred, report.fact)
        self.save(case)

    def save_together(self, held: dict[UUID, Case], reports: Iterable[Report]) -> None:
        """Many at once, to fill the store before measuring."""
        touched = set()
        for report in reports:
            case = held.get(report.case_id)
            if case is None:
                case = held[report.case_id] = Case(report.case_id, report.patient_id)
            case.report(report.kind, report.occurred, report.fact)
            touched.add(report.case_id)
        self.save(*(held[case_id] for case_id in touched))


def environment(lab: Lab, database: Database, connections: int = 2) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": database.name,
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(lab.port),
        "POSTGRES_USER": "owner",
        "POSTGRES_PASSWORD": lab.password("owner"),
        "POSTGRES_POOL_SIZE": str(connections),
        "POSTGRES_MAX_OVERFLOW": "0",
        "CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher",
        "CIPHER_KEY": AESCipher.create_key(32),
    }


class Latest(PostgresTrackingRecorder):
    """A view of each case: the last fact of each kind, changed in the transaction that tracks the event."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        table = sql.Identifier(self.datastore.schema, "latest")
        self.sql_create_statements.append(
            sql.SQL("create table if not exists {} (case_id uuid primary key, facts jsonb not null)").format(table)
        )
        self._upsert = sql.SQL(
            """insert into {} as held values (%s, %s)
               on conflict (case_id) do update set facts = held.facts || excluded.facts"""
        ).format(table)

    def put(self, case_id: UUID, facts: dict[str, Any], tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(self._upsert, [case_id, Jsonb(facts)], prepare=True)


class ProjectLatest(Projection[Latest]):
    """`done` are the times at which events had been projected."""

    name = "latest"

    def __init__(self, view: Latest) -> None:
        super().__init__(view)
        self.done: list[float] = []

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        kind = getattr(domain_event, "kind", None)
        self.view.put(domain_event.originator_id, {kind: domain_event.fact} if kind else {}, tracking)
        self.done.append(time.perf_counter())


def project(environment: dict[str, str], last: int) -> float:
    """Events a second of the library's runner, from where it stopped before through notification `last`."""
    with ProjectionRunner(
        application_class=Cases, projection_class=ProjectLatest, view_class=Latest, env=environment
    ) as runner:
        runner.wait(last, timeout=120)
        projection = runner.projection
        if not isinstance(projection, ProjectLatest):
            raise TypeError("the runner made another projection")
        return (len(projection.done) - 1) / (projection.done[-1] - projection.done[0])
