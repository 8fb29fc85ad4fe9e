"""Writing processes with rollbacks, killed backends and one killed outright, beside readers that follow the tail."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import psycopg
import pytest

from infra.keys import FileKeyProvider
from tests.conftest import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

SECONDS = 12
RACERS = ("a", "b", "c", "killed")

SPANS = """select first_position, last_position from log.receipts where first_position is not null order by 1"""
GAPS = {
    "positions": "select count(*) from log.events having count(*) <> max(position) or min(position) <> 1",
    "times": """select 1 from (select recorded_at < lag(recorded_at) over (order by position) as back from log.events) t
                 where back""",
    "patient sequences": """select patient_id from log.events where patient_id is not null group by patient_id
                            having count(*) <> max(patient_seq) or min(patient_seq) <> 1""",
    "patient sequences against positions": """select 1 from (
            select patient_seq - lag(patient_seq, 1, 0) over (partition by patient_id order by position) as step
              from log.events where patient_id is not null) t where step <> 1""",
    "versions": """select stream_id from log.events group by stream_id
                   having count(*) <> max(version) or min(version) <> 1""",
    "versions against positions": """select 1 from (
            select version - lag(version, 1, 0) over (partition by stream_id order by position) as step
              from log.events) t where step <> 1""",
    "owners of streams": """select stream_id from log.events where patient_id is not null group by stream_id
                            having count(distinct patient_id) > 1""",
    "keys": """select 1 from log.events e left join log.keys k using (key_id)
                where e.patient_id is not null and k.patient_id is distinct from e.patient_id""",
    "persons registered twice": """select patient_id from log.events where type = 'patient.registered.v1'
                                   group by patient_id having count(*) > 1""",
    "persons whom no identifier names": """select patient_id from log.events where type = 'patient.registered.v1'
                                           except select patient_id from log.identifiers""",
    "leaves": """select position from log.events where leaf_hash <> log.leaf(position, recorded_at, stream_id, version,
                   patient_id, patient_seq, type, occurred_at, occurred_precision, payload, key_id)""",
}


def follow(database: Database, ended: Event) -> int:
    """Polls the tail until the race has ended and nothing is left; returns the last position seen."""
    last, last_at = 0, None
    query = "select position, recorded_at from log.events where position > %s order by position limit 200"
    with database.connect("auditor") as connection:
        while True:
            is_over = ended.is_set()
            rows = connection.execute(query, [last]).fetchall()
            for position, recorded_at in rows:
                assert position == last + 1, f"{position} came after {last}"
                assert last_at is None or recorded_at >= last_at
                last, last_at = position, recorded_at
            if is_over and not rows:
                return last
            time.sleep(random.uniform(0, 0.01))


def kill_backends(database: Database, ended: Event) -> int:
    kill = """select pg_terminate_backend(pid) from pg_stat_activity
               where application_name = 'racer' and datname = %s order by random() limit 1"""
    killed = 0
    with psycopg.connect(database.server.url(), autocommit=True) as superuser:
        while not ended.wait(random.uniform(0.2, 0.8)):
            killed += len(superuser.execute(kill, [database.name]).fetchall())
    return killed


@pytest.fixture
def racers(database: Database, tmp_path: Path) -> Iterator[dict[str, "subprocess.Popen[str]"]]:
    FileKeyProvider.generate(tmp_path / "keys.json")
    told = [database.url("writer"), str(tmp_path / "keys.json")]
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.racer", *told, str(tmp_path / name), name, str(SECONDS)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for name in RACERS
    }
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def kill_one(process: "subprocess.Popen[str]", answers: Path) -> None:
    """In the middle of its work: after half the time, and not before it has been answered at all."""
    time.sleep(SECONDS / 2)
    for _ in range(300):
        if answers.exists() and answers.stat().st_size > 0:
            break
        time.sleep(0.1)
    process.kill()


def run(database: Database, racers: dict[str, "subprocess.Popen[str]"], folder: Path) -> Counter[str]:
    ended = Event()
    with ThreadPoolExecutor(3) as pool:
        readers: list[Future[int]] = [pool.submit(follow, database, ended) for _ in range(2)]
        killer = pool.submit(kill_backends, database, ended)
        try:
            kill_one(racers["killed"], folder / "killed")
            counts = Counter[str]()
            for name, process in racers.items():
                told, _ = process.communicate(timeout=60)
                if name != "killed":
                    assert process.returncode == 0
                    counts.update(orjson.loads(told.splitlines()[-1]))  # above it stands what was logged
        finally:
            ended.set()
        counts["killed backends"] = killer.result()
        assert readers[0].result() == readers[1].result() == len(rows(database, "select 1 from log.events"))
    return counts


def rows(database: Database, query: str) -> list[Any]:
    with database.connect("auditor") as connection:
        return connection.execute(query).fetchall()


def acknowledged(folder: Path) -> list[list[Any]]:
    """The killed process may have left half a line, which it has not acknowledged."""
    lines = [line for name in RACERS for line in (folder / name).read_text().splitlines(keepends=True)]
    return [orjson.loads(line) for line in lines if line.endswith("\n")]


def check_spans(database: Database) -> None:
    """Each event of a patient belongs to exactly one receipt."""
    covered = [position for first, last in rows(database, SPANS) for position in range(first, last + 1)]
    of_patients = [row[0] for row in rows(database, "select position from log.events where patient_id is not null")]
    assert sorted(covered) == sorted(of_patients)


def test_the_log_stays_whole(database: Database, racers: dict[str, "subprocess.Popen[str]"], tmp_path: Path) -> None:
    counts = run(database, racers, tmp_path)
    assert {name: found for name, query in GAPS.items() if (found := rows(database, query))} == {}
    check_spans(database)

    receipts = {
        bytes(key).decode(): [outcome, first, last]
        for key, outcome, first, last in rows(
            database, "select key, outcome, first_position, last_position from log.receipts"
        )
    }
    answers = acknowledged(tmp_path)
    assert [each for each in answers if receipts.get(each[0]) != each[1:]] == []
    deadlocks = f"select deadlocks from pg_stat_database where datname = '{database.name}'"
    assert rows(database, deadlocks) == [(0,)]

    # Had nothing gone wrong on the way, this would have proved little.
    assert len(answers) > 200
    assert min(counts["Stale"], counts["Known"], counts["killed backends"], counts["raw transactions"]) > 3
