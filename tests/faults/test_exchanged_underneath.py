"""A database that is exchanged, under processes that run, for one of before a destruction: none of them serves from it
or writes to it before the ledger was applied, and all go on by themselves afterwards."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from infra.custody import destruction
from infra.custody.agreement import unapplied
from infra.custody.guarding import Guard, NotServed
from infra.custody.ledger import Ledger
from infra.custody.providers import ledger
from infra.custody.reapplying import reapply
from infra.keys import KeyRing
from infra.writing.log import Log
from infra.writing.writer import Writer
from projections.catalogue import PROJECTIONS
from projections.live.engine import Engine
from tests.api_world import JOHN, MARIA, World, world_of
from tests.conftest import Database
from tests.custody import AT_ONCE, REASON, unheard
from tests.processes import until
from tests.works import CARE_PLAN_NEED, work

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with world_of(database, tmp_path) as world:
        yield world


def alone(superuser: "psycopg.Connection[Any]", name: str) -> None:
    superuser.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])


def renamed(superuser: "psycopg.Connection[Any]", name: str, to: str) -> None:
    superuser.execute(sql.SQL("alter database {} rename to {}").format(*map(sql.Identifier, (name, to))))


class Backups:
    """Of one database; connections are ended, as a restore ends them."""

    def __init__(self, database: Database) -> None:
        self._name = database.name
        self._superuser = psycopg.connect(database.server.url(), autocommit=True)

    def take(self) -> None:
        """Between two statements of ours nobody may connect."""
        superuser = self._superuser
        self._closed(True)
        alone(superuser, self._name)
        names = (sql.Identifier(each) for each in (f"{self._name}_before", self._name))
        superuser.execute(sql.SQL("create database {} owner owner template {} strategy file_copy").format(*names))
        self._closed(False)

    def restore(self) -> None:
        self._closed(True)
        alone(self._superuser, self._name)
        renamed(self._superuser, self._name, f"{self._name}_after")
        renamed(self._superuser, f"{self._name}_before", self._name)

    def close(self) -> None:
        for suffix in ("before", "after"):
            name = sql.Identifier(f"{self._name}_{suffix}")
            self._superuser.execute(sql.SQL("drop database if exists {} with (force)").format(name))
        self._superuser.close()

    def _closed(self, closed: bool) -> None:
        allow = sql.SQL("alter database {} with allow_connections {}").format(
            sql.Identifier(self._name), sql.SQL("false" if closed else "true")
        )
        self._superuser.execute(allow)


@pytest.fixture
def backups(database: Database) -> Iterator[Backups]:
    with closing(Backups(database)) as backups:
        yield backups


def destroyed(world: World, kept: Ledger, patient_id: UUID) -> None:
    keys = world.database.keys
    with world.database.connect("custodian") as custodian:
        destruction.request(custodian, keys, patient_id, REASON, "ann")
        destruction.confirm(custodian, keys, patient_id, "bob", AT_ONCE)
        destruction.carry_out(custodian, keys, kept, patient_id, unheard)


def status(world: World, patient_id: UUID) -> int:
    answer = world.get(f"/v1/patients/{patient_id}/plan", world.staff())
    found: int = answer.status_code
    return found


def documents(database: Database, patient_id: UUID) -> int:
    with database.connect("reader") as reader:
        row = reader.execute("select count(*) from read.plan where patient_id = %s", [patient_id]).fetchone()
    assert row is not None
    return int(row[0])


def test_nothing_is_served_or_written_before_the_ledger_was_applied(world: World, backups: Backups) -> None:
    maria, john = world.register(MARIA, "Specimen"), world.register(JOHN, "Muster")
    kept = ledger(world.settings)
    backups.take()
    until(lambda: (status(world, maria), status(world, john)) == (200, 200), "connections are opened anew", 10)
    destroyed(world, kept, maria)
    world.fold()
    gone = status(world, maria)
    assert (gone, status(world, john)) == (404, 200)

    guarding = Guard(kept)
    fresh = world.database._replace(keys=KeyRing(world.database.keys.provider))
    with (
        closing(
            Writer(Log(lambda: guarding.opened(lambda: fresh.connect("writer")), fresh.keys), fresh.keys)
        ) as writer,
        closing(Engine(lambda: guarding.opened(lambda: fresh.connect("projector")), fresh.keys, PROJECTIONS)) as engine,
    ):
        writer.submit(work("before", CARE_PLAN_NEED))
        stopping = threading.Event()
        runner = threading.Thread(target=engine.run, args=[stopping.is_set, lambda _: None])
        runner.start()
        try:
            backups.restore()
            world.database.keys.evict(key_of(world.database, maria))
            with world.database.connect("reader") as reader:
                assert len(unapplied(reader, kept)) == 1, "the backup is not from before the destruction"
            for _ in range(5):
                assert (status(world, maria), status(world, john)) == (503, 503)
            with pytest.raises(NotServed, match="1 destroyed keys are back"):
                writer.submit(work("between", CARE_PLAN_NEED))
            assert engine_is_away(engine)

            with world.database.connect("owner") as owner:
                reapply(owner, world.database.keys, kept, unheard)
            until(lambda: status(world, john) == 200, "readers go on by themselves", 20)
            assert status(world, maria) == gone
            assert writer.submit(work("after", CARE_PLAN_NEED)).outcome == "rejected"
            until(lambda: bool(engine.led), "the engine goes on by itself", 20)
            until(lambda: documents(world.database, maria) == 0, "nothing of her is folded", 10)
        finally:
            stopping.set()
            runner.join()


def key_of(database: Database, patient_id: UUID) -> UUID:
    with database.connect("auditor") as auditor:
        row = auditor.execute("select key_id from log.keys where patient_id = %s", [patient_id]).fetchone()
    assert row is not None, "her key is not back"
    found: UUID = row[0]
    return found


def engine_is_away(engine: Engine) -> bool:
    time.sleep(1.5)
    return not engine.led


class Reads(Ledger):
    """Counts how often it is read."""

    times = 0

    def destructions(self) -> Any:
        type(self).times += 1
        return super().destructions()


def test_the_ledger_is_read_again_only_for_another_database(database: Database, tmp_path: Path) -> None:
    Reads.times = 0
    guarding = Guard(Reads(tmp_path / "destructions.jsonl", database.keys.provider))
    for _ in range(3):
        guarding.opened(lambda: database.connect("reader")).close()
    assert Reads.times == 1


def test_two_threads_that_meet_a_database_at_once_are_no_exchange(database: Database, tmp_path: Path) -> None:
    class Meanwhile(Reads):
        """While it is read for the first time, another thread opens its connection too."""

        def destructions(self) -> Any:
            told = super().destructions()
            if self.times == 1:
                guarding.opened(lambda: database.connect("reader")).close()
            return told

    guarding = Guard(Meanwhile(tmp_path / "destructions.jsonl", database.keys.provider))
    with capture_logs() as logs:
        guarding.opened(lambda: database.connect("reader")).close()
    assert (Meanwhile.times, logs) == (2, [])


def test_a_ledger_out_of_reach_keeps_out_another_database_alone(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    kept = Ledger(folder / "destructions.jsonl", database.keys.provider)
    guarding = Guard(kept)
    guarding.opened(lambda: database.connect("reader")).close()
    folder.rmdir()
    guarding.opened(lambda: database.connect("writer")).close()
    with pytest.raises(NotServed, match="is it mounted"):
        Guard(kept).opened(lambda: database.connect("reader"))
