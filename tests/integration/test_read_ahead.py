"""While the writer has one batch, the consumer has read the next: whatever happens then loses and doubles nothing."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from consumers.kafka import Intake
from consumers.messages import RawMessage
from consumers.pipeline import Pipeline
from infra.kafka_broker import KafkaBroker
from infra.writing.batch import Batch
from infra.writing.log import Appended, Known, Log, Stale
from infra.writing.work import OffsetMove, Work
from tests.conftest import Database
from tests.events import binary, diagnosis
from tests.ingesting import Running, count, new_topic, publish, receipts, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

# More than the writer tries by itself before it tells the consumer that the database is away.
_AWAY = range(2, 7)


class HeldLog(Log):
    """The log itself, but the second call of `append` waits until it may go on; calls `away` find no database."""

    def __init__(self, database: Database, away: Sequence[int] = ()) -> None:
        super().__init__(lambda: database.connect("writer"), database.keys)
        self.reached, self.may_go_on = threading.Event(), threading.Event()
        self._away = away
        self._calls = 0

    def append(
        self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
    ) -> Appended | Stale | Known:
        self._calls += 1
        if self._calls == 2:
            self.reached.set()
            assert self.may_go_on.wait(60)
        if self._calls in self._away:
            raise psycopg.OperationalError("made to fail")
        return super().append(seen, reads, batch, not_after)


class CountingPipeline(Pipeline):
    """Says how many messages were read."""

    read = 0

    def works(self, messages: Iterable[tuple[RawMessage, OffsetMove | None]], replaces: bool = False) -> list[Work]:
        works = super().works(messages, replaces)
        self.read += len(works)
        return works


class Reckless(Intake):
    """What must not be: hands the next batch over before it knows what became of the one before."""

    def _finish(self, *_: Any) -> None:
        self._in_hand = None


@contextmanager
def ahead(
    broker: KafkaBroker,
    database: Database,
    log: HeldLog,
    kind: type[Intake] = Intake,
    counting: CountingPipeline | None = None,
) -> Iterator[Running]:
    """A consumer whose writer is held at the second of three batches, with the third read already."""
    topic, pipeline = new_topic(broker, partitions=1), counting or CountingPipeline(database.keys)
    consumer = Running(broker, topic, database, log, pipeline, kind)
    try:
        publish(broker, topic, binary("0", diagnosis(key="0")), partitions=1)
        until(lambda: receipts(database) == 1)
        for number in (1, 2):
            publish(broker, topic, binary(str(number), diagnosis(key=str(number))), partitions=1)
            until(lambda: pipeline.read == number + 1)  # noqa: B023 used at once
            assert log.reached.wait(30)
        yield consumer
    finally:
        log.may_go_on.set()
        consumer.stop()


def diagnoses(database: Database) -> int:
    return count(database, "select count(*) from log.events where type like 'pathway.%'")


def next_offset(database: Database) -> int:
    return count(database, "select next_offset from log.offsets")


def test_what_was_read_ahead_waits_until_what_failed_is_durable(kafka_broker: KafkaBroker, database: Database) -> None:
    log = HeldLog(database, away=_AWAY)
    with ahead(kafka_broker, database, log) as consumer:
        assert (receipts(database), next_offset(database)) == (1, 1)
        log.may_go_on.set()
        until(lambda: receipts(database) == 3)
        until(lambda: consumer.metric("ingest_batch_messages_sum") == 3)
    assert (diagnoses(database), next_offset(database)) == (3, 3)


def test_a_consumer_that_did_not_wait_would_lose_what_failed(kafka_broker: KafkaBroker, database: Database) -> None:
    log = HeldLog(database, away=_AWAY)
    with ahead(kafka_broker, database, log, Reckless):
        log.may_go_on.set()
        until(lambda: next_offset(database) == 3)
    assert diagnoses(database) == 2


def test_what_was_read_ahead_of_a_fenced_batch_is_read_again(kafka_broker: KafkaBroker, database: Database) -> None:
    log, pipeline = HeldLog(database), CountingPipeline(database.keys)
    with ahead(kafka_broker, database, log, counting=pipeline) as consumer:
        with database.connect("owner") as owner:
            owner.execute("update log.offsets set next_offset = 0")
        log.may_go_on.set()
        until(lambda: receipts(database) == 3)
        until(lambda: next_offset(database) == 3)
        assert consumer.metric("ingest_fenced_total") == 1
        assert pipeline.read == 6
    assert diagnoses(database) == 3


def test_stopping_finishes_what_is_being_written_and_leaves_what_was_read_ahead(
    kafka_broker: KafkaBroker, database: Database
) -> None:
    log = HeldLog(database)
    with ahead(kafka_broker, database, log) as consumer:
        consumer.intake.stop()
        log.may_go_on.set()
        consumer.stop()
        assert receipts(database) == next_offset(database) >= 2
        assert consumer.metric("ingest_batch_messages_sum") >= 2
