"""A consumer with a real broker and a real log, as a process has them, and what became of what was sent."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from kafka import KafkaProducer
from prometheus_client import CollectorRegistry

from consumers.ingest_metrics import IngestMetrics
from consumers.kafka import Intake
from consumers.messages import RawMessage
from consumers.pipeline import Pipeline
from infra.kafka_broker import KafkaBroker
from infra.topics import MAX_BATCH_BYTES, Topic, create_topics
from infra.writing.log import Log
from infra.writing.writer import Writer
from tests.conftest import Database


def new_topic(broker: KafkaBroker, partitions: int) -> str:
    name = f"test-{uuid4().hex[:12]}"
    create_topics(connection(broker), [Topic(name, partitions=partitions)])
    return name


def connection(broker: KafkaBroker) -> dict[str, object]:
    return {"bootstrap_servers": broker.bootstrap}


class Running:
    """One consumer in a thread, with a writer of its own, as a process would have; `log` and `pipeline` are the
    writer's and the consumer's, where a test looks into them."""

    def __init__(
        self,
        broker: KafkaBroker,
        topic: str,
        database: Database,
        log: Log | None = None,
        pipeline: Pipeline | None = None,
        kind: type[Intake] = Intake,
    ) -> None:
        self.registry = CollectorRegistry()
        self._writer = Writer(log or database.log(), database.keys)
        self._offsets = database.log()
        reading = pipeline or Pipeline(database.keys)
        metrics = IngestMetrics(self.registry)
        self.intake = kind(connection(broker), topic, reading, self._writer, self._offsets, metrics)
        self._thread = threading.Thread(target=self.intake.run)
        self._thread.start()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        self.intake.stop()
        self._thread.join()
        self._writer.close()
        self._offsets.close()


@contextmanager
def running(broker: KafkaBroker, topic: str, database: Database) -> Iterator[Running]:
    consumer = Running(broker, topic, database)
    try:
        yield consumer
    finally:
        consumer.stop()


def publish(broker: KafkaBroker, topic: str, *messages: RawMessage, partitions: int = 3) -> None:
    producer = KafkaProducer(**connection(broker), max_request_size=MAX_BATCH_BYTES)
    for number, each in enumerate(messages):
        producer.send(topic, key=b"k", value=each.value, headers=list(each.headers), partition=number % partitions)
    producer.flush()
    producer.close()


def count(database: Database, query: str) -> int:
    with database.connect("auditor") as auditor:
        row = auditor.execute(query).fetchone()
    return int(row[0]) if row else 0


def receipts(database: Database) -> int:
    return count(database, "select count(*) from log.receipts")


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
