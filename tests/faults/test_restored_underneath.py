"""A database that is put back to an earlier moment under running processes, and grows on before these look."""

import time
from contextlib import closing

import psycopg
import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from infra.writing.work import Work
from infra.writing.writer import Writer
from projections.folds.plan import PLAN
from projections.keeping.keeper import Advance
from projections.live.engine import Engine
from projections.live.upkeep import verify
from tests.conftest import Database
from tests.signing import tampering
from tests.works import CARE_PLAN_NEED, called, work

pytestmark = pytest.mark.postgres

TABLES = {"events": "position", "receipts": "position"}
LOST = """select e.position from log.events e left join log.keys k using (key_id)
           where e.patient_id is not null and k.patient_id is distinct from e.patient_id"""
UNREGISTERED = """select patient_id from log.events where patient_id is not null
                  except select patient_id from log.events where type = 'patient.registered.v1'"""


def put_back(database: Database, position: int = 0) -> None:
    """To a position, with all connections ended, as a restore ends them."""
    with tampering(database) as superuser:
        for table, column in TABLES.items():
            superuser.execute(f"delete from log.{table} where {column} > %s", [position])
        superuser.execute("delete from log.identifiers where position >= %s", [position])  # the base of their append
        superuser.execute("delete from log.keys where patient_id not in (select patient_id from log.events)")
        superuser.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
            "and pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("others", [0, 1, 9], ids=["shorter", "as long", "longer"])
def test_nothing_of_the_lost_log_is_believed(database: Database, writer: Writer, others: int) -> None:
    """Neither who an identifier named nor with which key: both are gone, and new ones must be made."""
    first = writer.submit(work("1", CARE_PLAN_NEED))
    put_back(database)
    with closing(Writer(database.log(), database.keys)) as another:
        for number in range(others):
            another.submit(work(f"other {number}", CARE_PLAN_NEED, patient=called(f"other {number}")))
    again = writer.submit(work("2", CARE_PLAN_NEED))
    assert again.outcome == first.outcome == "recorded"
    with psycopg.connect(database.url("auditor"), autocommit=True) as auditor:
        assert auditor.execute(LOST).fetchall() == []
        assert auditor.execute(UNREGISTERED).fetchall() == []
        assert auditor.execute("select count(*) = max(position) from log.events").fetchone() == (True,)


def test_an_identifier_of_the_lost_log_may_be_another_persons(database: Database, writer: Writer) -> None:
    kept = writer.submit(work("1", CARE_PLAN_NEED, patient=called("a")))
    writer.submit(work("2", CARE_PLAN_NEED, patient=called("a", "x")))
    put_back(database, kept.position)
    with closing(Writer(database.log(), database.keys)) as another:
        another.submit(work("3", CARE_PLAN_NEED, patient=called("x")))
    told = writer.submit(work("4", (CARE_PLAN, NeedRaised(need="2", concern="sleep")), patient=called("x")))
    query = "select patient_id from log.events where position = any(%s) order by position"
    with psycopg.connect(database.url("auditor"), autocommit=True) as auditor:
        rows = auditor.execute(query, [[kept.position, told.position - 1, told.position]]).fetchall()
    assert rows[0] != rows[1] == rows[2]


def test_an_engine_folds_nothing_of_the_lost_log(database: Database, writer: Writer) -> None:
    with closing(an_engine(database)) as engine:
        kept = writer.submit(work("1", CARE_PLAN_NEED))
        writer.submit(need("2", "lost"))
        engine.catch_up()
        put_back(database, kept.position)
        with tampering(database) as superuser:
            superuser.execute("update read.checkpoints set position = %s", [kept.position])
        with closing(Writer(database.log(), database.keys)) as another, closing(an_engine(database)) as other:
            another.submit(need("3", "found"))
            other.catch_up()
            last = another.submit(need("4", "last"))
        run_through(engine, last.position)
    with database.connect("projector") as connection:
        assert verify(connection, database.keys, PLAN, lambda *_: None) == []


def an_engine(database: Database) -> Engine:
    return Engine(lambda: database.connect("projector"), database.keys, [PLAN])


def need(key: str, name: str) -> Work:
    return work(key, (CARE_PLAN, NeedRaised(need=name, concern="sleep")))


def run_through(engine: Engine, position: int) -> None:
    """As its process runs it, with whatever its connection has come to."""
    reached: list[int] = []
    give_up = time.monotonic() + 20

    def advanced(advance: Advance) -> None:
        reached.append(advance.through)

    engine.run(lambda: bool(reached and reached[-1] >= position) or time.monotonic() > give_up, advanced)
    assert reached[-1] >= position
