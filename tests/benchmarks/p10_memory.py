"""P10: the most memory that each process takes over a log: consumer, API, engine, and a rebuild in two processes."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaProducer

from infra.children import free_port
from infra.local_issuer import LocalIssuer
from infra.settings import load_settings
from infra.topics import Topic, create_topics
from projections.catalogue import STORED
from projections.tables import generations
from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.lab import Lab
from tests.benchmarks.p4_rebuild import EVENTS, MANY, Filled, environment, log_of
from tests.benchmarks.serving import Server, get, send_all, wait_for_port
from tests.benchmarks.traffic import in_rounds, patients, reports

PERSONS = 200
# Of so many, the consumer takes in the events of new people, and the API serves plans and histories.
MOST_TAKEN_IN, MOST_READ = 1_000, 2_000
TOPIC, AT_ONCE = "care-events", 500
_KIB, _MB = 1_024, 1_000_000
_LONGEST_SECONDS = 1_800
_BOUND, _OF_PROJECTIONS, _OF_REBUILD = 250, 350, 300


def run(lab: Lab) -> list[Figure]:
    return _measured(lab, PERSONS)


def run_large(lab: Lab) -> list[Figure]:
    """After a million events."""
    return _measured(lab, MANY)


def _measured(lab: Lab, persons: int) -> list[Figure]:
    """A large log is first folded by a rebuild, as an operator would; the engine then folds what is taken in."""
    filled = log_of(lab, "p10", persons)
    with filled.database.connect("projector") as projector:
        generations.ensure(projector, STORED)
    lab.say("P10: rebuilding")
    rebuild = _peak(lab, filled, ["projections", "rebuild", "all", "--processes", "2"], _has_ended)
    lab.say("P10: reading over HTTP")
    api = _serving(lab, filled)
    lab.say("P10: taking in")
    consumer = _taking_in(lab, filled, persons)
    lab.say("P10: folding")
    engine = _peak(lab, filled, ["projections", "run"], lambda _: _is_folded(filled))
    return [
        at_most("P10 projections with their cache", [engine], _OF_PROJECTIONS, "MB"),
        at_most("P10 rebuild, the largest of three processes", [rebuild], _OF_REBUILD, "MB"),
        at_most("P10 API", [api], _BOUND, "MB"),
        at_most("P10 consumer", [consumer], _BOUND, "MB"),
    ]


def _serving(lab: Lab, filled: Filled) -> float:
    port = free_port()
    issuer = LocalIssuer(lab.folder, load_settings().local_issuer, load_settings().local_audience)
    read = [patient_id for patient_id, _ in patients(filled.database)[:MOST_READ]]
    token = issuer.token("auditor")
    requests = [get(f"/v1/patients/{each}/{what}", token) for each in read for what in ("plan", "history")]
    with _running(lab, filled, ["api", "serve"], {"PORT": str(port)}) as process:
        wait_for_port(port, process)
        asyncio.run(send_all(Server(port, requests, []), 1))
        return _resident_at_most(process.pid)


def _taking_in(lab: Lab, filled: Filled, persons: int) -> float:
    """The messages of as many new people, at most MOST_TAKEN_IN."""
    bootstrap = lab.broker().bootstrap
    create_topics({"bootstrap_servers": bootstrap}, [Topic(TOPIC, partitions=2)])
    sent = _published(bootstrap, range(persons, persons + min(persons, MOST_TAKEN_IN)))
    command = ["consumers", "run"]
    return _peak(lab, filled, command, lambda _: _taken_in(filled) == sent, {"KAFKA_BOOTSTRAP": bootstrap})


def _published(bootstrap: str, persons: range) -> int:
    producer, sent = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20), 0
    for first in range(persons.start, persons.stop, AT_ONCE):
        for each in in_rounds(reports(person, EVENTS) for person in persons if first <= person < first + AT_ONCE):
            producer.send(TOPIC, value=each.value, headers=list(each.headers), partition=sent % 2)
            sent += 1
    producer.flush()
    producer.close()
    return sent


def _taken_in(filled: Filled) -> int:
    with filled.database.connect("auditor") as connection:
        row = connection.execute("select coalesce(sum(next_offset), 0) from log.offsets").fetchone()
    return int(row[0]) if row else 0


def _peak(
    lab: Lab,
    filled: Filled,
    command: list[str],
    is_done: Callable[["subprocess.Popen[bytes]"], bool],
    more: Mapping[str, str] | None = None,
) -> float:
    """MB of the largest of a command's processes at its largest."""
    deadline, most = time.monotonic() + _LONGEST_SECONDS, 0.0
    with _running(lab, filled, command, more or {}) as process:
        while not is_done(process):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{' '.join(command)} did not end")
            most = max([most, *map(_resident_at_most, [process.pid, *_children(process.pid)])])
            time.sleep(0.1)
        return max(most, _resident_at_most(process.pid))


@contextmanager
def _running(
    lab: Lab, filled: Filled, command: list[str], more: Mapping[str, str]
) -> Iterator["subprocess.Popen[bytes]"]:
    given = {**environment(lab, filled), **more}
    process = subprocess.Popen([sys.executable, "-m", *command], env=given, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    return process.poll() is not None


def _resident_at_most(pid: int) -> float:
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    peaks = [int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM:")]
    return sum(peaks) * _KIB / _MB


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_folded(filled: Filled) -> bool:
    with filled.database.connect("auditor") as connection:
        row = connection.execute("select min(position) from read.serving").fetchone()
        head = connection.execute("select max(position) from log.events").fetchone()
    return row is not None and row == head
