"""Checkpoints in Kafka: published for whoever follows, and read back as a second memory of what was signed."""

import time
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

_SECONDS = 10.0
# Each log's newest note is among the last ones, since both are published again when a process begins.
_LAST_RECORDS = 1_000


class TopicSilent(Exception):
    """Kafka does not answer, or has no such topic; the message says which."""


class CheckpointTopic:
    """`connection` is what `Settings.kafka` gives. Not thread-safe."""

    def __init__(self, connection: Mapping[str, object], topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._producer: Any = None
        self._read: dict[str, bytes] | None = None

    def newest(self, origin: str) -> bytes | None:
        """The note of `origin` that was published last before this object first looked. Raises TopicSilent."""
        if self._read is None:
            self._read = self._tail()
        return self._read.get(origin)

    def holds(self, origin: str, note: bytes) -> bool:
        return self._read is not None and self._read.get(origin) == note

    def publish(self, origin: str, note: bytes) -> None:
        """Returns when all replicas have it. Raises TopicSilent."""
        try:
            if self._producer is None:
                self._producer = KafkaProducer(**self._connection, acks="all", bootstrap_timeout_ms=_SECONDS * 1000)
            sent = self._producer.send(self._topic, key=origin.encode(), value=note)
            sent.get(timeout=_SECONDS)
        except KafkaError as error:
            self.close()
            raise TopicSilent(f"{self._topic}: {type(error).__name__}") from None
        if self._read is not None:
            self._read[origin] = note

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None

    def _tail(self) -> dict[str, bytes]:
        """The last note of each origin, by the key of its record."""
        try:
            consumer = KafkaConsumer(**self._connection, enable_auto_commit=False, bootstrap_timeout_ms=_SECONDS * 1000)
        except KafkaError as error:
            raise TopicSilent(f"{self._topic}: {type(error).__name__}") from None
        try:
            return self._last_of(consumer)
        except KafkaError as error:
            raise TopicSilent(f"{self._topic}: {type(error).__name__}") from None
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def _last_of(self, consumer: Any) -> dict[str, bytes]:
        partitions = [TopicPartition(self._topic, each) for each in consumer.partitions_for_topic(self._topic) or ()]
        if not partitions:
            raise TopicSilent(f"{self._topic}: there is no such topic")
        consumer.assign(partitions)
        begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        for each in partitions:
            consumer.seek(each, max(begins[each], ends[each] - _LAST_RECORDS))
        found: dict[str, bytes] = {}
        deadline = time.monotonic() + _SECONDS
        while any(consumer.position(each) < ends[each] for each in partitions):
            if time.monotonic() > deadline:
                raise TopicSilent(f"{self._topic}: it took too long to read")
            for records in consumer.poll(timeout_ms=200).values():
                found.update((each.key.decode(), each.value) for each in records if each.key and each.value)
        return found
