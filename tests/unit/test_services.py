"""Children under the supervisor: started again with growing pauses, their logs followed in single lines."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from infra.children import StartError
from infra.foundations import environment_of, only_one
from infra.services import Backoff, Follower, Service
from infra.settings import Role, Settings

SLEEPS = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")
ENVIRONMENT = {"PATH": os.environ["PATH"]}


def _lines_until(service: Service, done: Callable[[list[str]], bool], seconds: float = 10.0) -> list[str]:
    lines: list[str] = []
    deadline = time.monotonic() + seconds
    while not done(lines) and time.monotonic() < deadline:
        lines.extend(service.tend())
        time.sleep(0.02)
    return lines


def test_a_killed_child_is_started_again_and_said(tmp_path: Path) -> None:
    service = Service("worker", SLEEPS, ENVIRONMENT, tmp_path)
    service.start()
    first = service.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    lines = _lines_until(service, lambda told: "worker started again" in told)
    assert any("killed by SIGKILL" in line for line in lines)
    assert service.pid not in (None, first)
    service.stop(5.0)
    assert service.pid is None


def test_work_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    service = Service("once", (sys.executable, "-c", "print('done')"), ENVIRONMENT, tmp_path, once=True)
    service.start()
    lines = _lines_until(service, lambda _: service.is_done)
    assert service.is_done
    assert not any("again" in line for line in lines)


def test_work_that_fails_is_tried_again(tmp_path: Path) -> None:
    service = Service("once", (sys.executable, "-c", "raise SystemExit(3)"), ENVIRONMENT, tmp_path, once=True)
    service.start()
    lines = _lines_until(service, lambda told: "once started again" in told)
    assert any("exit code 3" in line for line in lines)
    service.stop(5.0)


def test_pauses_grow_to_half_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.failed() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert not backoff.is_due


def test_a_log_becomes_single_lines_that_do_not_repeat(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    follower = Follower("worker", log)
    events = [{"event": "folded", "level": "info", "position": place} for place in range(50)]
    warning = {"event": "write_retried", "level": "warning", "tried": 1}
    log.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in (*events, warning, warning)) + b'{"event": "half')
    assert list(follower.lines()) == [
        "worker: folded position=0",
        "worker: WARNING write_retried tried=1",
        "worker: WARNING write_retried tried=1",
    ]
    assert list(follower.lines()) == []


def test_words_that_are_no_log_lose_numbers_of_ten_digits(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    follower = Follower("worker", log)
    log.write_text("failed for 9990000018\n\n")
    assert list(follower.lines()) == ["worker: failed for [number]"]


def test_a_child_gets_only_the_database_logins_of_its_roles(tmp_path: Path) -> None:
    settings = Settings(environment="development", data_dir=tmp_path, postgres_port=5, database_url_owner="x")
    given = environment_of(settings, (Role.PROJECTOR,))
    assert [name for name in given if name.startswith("DATABASE_URL_")] == ["DATABASE_URL_PROJECTOR"]
    assert given["DATA_DIR"] == str(tmp_path)


def test_one_system_at_a_time_uses_a_folder(tmp_path: Path) -> None:
    with only_one(tmp_path) as cut_short:
        assert not cut_short
        with pytest.raises(StartError, match="another"), only_one(tmp_path):
            pass
    (tmp_path / "run.lock").write_text("4711\n")
    with only_one(tmp_path) as cut_short:
        assert cut_short
