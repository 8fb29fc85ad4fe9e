"""What an operator does with read models, against a real PostgreSQL."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.folding import Projection
from projections.folds.plan import PLAN
from projections.live import upkeep
from projections.live.engine import Engine
from projections.tables import parking
from tests.conftest import Database
from tests.integration.test_read_side import catch_up, patient_id
from tests.works import work


def nothing(_done: int, _of: int) -> None:
    """No progress to show."""


def raise_a_need(writer: Writer, number: int) -> None:
    writer.submit(work(str(number), (CARE_PLAN, NeedRaised(need=str(number), concern="x"))))


def test_verify_finds_nothing_where_nothing_is_wrong(writer: Writer, database: Database) -> None:
    raise_a_need(writer, 1)
    catch_up(database)
    with database.connect("projector") as connection:
        for each in STORED:
            assert upkeep.verify(connection, database.keys, each, nothing) == []


def test_verify_finds_a_stale_document_and_a_missing_one(writer: Writer, database: Database) -> None:
    raise_a_need(writer, 1)
    catch_up(database)
    with database.connect("projector") as connection:
        stale = connection.execute("select body, key_id from read.plan_v1").fetchone()
        raise_a_need(writer, 2)
        catch_up(database)
        assert stale
        connection.execute("update read.plan_v1 set body = %s", [stale[0]])
        assert [each.how for each in upkeep.verify(connection, database.keys, PLAN, nothing)] == ["other"]
        connection.execute("truncate read.plan_v1")
        assert [each.how for each in upkeep.verify(connection, database.keys, PLAN, nothing)] == ["missing"]


def test_a_parked_person_is_served_after_a_retry_that_works(writer: Writer, database: Database) -> None:
    raise_a_need(writer, 1)
    failing = PLAN._replace(beside=_fail)
    broken = tuple(failing if each is PLAN else each for each in STORED)
    catch_up(database, broken)
    with database.connect("projector") as connection:
        assert [each.reason for each in parking.parked(connection)] == ["ZeroDivisionError"]
        with pytest.raises(ZeroDivisionError):
            upkeep.retry(connection, database.keys, broken, patient_id(database))
        assert len(parking.parked(connection)) == 1
        assert [each.how for each in upkeep.verify(connection, database.keys, PLAN, nothing)] == ["held-back"]
        upkeep.retry(connection, database.keys, STORED, patient_id(database))
        assert parking.parked(connection) == []
        assert upkeep.verify(connection, database.keys, PLAN, nothing) == []


def _fail(_: object) -> dict[str, object]:
    return {"never": 1 / 0}


def test_only_one_runner_leads_and_another_takes_over(writer: Writer, database: Database) -> None:
    def connect() -> "psycopg.Connection[Any]":
        return database.connect("projector")

    projections: tuple[Projection, ...] = STORED
    with closing(Engine(connect, database.keys, projections)) as first:
        raise_a_need(writer, 1)
        first.run(_after(1), lambda _: None)
    with closing(Engine(connect, database.keys, projections)) as second:
        raise_a_need(writer, 2)
        advanced: list[int] = []
        second.run(lambda: bool(advanced), lambda advance: advanced.append(advance.through))
    assert advanced == [4]


def _after(turns: int) -> Callable[[], bool]:
    left = iter(range(turns + 3))
    return lambda: next(left, None) is None
