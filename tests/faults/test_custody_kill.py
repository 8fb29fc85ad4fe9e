"""The process that carries out destructions is killed again and again: each is carried out once, nothing is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from infra.custody.ledger import Ledger
from infra.keys import FileKeyProvider, KeyRing
from infra.settings import Role
from infra.writing.log import Log
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.custody import agreed
from tests.works import CARE_PLAN_NEED, aside, called, work

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PEOPLE = 24
OTHERS = 1_500


def running(database: Database, folder: Path) -> "subprocess.Popen[bytes]":
    given = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ENVIRONMENT": "development",
        "KEY_FILE": str(folder / "keys.json"),
        "DATA_DIR": str(folder),
        "DATABASE_URL_SHREDDER": database.url(Role.SHREDDER),
        "CUSTODY_SECONDS": "0.1",
    }
    command = [sys.executable, "-m", "infra", "keys", "run"]
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(command, env=given, cwd=ROOT, stdout=said, stderr=said)


def left(database: Database) -> int:
    with database.connect("auditor") as auditor:
        row = auditor.execute(
            """select (select count(*) from log.destructions where carried_out_at is null)
                    + (select count(*) from log.monthly_keys where state <> 'open')"""
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_killed_at_any_moment_each_is_carried_out_once(database: Database, tmp_path: Path) -> None:
    FileKeyProvider.generate(tmp_path / "keys.json")
    keys = KeyRing(FileKeyProvider(tmp_path / "keys.json"))
    with closing(Writer(Log(lambda: database.connect("writer"), keys), keys)) as writer:
        numbers = [f"77{number:04}" for number in range(PEOPLE)]
        writer.write([work(each, CARE_PLAN_NEED, patient=called(each)) for each in numbers])
        named = [(f"aside-{each}", each) for each in numbers]
        others = [(f"other-{number}", f"somebody else, {number}") for number in range(OTHERS)]
        writer.write(
            [aside(key, "", "held")._replace(key=key.encode(), raw=raw.encode()) for key, raw in named + others]
        )
    with database.connect("auditor") as auditor:
        people = [row[0] for row in auditor.execute("select patient_id from log.keys")]
    for each in people:
        agreed(database._replace(keys=keys), each)
    chance, kills = random.Random(7), 0
    while left(database) and kills < 40:
        before = left(database)
        process = running(database, tmp_path)
        deadline = time.monotonic() + 30
        while left(database) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.random() / 4)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert left(database) == 0
    assert kills > 3, "it was never killed in the middle of its work"
    told = Ledger(tmp_path / "destructions.jsonl", keys.provider).destructions()
    assert sorted(each.patient_id for each in told) == sorted(map(str, people))
    with database.connect("auditor") as auditor:
        assert auditor.execute("select count(*) from log.keys").fetchone() == (0,)
        done = auditor.execute("select type from log.events where type = 'patient.key-destroyed.v1'").fetchall()
        rows = auditor.execute(
            """select m.receipt_key, m.sealed, k.key_id, k.wrapped
                 from log.raw_messages m join log.monthly_keys k using (key_id)""",
            binary=True,
        ).fetchall()
        raws = auditor.execute("select count(*) from log.raw_messages").fetchone()
    assert len(done) == PEOPLE
    assert raws == (OTHERS,)
    opened = {receipt: keys.unwrap(key_id, wrapped).open(sealed, receipt) for receipt, sealed, key_id, wrapped in rows}
    assert opened == {key.encode(): raw.encode() for key, raw in others}
