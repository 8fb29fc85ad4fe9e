"""`make run`, from the outside: it opens its doors, tells its stories, and leaves nothing behind."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.children import free_port, is_free
from infra.demo import DEMO_SEED
from infra.postgres import EmbeddedPostgres
from infra.settings import DATABASE
from infra.supervisor import PROCESSES
from infra.synthetic.journeys import journey
from infra.synthetic.simulate import read_told
from projections.catalogue import STORED
from tests.unit.test_dashboards import expressions, named_in

ROOT = Path(__file__).parents[2]
READY_SECONDS = 150
STOP_SECONDS = 20
SEAL_SECONDS = 30
PEOPLE = 3
ORIGINS = {"events": "localhost/log", "accesses": "localhost/log/accesses"}

pytestmark = [pytest.mark.postgres, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]


class Run:
    """One `python -m infra run` over a folder; its output goes to a file that grows with every start."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port, self.kafka_port = free_port(), free_port()
        self.said_in = folder / "said.txt"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("POSTGRES_PORT", "MAKELEVEL")},
            "ENVIRONMENT": "development",
            "DATA_DIR": str(folder / "data"),
            "PORT": str(self.port),
            "KAFKA_PORT": str(self.kafka_port),
            "DEMO_PATIENTS": str(PEOPLE),
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.said_in.write_bytes(b"")
        with self.said_in.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra", "run"], cwd=ROOT, env=self.environment, stdout=said, stderr=said
            )

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def said(self) -> str:
        return self.said_in.read_text(errors="replace")

    def wait_for(self, done: Callable[[str], bool], seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while not done(self.said()):
            assert self.process is not None
            assert self.process.poll() is None, f"it ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"it took too long:\n{self.said()}"
            time.sleep(0.2)
        return self.said()

    def wait_until_ready(self) -> str:
        return self.wait_for(lambda said: f"Ready: http://127.0.0.1:{self.port}\n" in said, READY_SECONDS)

    def wait_for_stories(self) -> str:
        return self.wait_for(lambda said: said.count("make token ROLE=") == PEOPLE, READY_SECONDS)

    def children(self) -> list[str]:
        """Command lines of every process that was given this folder, the supervisor apart."""
        mark = str(self.folder)
        assert self.process is not None
        ours = (os.getpid(), self.process.pid)
        others = [each for each in Path("/proc").iterdir() if each.name.isdigit() and int(each.name) not in ours]
        told = [(_of_process(each, "cmdline"), _of_process(each, "environ")) for each in others]
        return [command for command, environment in told if mark in command + environment]

    def end(self, number: signal.Signals) -> float:
        """Send the signal; how many seconds until the supervisor was gone."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)
        return time.monotonic() - began

    def wait_until_nothing_is_left(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert self.children() == []
        assert is_free(self.port)
        assert is_free(self.kafka_port)


def _of_process(entry: Path, what: str) -> str:
    try:
        return (entry / what).read_text(errors="replace")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return ""


@pytest.fixture
def run(server_folder: Path) -> Iterator[Run]:
    run = Run(server_folder)
    yield run
    if run.process is not None and run.process.poll() is None:
        run.end(signal.SIGTERM)


def _events(run: Run) -> int:
    server = EmbeddedPostgres(run.folder / "data", _postgres_port(run))
    with psycopg.connect(server.url("reader", DATABASE)) as reader:
        row = reader.execute("select count(*) from log.events").fetchone()
    assert row is not None
    return int(row[0])


def _postgres_port(run: Run) -> int:
    lines = (run.folder / "data" / "settings.env").read_text().splitlines()
    return int(dict(line.split("=", 1) for line in lines)["POSTGRES_PORT"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children end with their parent on Linux only")
def test_it_opens_tells_its_stories_stops_and_goes_on_where_it_was(run: Run) -> None:
    run.start()
    run.wait_until_ready()
    stories = [line for line in run.wait_for_stories().splitlines() if "make token ROLE=" in line]
    events = _events(run)
    _the_stories_can_be_read(run)
    _what_happened_is_signed(run, events)
    _every_process_is_measured(run)
    _no_log_names_a_patient(run)

    assert run.end(signal.SIGTERM) < STOP_SECONDS / 2
    assert run.process is not None
    assert run.process.returncode == 0
    run.wait_until_nothing_is_left()

    run.start()
    run.wait_until_ready()
    assert [line for line in run.wait_for_stories().splitlines() if "make token ROLE=" in line] == stories
    assert _events(run) == events

    run.end(signal.SIGKILL)
    run.start()
    run.wait_until_ready()
    assert _events(run) == events
    run.end(signal.SIGTERM)
    run.wait_until_nothing_is_left()


def _the_stories_can_be_read(run: Run) -> None:
    people = json.loads(run.command("infra", "demo", "--json").stdout)
    assert len(people) == PEOPLE
    assert all(each["patient_id"] and each["nhs_number"] and each["birth_date"] for each in people)
    token = run.command("infra", "token", "patient", "--patient", people[0]["patient_id"])
    assert token.returncode == 0, token.stderr
    door = http.client.HTTPConnection("127.0.0.1", run.port, timeout=10)
    door.request("GET", "/v1/me", headers={"authorization": f"Bearer {token.stdout.strip()}"})
    assert door.getresponse().status == 200
    door.close()
    checked = json.loads(run.command("infra", "check", "--json").stdout)
    assert [each for each in checked if not each["passed"]] == []


def _signed(run: Run) -> list[dict[str, Any]]:
    signed: list[dict[str, Any]] = json.loads(run.command("infra", "checkpoint", "--json").stdout)
    return signed


def _what_happened_is_signed(run: Run, events: int) -> None:
    signed = _signed(run)
    deadline = time.monotonic() + SEAL_SECONDS
    while len(signed) < len(ORIGINS) and time.monotonic() < deadline:
        time.sleep(0.5)  # accesses are sealed when no transaction that began before them is open
        signed = _signed(run)
    assert {each["log"]: each["origin"] for each in signed} == ORIGINS
    assert next(each["size"] for each in signed if each["log"] == "events") >= events
    for each in signed:
        kept = run.folder / "data" / "checkpoints" / f"{each['log']}.checkpoint"
        assert kept.read_text().startswith(each["origin"])


def _every_process_is_measured(run: Run) -> None:
    """Prometheus finds all of them, and what dashboards and alerts name."""
    scraped: dict[str, str] = {}
    for each in json.loads((run.folder / "data" / "metrics.json").read_text()):
        (target,) = each["targets"]
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            scraped[each["labels"]["process"]] = answer.read().decode()
    assert set(scraped) == set(PROCESSES)
    exist = set(re.findall(r"^# TYPE ([a-z_]+) ", "\n".join(scraped.values()), re.MULTILINE))
    suffixes = ("_total", "_bucket", "_sum", "_count")
    assert named_in(expressions()) - exist - {f"{name}{suffix}" for name in exist for suffix in suffixes} == set()
    assert f"projections_led {len(STORED)}.0" in scraped["projections"]


def _no_log_names_a_patient(run: Run) -> None:
    told = read_told(run.folder / "data", DEMO_SEED)
    assert told is not None
    logs = [run.said_in, *(run.folder / "data" / "logs").iterdir(), *run.folder.glob("data/*/*.log")]
    assert {"api.log", "consumers.log", "projections.log", "server.log", "broker.log"} <= {log.name for log in logs}
    words = "\n".join(log.read_text(errors="replace") for log in logs)
    for index in range(PEOPLE):
        person = journey(DEMO_SEED, index, told.day).person
        contact = (person.family, person.postcode, person.telephone, person.street)
        identifying = (person.nhs_number, person.hospital_number, *contact, person.birth_date.isoformat())
        assert [each for each in identifying if each in words] == []


def test_a_killed_make_does_not_leave_the_system_behind(run: Run) -> None:
    run.environment["DEMO_PATIENTS"] = "0"
    make = shutil.which("make") or "make"
    with run.said_in.open("ab") as said:
        run.process = subprocess.Popen([make, "run"], cwd=ROOT, env=run.environment, stdout=said, stderr=said)
    run.wait_until_ready()
    run.end(signal.SIGKILL)
    run.wait_until_nothing_is_left()


def test_a_dead_child_is_started_again(run: Run) -> None:
    run.environment["DEMO_PATIENTS"] = "0"
    run.start()
    run.wait_until_ready()
    for name in ("consumers", "projections"):
        (pid,) = _pids(run, name)
        os.kill(pid, signal.SIGKILL)
        run.wait_for(_says(f"{name} started again"), 30)
    assert "make token" not in run.said()


def _says(words: str) -> Callable[[str], bool]:
    return lambda said: words in said


def _pids(run: Run, name: str) -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and f"-m\0{name}\0run\0" in _of_process(entry, "cmdline")
        and str(run.folder) in _of_process(entry, "environ")
    ]


def test_without_java_it_says_so_and_goes_on_over_http(server_folder: Path, tmp_path: Path) -> None:
    run = Run(server_folder, JAVA_HOME=str(tmp_path))
    run.start()
    try:
        run.wait_until_ready()
        said = run.wait_for_stories()
    finally:
        run.end(signal.SIGTERM)
    assert "NO KAFKA: Kafka needs Java" in said
    run.wait_until_nothing_is_left()


@pytest.mark.parametrize("setting", ["PORT", "KAFKA_PORT"])
def test_a_port_that_is_taken_is_named(server_folder: Path, setting: str) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        run = Run(server_folder, **{setting: str(stranger.getsockname()[1])})
        done = run.command("infra", "run")
    assert done.returncode == 1
    assert f"set {setting} to another one" in done.stderr
    assert run.process is None


def test_wrong_settings_are_one_line(server_folder: Path) -> None:
    done = Run(server_folder, DEMO_PATIENTS="many").command("infra", "run")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "DEMO_PATIENTS" in line


def test_a_data_folder_of_another_postgresql_is_refused(run: Run) -> None:
    data = run.folder / "data"
    server = EmbeddedPostgres(data)
    server.start()
    server.stop()
    (data / "postgres" / "cluster" / "data" / "PG_VERSION").write_text("12\n")
    done = run.command("infra", "run")
    assert done.returncode == 1
    assert "PostgreSQL 12" in done.stderr
