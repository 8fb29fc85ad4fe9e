"""The one write path against a real PostgreSQL."""

from uuid import uuid4

import psycopg
import pytest

from domain.care_plan import AcceptSupport, NeedRaised, RaiseNeed
from domain.facts import CARE_PLAN, PATIENT
from domain.identity import PatientReference
from domain.pathway import DiagnosisAgreed
from domain.patient import DemographicsRecorded, Identifier, Name
from infra.writing.arrays import accept_columns, integers, texts, uuids
from infra.writing.work import Outcome
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.works import MARIA, PATHWAY, work


def types(database: Database) -> list[str]:
    with database.connect("auditor") as connection:
        return [row[0] for row in connection.execute("select type from log.events order by position")]


def test_a_report_about_someone_new_registers_and_records_them(writer: Writer, database: Database) -> None:
    outcome = writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    assert outcome[:1] == ("recorded",)
    assert (outcome.first_position, outcome.last_position) == (1, 3)
    assert types(database) == ["patient.registered.v1", "patient.identifier-linked.v1", "pathway.diagnosis-agreed.v1"]


def test_a_redelivery_has_the_original_outcome_and_writes_nothing(writer: Writer, database: Database) -> None:
    first = writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    again = writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    assert again == first._replace(known=True)
    assert len(types(database)) == 3


def test_the_same_id_with_other_content_is_set_aside(writer: Writer, database: Database) -> None:
    writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    other = writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C61")), content="other"))
    assert other.outcome == "rejected"
    with database.connect("auditor") as connection:
        row = connection.execute("select reasons, state from log.rejected").fetchone()
    assert row == ([{"code": "same-id-other-content"}], "open")


def test_twins_and_contradictions_within_one_batch(writer: Writer, database: Database) -> None:
    outcomes = writer.write(
        [
            work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))),
            work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))),
            work("1", (PATHWAY, DiagnosisAgreed(icd10="C61")), content="other"),
            work("2", (PATHWAY, DiagnosisAgreed(icd10="C18.2"))),
        ]
    )
    assert [(each.outcome, each.known) for each in outcomes] == [
        ("recorded", False),
        ("recorded", True),
        ("rejected", False),
        ("recorded", False),
    ]
    assert len(types(database)) == 4


def test_the_same_fact_from_another_message_is_not_recorded_again(writer: Writer, database: Database) -> None:
    writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    assert writer.submit(work("2", (PATHWAY, DiagnosisAgreed(icd10="C50.9")))).outcome == "nothing-new"
    assert len(types(database)) == 3


def test_a_refused_part_leaves_nothing_of_itself(writer: Writer, database: Database) -> None:
    someone = PatientReference(identifiers=(Identifier(system="mrn", value="1"),))
    both = work(
        "1",
        (CARE_PLAN, NeedRaised(need="1", concern="work")),
        (CARE_PLAN, AcceptSupport(support="none")),
        patient=someone,
    )
    assert writer.submit(both).outcome == "rejected"
    assert types(database) == []
    assert (
        writer.submit(work("2", (CARE_PLAN, NeedRaised(need="1", concern="work")), patient=someone)).first_position == 1
    )


def test_two_writers_see_each_others_events(database: Database, writer: Writer) -> None:
    other = Writer(database.log(), database.keys)
    writer.submit(work("1", (CARE_PLAN, RaiseNeed(need="1", concern="work"))))
    other.submit(work("2", (CARE_PLAN, RaiseNeed(need="2", concern="sleep"))))
    assert writer.submit(work("3", (CARE_PLAN, RaiseNeed(need="2", concern="sleep")))).outcome == "nothing-new"
    writer.submit(work("4", (CARE_PLAN, RaiseNeed(need="3", concern="pets"))))
    other.close()
    with database.connect("auditor") as connection:
        rows = connection.execute("select position, patient_seq, version from log.events order by 1").fetchall()
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    assert [row[1] for row in rows] == [1, 2, 3, 4, 5]


def test_two_writers_register_one_person_once(database: Database, writer: Writer) -> None:
    other = Writer(database.log(), database.keys)
    writer.submit(
        work(
            "0",
            (PATIENT, DemographicsRecorded(name=Name(family="A"))),
            patient=PatientReference(identifiers=(Identifier(system="x", value="y"),)),
        )
    )
    # Both look the identifier up before either has linked it: the second must decide again.
    other._holdings.seen = writer._holdings.seen
    writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    other.submit(work("2", (PATHWAY, DiagnosisAgreed(icd10="C18.2"))))
    other.close()
    assert types(database).count("patient.registered.v1") == 2


def test_another_birth_date_is_held(writer: Writer) -> None:
    born = MARIA.model_copy(update={"birth_date": "1960-01-01"})
    writer.submit(work("1", (PATIENT, DemographicsRecorded(birth_date="1960-01-01")), patient=born))
    other = MARIA.model_copy(update={"birth_date": "1961-01-01"})
    assert writer.submit(work("2", (PATHWAY, DiagnosisAgreed(icd10="C61")), patient=other)).outcome == "rejected"


def test_an_unknown_patient_id_is_not_found(writer: Writer, database: Database) -> None:
    assert (
        writer.submit(work("1", (CARE_PLAN, RaiseNeed(need="1", concern="x")), patient=uuid4())).outcome == "rejected"
    )
    assert types(database) == []


def test_a_killed_connection_is_replaced_and_nothing_is_doubled(writer: Writer, database: Database) -> None:
    writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    with psycopg.connect(database.server.url(), autocommit=True) as superuser:
        superuser.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'writer'")
    outcome: Outcome = writer.submit(work("2", (PATHWAY, DiagnosisAgreed(icd10="C18.2"))))
    assert outcome.first_position == 4


@pytest.mark.parametrize("bound", [0, 10_000])
def test_memory_bounds_change_nothing(database: Database, bound: int) -> None:
    writer = Writer(database.log(), database.keys, limit_bytes=bound)
    for number in range(20):
        writer.submit(work(str(number), (CARE_PLAN, RaiseNeed(need=str(number % 5), concern="x"))))
    writer.close()
    assert len(types(database)) == 2 + 5


def test_a_statement_takes_columns_as_the_arrays_they_are(database: Database) -> None:
    ids = [uuid4(), uuid4()]
    with database.connect("writer") as connection:
        accept_columns(connection)
        row = connection.execute(
            "select %b::uuid[], %b::text[], %b::int4[]", [uuids(ids), texts(["ä"]), integers([])]
        ).fetchone()
    assert row == (ids, ["ä"], [])
