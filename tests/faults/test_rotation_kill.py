"""A rotation that is killed at any moment is gone on with by the next, and no key is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from infra.keys import FileKeyProvider, KeyRing
from infra.settings import Role
from tests.conftest import Database

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
KEYS = 40_000
KILLS = 4


@pytest.fixture
def key_file(database: Database, tmp_path: Path) -> Path:
    """With so many keys under its first version that wrapping them anew takes a while."""
    path = tmp_path / "keys.json"
    FileKeyProvider.generate(path)
    ring = KeyRing(FileKeyProvider(path), limit=1)
    made = [(key_id, uuid4(), ring.generate(key_id)[1]) for key_id in (uuid4() for _ in range(KEYS))]
    into = "copy log.keys (key_id, patient_id, wrapped) from stdin"
    with database.connect("owner") as owner, owner.cursor() as rows, rows.copy(into) as copy:
        for each in made:
            copy.write_row(each)
    return path


def rotating(database: Database, key_file: Path) -> "subprocess.Popen[bytes]":
    given = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ENVIRONMENT": "development",
        "KEY_FILE": str(key_file),
    }
    given |= {"DATA_DIR": str(key_file.parent), "DATABASE_URL_CUSTODIAN": database.url(Role.CUSTODIAN)}
    command = [sys.executable, "-m", "infra", "keys", "rotate", "--json"]
    return subprocess.Popen(command, env=given, cwd=ROOT, stdout=subprocess.PIPE)


def under(database: Database, version: str) -> int:
    with database.connect("custodian") as custodian:
        row = custodian.execute(
            "select count(*) from log.keys where log.key_version(wrapped) = %s", [version]
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_killed_at_any_moment_it_goes_on(database: Database, key_file: Path) -> None:
    seen: list[int] = []
    for number in range(KILLS):
        process = rotating(database, key_file)
        deadline = time.monotonic() + 30
        while under(database, "2") <= (seen[-1] if seen else 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.Random(number).random() / 20)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it had ended by itself"
        seen.append(under(database, "2"))
    assert 0 < seen[0] < seen[-1] < KEYS
    out, _ = rotating(database, key_file).communicate(timeout=60)
    assert orjson.loads(out) == {"version": "2", "rewrapped": KEYS - seen[-1], "retired": ["1"]}
    keys = KeyRing(FileKeyProvider(key_file), limit=1)
    with database.connect("reader") as reader:
        rows = reader.execute("select key_id, wrapped from log.keys", binary=True).fetchall()
    assert len([keys.unwrap(key_id, wrapped) for key_id, wrapped in rows]) == KEYS
