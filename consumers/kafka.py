"""The way in from Kafka: records in, works out, offsets moved in the events' own transaction.

Progress is in our database, by cluster and the broker's id of the topic, moved by compare-and-set: a consumer that
lost its partition cannot write. Kafka's own group offsets are neither read nor written. Nothing in a message stops a
partition; what does stop one is an offset that the broker no longer has, and a record whose bytes the client library
does not take, since going on would lose messages unseen. The others go on.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import psycopg
import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from consumers.ingest_metrics import IngestMetrics
from consumers.messages import RawMessage, content_type_of
from consumers.pipeline import Pipeline
from consumers.places import Place, TopicUnreadable, place_of
from consumers.unreadable import UNREADABLE, found_unreadable
from infra.topics import MAX_BATCH_BYTES
from infra.writing.log import Fenced, Log
from infra.writing.turns import Job
from infra.writing.work import OffsetMove, Outcome, Work
from infra.writing.writer import Writer, WriterStopped

log = structlog.get_logger(__name__)

BATCH_RECORDS = 500
_POLL_MS = 200
# While a batch is being written: somewhat less than writing it takes.
_POLL_AHEAD_MS = 20
# Seconds that a partition's next owner waits for us, well within the time after which the group would lose us; and how
# long a batch can take with all the attempts of a writer whose database stands still.
_REVOKED_WAIT = 2.0
_LONGEST_TURN = 300.0
_LONGEST_WAIT = 10.0


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no type information
    """Runs on the client's own loop, so it only notes what is new and holds it until its offset is known."""

    def __init__(self, consumer: Any, settle: Callable[[], None]) -> None:
        self._consumer = consumer
        self._settle = settle
        self.fresh: set[TopicPartition] = set()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        for partition in assigned:
            self._consumer.pause(partition)
            self._consumer.seek(partition, 0)
            self.fresh.add(partition)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Whoever has them next goes on from where the log stands, so what is being written should stand there."""
        self._settle()
        self.fresh.difference_update(revoked)


class _InHand(NamedTuple):
    """A batch that the writer has. `began`: seconds of the process's clock."""

    works: list[Work]
    kinds: list[str]
    job: Job
    began: float


class Intake:
    """One consumer of the group: while the writer has one batch, the next is read, and not handed over before that
    one is durable. `connection` is what `Settings.kafka` gives; `offsets` a Log of its own, since the
    writer's belongs to the writer's thread."""

    def __init__(
        self,
        connection: Mapping[str, object],
        topic: str,
        pipeline: Pipeline,
        writer: Writer,
        offsets: Log,
        metrics: IngestMetrics,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._pipeline = pipeline
        self._writer = writer
        self._offsets = offsets
        self._metrics = metrics
        self._stopping = threading.Event()
        self._lost: set[TopicPartition] = set()
        self._unreadable: dict[TopicPartition, int] = {}
        self._in_hand: _InHand | None = None

    def stop(self) -> None:
        """Finish the batch in hand and leave the group. Safe to call from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`. Rejoins after whatever the broker or another consumer does."""
        wait = 0.2
        while not self._stopping.is_set():
            try:
                self._serve()
                wait = 0.2
            except Fenced:
                self._metrics.fenced.inc()
                log.warning("fenced", topic=self._topic)
            except WriterStopped:
                return
            except (KafkaError, TopicUnreadable, psycopg.Error) as error:
                log.warning("rejoining", topic=self._topic, error=error, reason=_reason(error))
                wait = min(wait * 2, _LONGEST_WAIT)
            self._stopping.wait(wait)

    def _serve(self) -> None:
        place = place_of(self._connection, self._topic)
        consumer = KafkaConsumer(**self._connection, **_OPTIONS, group_id=f"{self._topic}-ingest")
        assigned = _Assigned(consumer, lambda: self._settle(_REVOKED_WAIT))
        try:
            consumer.subscribe([self._topic], listener=assigned)
            # Whoever leads the group gives out the partitions that it has heard of: none, if it joins before it has
            # asked, and none until something changes.
            consumer.partitions_for_topic(self._topic)
            log.info("joined", topic=self._topic)
            while not self._stopping.is_set():
                self._turn(consumer, assigned, place)
            self._finish(consumer, assigned)
        finally:
            # What the writer still has may become durable: offsets are read again only when that is known.
            self._settle(_LONGEST_TURN)
            self._in_hand = None
            consumer.close(autocommit=False, timeout_ms=2000)
            self._lost.clear()
            self._metrics.stopped.set(0)

    def _turn(self, consumer: Any, assigned: _Assigned, place: Place) -> None:
        try:
            patience = _POLL_MS if self._in_hand is None else _POLL_AHEAD_MS
            polled = consumer.poll(timeout_ms=patience, max_records=BATCH_RECORDS)
        except (OffsetOutOfRangeError, LogTruncationError) as error:
            self._lose(consumer, _partitions(error), "offset_out_of_range")
            return
        except UNREADABLE:
            reading = consumer.assignment() - consumer.paused() - assigned.fresh
            positions = {each: consumer.position(each) for each in reading}
            self._unreadable |= found_unreadable(self._connection, _OPTIONS, positions)
            raise
        if assigned.fresh or (self._in_hand is not None and self._in_hand.job.wait(0)):
            self._finish(consumer, assigned)
        if assigned.fresh:
            self._take_up(consumer, assigned, place)
        if polled:
            batch = [_read(record, place) for records in polled.values() for record in records]
            works = self._pipeline.works(batch)
            kinds = [content_type_of(message) for message, _ in batch]
            self._finish(consumer, assigned)
            self._in_hand = _InHand(works, kinds, self._writer.begin(works), time.perf_counter())
            self._metrics.watch(consumer, polled)

    def _finish(self, consumer: Any, assigned: _Assigned) -> None:
        """Tries until the batch in hand, if any, is durable, keeping the assignment alive meanwhile. Raises Fenced,
        WriterStopped; what was read ahead is then dropped, and read again from the offset of the log."""
        if self._in_hand is None:
            return
        wait = 0.5
        while (outcomes := self._outcomes(self._in_hand)) is None:
            self._hold(consumer, wait)
            wait = min(wait * 2, _LONGEST_WAIT)
            if self._stopping.is_set():
                raise WriterStopped("stopped while the database was away; the batch will be read again")
            self._in_hand = self._in_hand._replace(job=self._writer.begin(self._in_hand.works))
        consumer.resume(*(set(consumer.paused()) - assigned.fresh - self._lost))
        self._metrics.wrote(self._in_hand.kinds, outcomes, time.perf_counter() - self._in_hand.began)
        self._in_hand = None

    def _outcomes(self, batch: _InHand) -> list[Outcome] | None:
        """None where the database is away."""
        try:
            return batch.job.result()
        except psycopg.Error as error:
            log.error("database_unavailable", error=type(error).__name__)  # noqa: TRY400 its locals are of patients
            return None

    def _settle(self, seconds: float) -> None:
        """Waits until the batch in hand is durable or has failed."""
        batch = self._in_hand
        if batch is not None and not batch.job.wait(seconds):
            log.warning("still_writing", topic=self._topic, seconds=seconds)

    def _hold(self, consumer: Any, seconds: float) -> None:
        """Fetches nothing and stays a member; a record that is fetched now would be forgotten."""
        consumer.pause(*consumer.assignment())
        consumer.poll(timeout_ms=0)
        self._stopping.wait(seconds)

    def _take_up(self, consumer: Any, assigned: _Assigned, place: Place) -> None:
        """Newly assigned partitions go on from where the log stands, the never read from their beginning."""
        fresh = sorted(assigned.fresh & consumer.assignment())
        self._lost.difference_update(fresh)
        if place_of(self._connection, self._topic) != place:
            raise TopicUnreadable("the topic was made anew")
        stored = self._offsets.next_offsets(*place)
        first, end = consumer.beginning_offsets(fresh), consumer.end_offsets(fresh)
        for each in fresh:
            offset = stored.get(each.partition)
            start = first[each] if offset is None else offset
            if not first[each] <= start <= end[each]:
                self._lose(consumer, {each}, "offset_out_of_range")
                continue
            if self._unreadable.get(each) == start:
                self._lose(consumer, {each}, "record_unreadable")
                continue
            self._writer.owns(*place, {each.partition: offset})
            consumer.seek(each, start)
            consumer.resume(each)
        assigned.fresh.difference_update(fresh)
        log.info("assigned", topic=self._topic, partitions=[each.partition for each in fresh])

    def _lose(self, consumer: Any, partitions: set[TopicPartition], why: str) -> None:
        """What stands at our offset cannot be had: an operator must know before anyone goes on."""
        consumer.pause(*partitions)
        self._lost |= partitions
        self._metrics.stopped.set(len(self._lost))
        for each in partitions:
            log.error(why, topic=each.topic, partition=each.partition, offset=self._unreadable.get(each))


def _read(record: Any, place: Place) -> tuple[RawMessage, OffsetMove]:
    coordinates = f"{record.topic}/{record.partition}/{record.offset}"
    message = RawMessage(tuple(record.headers), record.value, coordinates)
    return message, OffsetMove(*place, record.partition, record.offset)


def _partitions(error: Exception) -> set[TopicPartition]:
    """The errors carry a mapping from partition to offset."""
    told = error.args[0] if error.args and isinstance(error.args[0], Mapping) else {}
    if not told:
        raise error
    return set(told)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, TopicUnreadable) else ""


_OPTIONS: Mapping[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "partition_assignment_strategy": [CooperativeStickyAssignor],
    "max_poll_records": BATCH_RECORDS,
    "max_partition_fetch_bytes": MAX_BATCH_BYTES,
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 1_500,
    "allow_auto_create_topics": False,
}
