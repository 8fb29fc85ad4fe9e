"""The leaves that PostgreSQL stored, against the documented layout."""

from datetime import date, datetime
from typing import Any
from uuid import uuid4

import pytest
from psycopg.rows import dict_row

from domain.annotation import Retract
from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from domain.pathway import DiagnosisAgreed
from domain.times import LONDON, Occurred, Precision, at, on
from infra.writing.work import Act
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.leaves import leaf
from tests.works import MARCH, PATHWAY, PROVENANCE, called, message, part, work

pytestmark = pytest.mark.postgres

TIMES = [
    on(date(1961, 4, 30)),
    on(date(2026, 3, 29)),
    Occurred(on(date(2026, 1, 1)).at, Precision.YEAR),
    Occurred(on(date(2026, 7, 1)).at, Precision.MONTH),
    at(datetime(2026, 10, 25, 1, 30, 0, 123456, tzinfo=LONDON, fold=1)),
]


def stored(database: Database) -> list[dict[str, Any]]:
    with database.connect("auditor") as connection:
        cursor = connection.cursor(row_factory=dict_row)
        rows = cursor.execute("select * from log.events order by position").fetchall()
    return [row | {"occurred_precision": _letter(row["occurred_precision"])} for row in rows]


def _letter(stored: bytes | str) -> str:
    return stored.decode() if isinstance(stored, bytes) else stored


def test_leaves_of_patients_events(database: Database, writer: Writer) -> None:
    for number, occurred in enumerate(TIMES):
        act = Act(CARE_PLAN, NeedRaised(need=str(number), concern="Ωmega"), occurred, PROVENANCE)
        writer.write([message(str(number), [part(act)]), work(f"p{number}", (PATHWAY, DiagnosisAgreed(icd10="C61")))])
    writer.submit(work("r", (PATHWAY, Retract(as_of=MARCH.at)), patient=called("another")))
    writer.submit(work("s", (PATHWAY, DiagnosisAgreed(icd10="C18")), patient=called("another")))
    events = stored(database)
    assert {event["occurred_precision"] for event in events} == {"Y", "M", "D", "I"}
    assert len({event["patient_id"] for event in events}) == 2
    assert [event["leaf_hash"] for event in events] == [leaf(event) for event in events]


def test_leaves_of_events_without_a_patient(database: Database) -> None:
    with database.connect("writer") as connection:
        connection.execute(
            "select log.append_library_events(%s, %s, %s, %s)",
            [[uuid4(), uuid4()], [0, 1], ["module:Äpplication.Event", ""], [b"state", b""]],
        )
    events = stored(database)
    assert [(event["patient_id"], event["patient_seq"], event["key_id"]) for event in events] == [
        (None, None, None)
    ] * 2
    assert [event["leaf_hash"] for event in events] == [leaf(event) for event in events]


def test_a_leaf_can_be_computed_anew_by_an_auditor(database: Database, writer: Writer) -> None:
    writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C61"))))
    with database.connect("auditor") as connection:
        differing = connection.execute(
            """select count(*) from log.events where leaf_hash <> log.leaf(position, recorded_at, stream_id, version,
                   patient_id, patient_seq, type, occurred_at, occurred_precision, payload, key_id)"""
        ).fetchone()
    assert differing == (0,)
