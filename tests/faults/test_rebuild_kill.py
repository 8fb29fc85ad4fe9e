"""Rebuilds that are killed -9 at twenty random moments while events arrive and people read: nothing is ever amiss."""

import asyncio
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool

from projections.folds.plan import PLAN
from projections.reading.reads import Reading, Served
from tests.conftest import Database
from tests.integration.test_engine_growth import differing
from tests.integration.test_read_side import AUDITOR
from tests.processes import Processes, processes_of, until
from tests.rebuilding import Site, site_of

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

PERSONS = 600
KILLS = 20
PER_SECOND = 100


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    with site_of(database, tmp_path) as site:
        yield site


class Watching:
    """Readers who poll some patients: what they get never goes back, and is never missing."""

    def __init__(self, site: Site, patients: list[UUID]) -> None:
        self._site = site
        self._patients = patients
        self.answers = 0
        self.wrong: list[str] = []

    def run(self, stopping: threading.Event) -> None:
        asyncio.run(self._run(stopping))

    async def _run(self, stopping: threading.Event) -> None:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            self._site.database.url("reader"), open=False, min_size=2, kwargs={"autocommit": True}
        )
        async with pool:
            reading = Reading(pool, self._site.tools.keys())
            await asyncio.gather(*(self._poll(reading, each, stopping) for each in self._patients))

    async def _poll(self, reading: Reading, patient: UUID, stopping: threading.Event) -> None:
        checkpoint = needs = 0
        while not stopping.is_set():
            served = await reading.document(PLAN, patient, AUDITOR)
            self.answers += 1
            self._judge(served, checkpoint, needs)
            if served.document is not None:
                checkpoint, needs = served.standing.checkpoint, len(served.document["needs"])
            await asyncio.sleep(0.02)

    def _judge(self, served: Served, checkpoint: int, needs: int) -> None:
        if served.document is None:
            self.wrong.append("nothing was served")
        elif served.standing.checkpoint < checkpoint:
            self.wrong.append(f"position {served.standing.checkpoint} after {checkpoint}")
        elif len(served.document["needs"]) < needs:
            self.wrong.append("an older document after a newer one")


@contextmanager
def meanwhile(*jobs: Callable[[threading.Event], None]) -> Iterator[None]:
    stopping = threading.Event()
    threads = [threading.Thread(target=job, args=[stopping]) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


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
    watching = Watching(site, patients)
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
