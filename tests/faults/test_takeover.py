"""Runners of the read side that die, freeze or lose their server: another leads within seconds, and nothing is lost."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from infra.keys import FileKeyProvider, KeyRing
from infra.migrate import migrate, prepare
from infra.postgres import EmbeddedPostgres
from infra.settings import Role
from projections.catalogue import STORED
from projections.folds.plan import PLAN
from projections.folds.record import RECORD
from projections.live import standing
from projections.live.engine import Engine
from projections.tables import halting
from tests.conftest import Database
from tests.integration.test_engine_growth import differing
from tests.processes import processes_of, until
from tests.rebuilding import Site, site_of

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    with site_of(database, tmp_path) as site:
        yield site


def leaders(site: Site) -> dict[str, str]:
    with site.database.connect("projector") as connection:
        return {each.projection: each.leader for each in standing.served(connection) if each.leader is not None}


def pid_of_leader(site: Site) -> int | None:
    found = set(leaders(site).values())
    return int(found.pop().rsplit(" ", 1)[1]) if len(found) == 1 else None


def is_up_to_date(site: Site) -> bool:
    return bool(site.one("select min(s.position) = (select max(position) from log.events) from read.serving s"))


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_another_leads_when_the_leader_dies_or_freezes(site: Site, tmp_path: Path, blow: signal.Signals) -> None:
    """A frozen process is like a host that is gone: the database hears nothing from it."""
    site.tell(5)
    with processes_of(site, tmp_path) as processes:
        running = [processes.start("run") for _ in range(2)]
        until(lambda: len(leaders(site)) == len(STORED), "someone leads")
        until(lambda: is_up_to_date(site), "all is folded")
        before = pid_of_leader(site)
        assert before in [each.pid for each in running]
        os.kill(before or 0, blow)
        site.tell(5)
        took = until(lambda: pid_of_leader(site) not in (before, None), "the other one leads", 20)
        until(lambda: is_up_to_date(site), "the other one goes on", 10)
        assert took < (4 if blow is signal.SIGKILL else 12)
        if blow is signal.SIGSTOP:
            os.kill(before or 0, signal.SIGCONT)
            site.tell(5)
            until(lambda: is_up_to_date(site), "both go on", 10)
    assert differing(site.database) == []


@contextmanager
def running(engine: Engine) -> Iterator[threading.Event]:
    """The engine in a thread, stopped at the end, or sooner by the event."""
    stopping = threading.Event()
    thread = threading.Thread(target=engine.run, args=[stopping.is_set, lambda _: None])
    thread.start()
    try:
        yield stopping
    finally:
        stopping.set()
        thread.join()
        engine.close()


def test_each_projection_has_a_leader_of_its_own(site: Site) -> None:
    site.tell(3)
    one, other = site.engine((PLAN, RECORD)), site.engine()
    with running(one) as stopping:
        until(lambda: len(one.led) == 2, "the first leads what it knows")
        with running(other):
            until(lambda: len(other.led) == 3, "the second leads the rest")
            until(lambda: is_up_to_date(site), "together they fold all")
            stopping.set()
            until(lambda: len(one.led) == 0 or not one.led or len(other.led) == 5, "the first goes")
            one.close()
            until(lambda: len(other.led) == 5, "the second leads all", 10)
            site.tell(3)
            until(lambda: is_up_to_date(site), "and folds all")
    assert differing(site.database) == []


def test_a_session_that_the_server_ends_is_opened_anew(site: Site) -> None:
    engine = site.engine()
    with running(engine):
        until(lambda: len(engine.led) == 5, "it leads")
        for _ in range(3):
            with psycopg.connect(site.database.server.url(), autocommit=True) as superuser:
                superuser.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'projections %'"
                )
            site.tell(2)
            until(lambda: is_up_to_date(site), "it comes back", 10)
    assert differing(site.database) == []


def test_a_server_that_starts_again_is_found_again(server_folder: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "keys.json"
    FileKeyProvider.generate(key_file)
    with EmbeddedPostgres(server_folder, durable=True) as server:
        with psycopg.connect(server.url(), autocommit=True) as superuser:
            prepare(superuser, "restarted")
        for role in Role:
            server.set_password(role)
        with psycopg.connect(server.url("owner", "restarted"), autocommit=True) as owner:
            migrate(owner)
        database = Database(server, "restarted", KeyRing(FileKeyProvider(key_file)))
        (tmp_path / "site").mkdir()
        with site_of(database, tmp_path / "site") as site, running(site.engine()):
            site.tell(2)
            until(lambda: is_up_to_date(site), "all is folded")
            server.stop()
            server.start()
            site.tell(2)
            until(lambda: is_up_to_date(site), "it comes back", 20)
            assert differing(site.database) == []


def test_a_gap_ends_the_process_and_is_told_to_all(site: Site, tmp_path: Path) -> None:
    site.tell(2)
    with site.database.connect("owner") as owner:
        owner.execute("alter table log.events disable trigger all")
        owner.execute("delete from log.events where position = 3")
    with processes_of(site, tmp_path) as processes:
        assert processes.start("run").wait(30) == 1
    with site.database.connect("reader") as connection:
        halt = halting.halted(connection)
        assert halt is not None
        assert "position 3 is missing" in halt.reason
    assert "line has stopped" in (tmp_path / "run.log").read_text()


def test_a_log_that_is_shorter_than_what_was_folded_stops_the_line(site: Site) -> None:
    site.tell(2)
    site.catch_up()
    with site.database.connect("projector") as connection:
        connection.execute("update read.checkpoints set position = position + 5")
    with closing(site.engine()) as engine, pytest.raises(Exception, match="not the log it was"):
        engine.catch_up()


def test_time_that_goes_back_between_two_batches_stops_the_line(site: Site) -> None:
    with closing(site.engine()) as engine:
        site.tell(2)
        engine.catch_up()
        site.tell(1)
        with site.database.connect("owner") as owner:
            owner.execute("alter table log.events disable trigger all")
            owner.execute("update log.events set recorded_at = recorded_at - interval '1 hour' where position > 6")
        with pytest.raises(Exception, match="goes back"):
            engine.catch_up()
