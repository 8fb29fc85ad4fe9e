"""A writer that stops in the wrong place, and batches beside which others still have their turn."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Event
from uuid import UUID

import psycopg
import pytest

from infra.connections import appending
from infra.writing.batch import Batch
from infra.writing.log import Appended, Known, Log, Stale
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.works import CARE_PLAN_NEED, called, message, part, work

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

# Takes the append lock as a writer does that decides for the third time, and stops there.
_STOPS = """
import os, signal, sys
from infra.connections import appending
connection = appending(sys.argv[1], idle_seconds=1)
with connection.transaction():
    connection.execute("select pg_advisory_xact_lock(7305550312)")
    print("holds", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture
def stopped(database: Database) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", _STOPS, database.url("writer")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    yield process
    process.kill()
    process.communicate()


def test_a_stopped_holder_of_the_lock_halts_nobody(database: Database, stopped: "subprocess.Popen[str]") -> None:
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "holds\n"
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED)
    with closing(Writer(Log(lambda: appending(database.url("writer")), database.keys), database.keys)) as writer:
        assert writer.submit(work("1", CARE_PLAN_NEED)).outcome == "recorded"
    stopped.send_signal(signal.SIGCONT)
    _, told = stopped.communicate(timeout=20)
    assert stopped.returncode != 0  # it finds out that its transaction is gone, and would try again
    assert "terminat" in told


def test_whoever_waits_for_the_lock_gives_up_before_it_is_forgotten(database: Database) -> None:
    with appending(database.url("writer")) as connection:
        told = connection.execute(
            """select name, setting::integer from pg_settings where name in
               ('lock_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')"""
        )
        bounds = dict(told.fetchall())
    assert 0 < bounds["idle_in_transaction_session_timeout"] < bounds["lock_timeout"] < bounds["transaction_timeout"]


class HeldLog(Log):
    """Its first append waits until it may go on."""

    def __init__(self, database: Database) -> None:
        super().__init__(lambda: database.connect("writer"), database.keys)
        self.began, self.may = Event(), Event()

    def append(
        self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
    ) -> Appended | Stale | Known:
        self.began.set()
        self.may.wait(20)
        return super().append(seen, reads, batch, not_after)


def test_a_command_does_not_wait_for_the_whole_of_a_large_batch(database: Database) -> None:
    log = HeldLog(database)
    batch = [message(str(number), [part(CARE_PLAN_NEED, patient=called(str(number)))]) for number in range(90)]
    with closing(Writer(log, database.keys, most=30)) as writer, ThreadPoolExecutor(2) as callers:
        many = callers.submit(writer.write, batch)
        log.began.wait(20)
        one = callers.submit(writer.submit, work("command", CARE_PLAN_NEED, patient=called("someone else")))
        while not len(writer._turns._arriving):
            pass
        log.may.set()
        first, *_, last = many.result(20)
        assert first.position < one.result(20).position < last.position
        assert len({each.position for each in many.result()}) == 3


def test_a_lost_acknowledgement_within_a_large_batch_ends_with_the_original_receipts(database: Database) -> None:
    class LosingLog(Log):
        number = 0

        def append(
            self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
        ) -> Appended | Stale | Known:
            answer = super().append(seen, reads, batch, not_after)
            self.number += 1
            if self.number == 2:
                self.connection.close()
                raise psycopg.OperationalError("the connection was lost")
            return answer

    batch = [message(str(number), [part(CARE_PLAN_NEED, patient=called(str(number)))]) for number in range(60)]
    with closing(Writer(LosingLog(lambda: database.connect("writer"), database.keys), database.keys, most=20)) as one:
        outcomes = one.write(batch)
        assert [each.known for each in outcomes] == [False] * 20 + [True] * 20 + [False] * 20
        assert one.write(batch) == [each._replace(known=True) for each in outcomes]
    with database.connect("auditor") as connection:
        assert connection.execute("select count(*), max(position) from log.events").fetchone() == (180, 180)
