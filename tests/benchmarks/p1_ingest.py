"""P1: from Kafka records to durable events, with everything on."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline
from infra.keys import KeyRing
from infra.topics import MAX_BATCH_BYTES, Topic, create_topics
from infra.writing.turns import Job
from infra.writing.work import OffsetMove
from infra.writing.writer import Writer
from tests.benchmarks import floor, stock
from tests.benchmarks.figures import Figure, against, in_turns
from tests.benchmarks.lab import Lab
from tests.benchmarks.traffic import BATCH, batched, in_rounds, reports
from tests.conftest import Database

TOPIC = "benchmark"
PERSONS = 600
# A patient has 51 events on average when one of the measured arrives.
ROUNDS_BEFORE, ROUNDS_MEASURED = 45, 12
TURNS = 3
SAMPLE = 150
_PLACE = ("cluster", "topic", 0)
# The library's ways: an aggregate for each patient or for each thing reported on, loaded for each event or held.
LONG, SHORT, HELD = "patients loaded", "things loaded", "things held"


Turn = Callable[[], float]
Read = Callable[[RawMessage], stock.Report]


class Records:
    """A consumer of its own, from a place in the one partition. No contestant has seen a record that it is given."""

    def __init__(self, bootstrap: str, first: int) -> None:
        self._consumer: Any = KafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_poll_records=BATCH,
            max_partition_fetch_bytes=MAX_BATCH_BYTES,
        )
        self._partition = TopicPartition(TOPIC, 0)
        self._consumer.assign([self._partition])
        self._consumer.seek(self._partition, first)

    def batches(self, number: int) -> Iterator[list[tuple[int, RawMessage]]]:
        """Exactly `number` records, by offset, at most 500 at a time."""
        while number > 0:
            polled = self._consumer.poll(timeout_ms=1000, max_records=min(BATCH, number))
            for records in polled.values():
                number -= len(records)
                yield [(each.offset, RawMessage(tuple(each.headers), each.value, "benchmark")) for each in records]

    def close(self) -> None:
        self._consumer.close()


class Product:
    """The consumer's own path: pipeline and writer, with receipts, raw bytes and offsets."""

    def __init__(self, database: Database, keys: KeyRing, limit_bytes: int = 64_000_000) -> None:
        self.database = database
        self._pipeline = Pipeline(keys)
        self.writer = Writer(Database(database.server, database.name, keys).log(), keys, limit_bytes)

    def owns(self, offset: int | None) -> None:
        self.writer.owns(*_PLACE[:2], {0: offset})

    def ingest(self, batch: list[tuple[int, RawMessage]]) -> None:
        self.ingest_all([batch])

    def ingest_all(self, batches: Iterable[list[tuple[int, RawMessage]]]) -> None:
        """As the consumer does: the next batch is read while the writer has one."""
        in_hand: Job | None = None
        for batch in batches:
            works = self._pipeline.works((message, OffsetMove(*_PLACE, at)) for at, message in batch)
            _finish(in_hand)
            in_hand = self.writer.begin(works)
        _finish(in_hand)

    def position(self) -> int:
        with self.database.connect("auditor") as connection:
            row = connection.execute("select coalesce(max(position), 0) from log.events").fetchone()
        return int(row[0]) if row else 0


def _finish(job: Job | None) -> None:
    wrong = [each for each in job.result() if each.outcome == "rejected"] if job else []
    if wrong:
        raise ValueError(f"a message of the benchmark was refused: {wrong[0].answer!r}")


def run(lab: Lab) -> list[Figure]:
    lab.say("P1: publishing")
    before, measured = _messages()
    bootstrap = _publish(lab, [*before, *measured])
    with ExitStack() as stack:
        contestants = _contestants(lab, stack, bootstrap, before, len(measured) // TURNS)
        lab.say("P1: taking turns")
        rates = in_turns(contestants, TURNS)
    return [
        against("P1 ingest against stock load and save, patients of 51 events", rates, "warm", LONG, 45, "events/s"),
        against("P1 ingest against the same, aggregates of 8 events", rates, "warm", SHORT, None, "events/s"),
        against("P1 ingest against stock save with aggregates in memory", rates, "warm", HELD, 18, "events/s"),
        against("P1 ingest against the floor", rates, "warm", "floor", 0.5, "events/s"),
        against("P1 ingest with every stream cold, patients of 51 events", rates, "cold", LONG, 15, "events/s"),
        against("P1 ingest with every stream cold, aggregates of 8 events", rates, "cold", SHORT, None, "events/s"),
    ]


def _messages() -> tuple[list[RawMessage], list[RawMessage]]:
    most = ROUNDS_BEFORE + ROUNDS_MEASURED
    persons = [told for told in (reports(person, most) for person in range(PERSONS)) if len(told) == most]
    before = in_rounds(told[:ROUNDS_BEFORE] for told in persons)
    return before, in_rounds(told[ROUNDS_BEFORE:] for told in persons)


def _publish(lab: Lab, messages: list[RawMessage]) -> str:
    bootstrap = lab.broker().bootstrap
    create_topics({"bootstrap_servers": bootstrap}, [Topic(TOPIC, partitions=1)])
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    for each in messages:
        producer.send(TOPIC, value=each.value, headers=list(each.headers), partition=0)
    producer.flush()
    producer.close()
    return bootstrap


def _contestants(lab: Lab, stack: ExitStack, bootstrap: str, before: list[RawMessage], number: int) -> dict[str, Turn]:
    """Each has a history of the same `before` messages, then takes `number` records a turn (stock: a sample)."""

    def records() -> Records:
        reading = Records(bootstrap, len(before))
        stack.callback(reading.close)
        return reading

    lab.say("P1: a history of the same persons for each contestant")
    warm = _filled(stack, lab.database("p1_warm"), lab.keys(), before)
    cold_database = lab.database("p1_cold")
    _filled(stack, cold_database, lab.keys(), before)
    cold = Product(cold_database, lab.keys(limit=0), limit_bytes=0)
    stack.callback(cold.writer.close)
    cold.owns(len(before))
    return {
        "warm": _ours(warm, records(), number),
        "floor": _floor(stack, lab.database("p1_floor"), warm.database, records()),
        "cold": _ours(cold, records(), number),
        LONG: _stock(stack, lab, "p1_long", before, records(), stock.read_as_of_patient, in_memory=False),
        SHORT: _stock(stack, lab, "p1_short", before, records(), stock.read, in_memory=False),
        HELD: _stock(stack, lab, "p1_held", before, records(), stock.read, in_memory=True),
    }


def _filled(stack: ExitStack, database: Database, keys: KeyRing, before: list[RawMessage]) -> Product:
    product = Product(database, keys)
    stack.callback(product.writer.close)
    product.owns(None)
    for batch in batched(enumerate(before), BATCH):
        product.ingest(batch)
    return product


def _ours(product: Product, records: Records, number: int) -> Turn:
    def once() -> float:
        position = product.position()
        began = time.perf_counter()
        product.ingest_all(records.batches(number))
        return (product.position() - position) / (time.perf_counter() - began)

    return once


def _floor(stack: ExitStack, database: Database, of: Database, records: Records) -> Turn:
    """The rows that the contestant before it has just written, by as many records."""
    inserts = floor.Inserts(database)
    stack.callback(inserts.close)
    written = floor.Written(of)
    stack.callback(written.close)
    inserts.insert(written.since(), 0)

    def once() -> float:
        rows = written.since()
        number = rows.count("receipts")
        parts = [rows.part(place, -(-number // BATCH)) for place in range(-(-number // BATCH))]
        began = time.perf_counter()
        for done, batch in enumerate(records.batches(number)):
            inserts.insert(parts[min(done, len(parts) - 1)], batch[-1][0])
        return rows.count("events") / (time.perf_counter() - began)

    return once


def _stock(
    stack: ExitStack, lab: Lab, name: str, before: list[RawMessage], records: Records, read: Read, *, in_memory: bool
) -> Turn:
    cases = stock.Cases(env=stock.environment(lab, lab.empty(name)))
    stack.callback(cases.close)
    held: dict[UUID, stock.Case] = {}
    for batch in batched(before, BATCH):
        cases.save_together(held, map(read, batch))

    def once() -> float:
        began = time.perf_counter()
        for batch in records.batches(SAMPLE):
            for _, message in batch:
                report = read(message)
                if in_memory:
                    cases.save_held(held, report)
                else:
                    cases.load_and_save(report)
        return SAMPLE / (time.perf_counter() - began)

    return once
