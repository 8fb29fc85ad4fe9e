"""Kill -9 of the consumer, the projections and the broker in the middle of 20,000 messages: each has one effect."""

import gc
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from infra.children import spawn
from infra.kafka_broker import KafkaBroker
from infra.keys import FileKeyProvider
from infra.topics import Topic, create_topics
from tests.conftest import Database
from tests.events import binary, nhs_number

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    # kafka-python leaves the sockets of refused connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

ROOT = Path(__file__).parents[2]
TOPIC = "care-events"
MESSAGES = 20_000
PATIENTS = 2_000
TWICE = 1_000


class System:
    """A broker of its own, and processes over one database, each of which can be killed and started again."""

    def __init__(self, broker: KafkaBroker, database: Database, folder: Path) -> None:
        self.broker = broker
        self.database = database
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        FileKeyProvider.generate(folder / "keys.json")

    def start(self, layer: str) -> None:
        given = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "ENVIRONMENT": "development",
            "DATA_DIR": str(self._folder),
            "DATABASE_URL_WRITER": self.database.url("writer"),
            "DATABASE_URL_PROJECTOR": self.database.url("projector"),
            "KEY_FILE": str(self._folder / "keys.json"),
            "KAFKA_BOOTSTRAP": self.broker.bootstrap,
        }
        log = self._folder / f"{layer}.log"
        self._running[layer] = spawn([sys.executable, "-m", layer, "run"], log=log, environment=given)

    def kill(self, layer: str) -> None:
        process = self._running[layer]
        assert process.poll() is None, f"{layer} had stopped by itself"
        process.kill()
        process.wait()

    def stop(self, layer: str) -> int:
        self._running[layer].send_signal(signal.SIGTERM)
        return self._running[layer].wait(20)

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def one(self, query: str) -> Any:
        with self.database.connect("auditor") as auditor:
            row = auditor.execute(query).fetchone()
        assert row is not None
        return row[0]

    def receipts(self) -> int:
        return int(self.one("select count(*) from log.receipts"))


@pytest.fixture
def system(kafka_broker: KafkaBroker, server_folder: Path, database: Database) -> Iterator[System]:
    """`kafka_broker` shows that there is Java; this test kills one of its own."""
    with KafkaBroker(server_folder) as broker:
        create_topics({"bootstrap_servers": broker.bootstrap}, [Topic(TOPIC, partitions=6)])
        system = System(broker, database, server_folder)
        yield system
        system.end()
    gc.collect()


def numbers() -> list[str]:
    found = (nhs_number(serial) for serial in range(10 * PATIENTS))
    return [number for number in found if number is not None][:PATIENTS]


class Publisher:
    """Sends the next messages on demand. Some are sent twice, as a sender does who missed an acknowledgement."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=broker.bootstrap, acks="all", linger_ms=5, delivery_timeout_ms=300_000
        )
        once = list(range(MESSAGES - TWICE))
        self._left = [*once, *random.Random(7).sample(once, TWICE)]
        random.Random(11).shuffle(self._left)
        self._people = numbers()
        self._futures: list[Any] = []

    def send(self, count: int) -> None:
        chunk, self._left = self._left[:count], self._left[count:]
        for number in chunk:
            person = number % PATIENTS
            data = {
                "patient": {"nhs_number": self._people[person]},
                "fact": {"need": f"need-{number}", "concern": "work"},
            }
            message = binary(f"m-{number}", data, "care-plan.need-raised.v1")
            self._futures.append(
                self._producer.send(TOPIC, key=b"%d" % person, value=message.value, headers=list(message.headers))
            )

    def finish(self) -> None:
        self._producer.flush(timeout=120)
        for each in self._futures:
            each.get(timeout=60)
        self._producer.close()


def until(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_every_message_has_exactly_one_effect(system: System) -> None:
    system.start("consumers")
    system.start("projections")
    publisher = Publisher(system.broker)

    publisher.send(6_000)
    until(lambda: system.receipts() > 1_500, "the consumer takes messages in")
    system.kill("consumers")
    publisher.send(4_000)
    system.start("consumers")
    before = system.receipts()
    until(lambda: system.receipts() > before + 1_500, "a new consumer goes on")

    publisher.send(3_000)
    assert system.broker.pid is not None
    os.kill(system.broker.pid, signal.SIGKILL)
    publisher.send(3_000)
    system.kill("projections")
    until(lambda: system.broker.pid is None, "the broker is dead")
    system.broker.start()
    system.start("projections")
    publisher.send(MESSAGES)
    publisher.finish()

    until(lambda: system.receipts() == MESSAGES - TWICE, "every message is answered")
    until(lambda: system.one("select min(position) from read.checkpoints") == events(system), "all is folded")
    check(system)
    assert (system.stop("consumers"), system.stop("projections")) == (0, 0)


def events(system: System) -> int:
    return int(system.one("select coalesce(max(position), 0) from log.events"))


def check(system: System) -> None:
    needs = MESSAGES - TWICE
    assert system.one("select count(*) from log.events where type = 'care-plan.need-raised.v1'") == needs
    assert system.one("select count(*) from log.events where type = 'patient.registered.v1'") == PATIENTS
    assert system.one("select count(*) from log.events") == events(system) == needs + 2 * PATIENTS
    assert system.one("select count(distinct position) from log.events") == events(system)
    assert system.one("select sum(next_offset) from log.offsets") >= MESSAGES
    assert system.one("select count(*) from log.raw_messages") == needs
    assert system.one("select count(*) from log.receipts where outcome <> 'recorded'") == 0
    assert system.one("select count(*) from log.rejected") == 0
    assert system.one("select count(*) from read.parked") == 0
    unordered = """select count(*) from (select patient_seq - row_number() over
                   (partition by patient_id order by position) as gap from log.events) s where gap <> 0"""
    assert system.one(unordered) == 0
