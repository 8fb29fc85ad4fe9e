"""Readers that wait for a position while the leader of the read side dies or freezes: they get a document that holds
it, or are told that it came too soon; and nobody is shown an older document after a newer one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from projections.catalogue import STORED
from tests.api_world import MARIA, World, world_of
from tests.conftest import Database
from tests.faults.test_takeover import leaders, pid_of_leader
from tests.processes import Processes, processes_of, until
from tests.rebuilding import Site

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

# What a read waits at most, and what the answer takes besides.
LONGEST_SECONDS = 2.0 + 3.0


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with world_of(database, tmp_path) as world:
        yield world


class Seen(NamedTuple):
    """One answer: the status, how far document and projection are, the needs in it, and how long it took."""

    status: int
    position: int
    projected: int
    needs: frozenset[str]
    problem: str
    seconds: float


def read(world: World, patient: UUID, headers: dict[str, str], at_least: int | None = None) -> Seen:
    began = time.monotonic()
    asked = {} if at_least is None else {"min-position": at_least}
    answer = world.get(f"/v1/patients/{patient}/plan", headers, **asked)
    took, body = time.monotonic() - began, answer.json()
    if answer.status_code != 200:
        return Seen(answer.status_code, 0, 0, frozenset(), body["type"].rsplit("/", 1)[1], took)
    needs = frozenset(each["concern"] for each in body["needs"])
    position, projected = (int(answer.headers[name]) for name in ("X-Position", "X-Projection-Position"))
    return Seen(answer.status_code, position, projected, needs, "", took)


@contextmanager
def watched(world: World, patient: UUID, headers: dict[str, str]) -> Iterator[list[Seen]]:
    """Somebody who reads again and again without waiting for anything."""
    stopping, seen = threading.Event(), list[Seen]()

    def watch() -> None:
        while not stopping.is_set():
            seen.append(read(world, patient, headers))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stopping.set()
        thread.join()


def never_goes_back(seen: list[Seen]) -> bool:
    return all(
        one.position <= other.position and one.projected <= other.projected and one.needs <= other.needs
        for one, other in pairwise(seen)
    )


def dies(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def stays_frozen(_pid: int) -> None:
    """As a host that is gone: the database hears nothing from it."""


@contextmanager
def two_runners(world: World, folder: Path) -> Iterator[tuple[Site, Processes]]:
    key_file = world.settings.key_file
    assert key_file is not None
    site = Site(world.database, key_file, world.writer)
    with processes_of(site, folder) as processes:
        for _ in range(2):
            processes.start("run")
        until(lambda: len(leaders(site)) == len(STORED), "someone leads")
        yield site, processes


@pytest.mark.parametrize("blow", [dies, stays_frozen])
def test_a_reader_waits_through_a_change_of_leader(world: World, tmp_path: Path, blow: Callable[[int], None]) -> None:
    patient, doctor = world.register(MARIA, "Specimen"), world.staff()
    waited: list[Seen] = []
    with (
        two_runners(world, tmp_path) as (site, processes),
        watched(world, patient, doctor) as seen,
        ThreadPoolExecutor(4) as readers,
    ):
        for number, concern in enumerate(("work", "sleep", "money")):
            leader = until_one_leads(site)
            os.kill(leader, signal.SIGSTOP)  # so that it is certain that it has not folded what is told now
            position = world.tell((CARE_PLAN, NeedRaised(need=str(number), concern=concern)))
            asked = [readers.submit(read, world, patient, doctor, position) for _ in range(4)]
            time.sleep(0.3)
            assert not any(each.done() for each in asked), "nobody has folded it"
            blow(leader)
            answers: list[Seen] = [each.result() for each in asked]
            for each in answers:
                holds_it_or_says_so(each, position, concern)
            until(lambda at=position: read(world, patient, doctor, at).status == 200, "another leads", 20)  # type: ignore[misc]
            holds_it(read(world, patient, doctor, position), position, concern)
            waited += answers
            if blow is stays_frozen:
                os.kill(leader, signal.SIGCONT)
            else:
                processes.start("run")
        time.sleep(1.0)  # a leader that was frozen comes back, and finds that it leads no more
    assert {each.status for each in seen} == {200}
    assert never_goes_back(seen)
    assert seen[-1].needs == {"work", "sleep", "money"}
    if blow is stays_frozen:
        assert {each.status for each in waited} == {503}, "a frozen leader leads for longer than a reader waits"
    else:
        assert 200 in {each.status for each in waited}, "another leads before a reader gives up"


def until_one_leads(site: Site) -> int:
    until(lambda: pid_of_leader(site) is not None and len(leaders(site)) == len(STORED), "one leads all", 20)
    found = pid_of_leader(site)
    assert found is not None
    return found


def holds_it_or_says_so(seen: Seen, position: int, concern: str) -> None:
    assert seen.seconds < LONGEST_SECONDS
    if seen.status == 503:
        assert seen.problem == "behind"
    else:
        holds_it(seen, position, concern)


def holds_it(seen: Seen, position: int, concern: str) -> None:
    assert seen.status == 200
    assert seen.projected >= position
    assert concern in seen.needs


def test_going_back_would_be_noticed() -> None:
    def at(position: int, projected: int, *needs: str) -> Any:
        return Seen(200, position, projected, frozenset(needs), "", 0.0)

    assert never_goes_back([at(1, 1, "a"), at(1, 2, "a"), at(3, 3, "a", "b")])
    assert not never_goes_back([at(2, 2, "a"), at(1, 2, "a")])
    assert not never_goes_back([at(2, 2, "a"), at(2, 1, "a")])
    assert not never_goes_back([at(2, 2, "a", "b"), at(2, 2, "a")])
