"""Rebuilds that are killed -9 at twenty random moments while events arrive and people read: nothing is ever amiss."""

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.integration.test_engine_growth import differing
from tests.processes import Processes, processes_of, until
from tests.rebuilding import Site, site_of
from tests.watching import Watching, meanwhile

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

PERSONS = 600
KILLS = 20
PER_SECOND = 100


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    with site_of(database, tmp_path) as site:
        yield site


def writing(site: Site) -> Callable[[threading.Event], None]:
    def write(stopping: threading.Event) -> None:
        while not stopping.is_set():
            began = time.monotonic()
            site.tell_some(PER_SECOND // 10, PERSONS)
            time.sleep(max(0.0, began + 0.1 - time.monotonic()))

    return write


def rebuilding(processes: Processes) -> "subprocess.Popen[bytes]":
    return processes.start("rebuild", "all", "--processes", "2")


def is_building(site: Site) -> bool:
    return bool(site.one("select exists (select from read.generations where state = 'building')"))


def has_begun(site: Site, process: "subprocess.Popen[bytes]") -> float:
    return until(lambda: is_building(site) or process.poll() is not None, "the rebuild begins")


def completes(site: Site, processes: Processes) -> float:
    """Seconds from its first table to its end."""
    process = rebuilding(processes)
    has_begun(site, process)
    return until(lambda: process.poll() == 0, "the rebuild ends", 120)


@pytest.mark.timeout(600)
def test_killing_it_at_any_moment_harms_nothing(site: Site, tmp_path: Path) -> None:
    chance = random.Random(20)
    site.tell(PERSONS, times=4)
    site.catch_up()
    with site.database.connect("auditor") as connection:
        patients = [row[0] for row in connection.execute("select patient_id from log.keys order by 1 limit 8")]
    watching = Watching(site.database.url("reader"), site.tools.keys(), patients)
    with processes_of(site, tmp_path) as processes:
        engine = processes.start("run")
        with meanwhile(writing(site), watching.run):
            lasts = completes(site, processes)
            for _ in range(KILLS):
                process = rebuilding(processes)
                has_begun(site, process)
                time.sleep(chance.uniform(0, min(lasts, 3)))
                process.kill()
                process.wait()
            completes(site, processes)
        engine.terminate()
        assert engine.wait(20) == 0
    assert watching.wrong == []
    assert watching.answers > 500
    site.catch_up()
    assert differing(site.database) == []
    assert site.one("select count(*) from read.generations where state = 'building'") == 0
    assert site.one("select count(*) from read.parked") == 0
