"""Which log of which broker our offsets belong to, and passing over what cannot be read there."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import orjson
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from infra.keys import KeyRing
from infra.writing.log import Log
from infra.writing.work import Conclusion, OffsetMove, PartOutcome, Rejection, Work
from infra.writing.writer import Writer

_UNKNOWN_TOPIC = 3
_OPERATOR = "operator"


class TopicUnreadable(Exception):
    """The topic is not there, or this login may not read it."""


class NotPassedOver(Exception):
    """There is nothing to pass over; the text says where the partition stands."""


class Place(NamedTuple):
    """Where offsets belong: a topic that is deleted and made anew under its old name has another id."""

    cluster_id: str
    topic_id: str


def place_of(connection: Mapping[str, object], topic: str) -> Place:
    """Raises TopicUnreadable, KafkaError."""
    admin = KafkaAdminClient(**connection, bootstrap_timeout_ms=10_000)
    try:
        cluster_id = admin.describe_cluster()["cluster_id"]
        (told,) = admin.describe_topics([topic])
    finally:
        admin.close()
    if told["error_code"] == _UNKNOWN_TOPIC:
        raise TopicUnreadable(f"there is no topic {topic}")
    allowed = told.get("authorized_operations") or told.get("topic_authorized_operations")
    if told["error_code"] or not _may_read(allowed):
        raise TopicUnreadable(f"this login may not read {topic}")
    return Place(str(cluster_id), str(told["topic_id"]))


def _may_read(operations: object) -> bool:
    """A consumer without the right to read would poll nothing for ever, without an error."""
    return not isinstance(operations, list | set | tuple) or any("READ" in str(each).upper() for each in operations)


def _refuse_beyond(connection: Mapping[str, object], partition: TopicPartition, to: int) -> None:
    """What has not come yet is not passed over: a slip of the finger would lose it."""
    consumer = KafkaConsumer(**connection)
    try:
        if partition.partition not in (consumer.partitions_for_topic(partition.topic) or ()):
            raise NotPassedOver(f"{partition.topic} has no partition {partition.partition}")
        end = consumer.end_offsets([partition])[partition]
    finally:
        consumer.close()
    if to > end:
        raise NotPassedOver(f"{partition.topic}/{partition.partition} ends at offset {end}")


def pass_over(
    connection: Mapping[str, object],
    store: Log,
    writer: Writer,
    keys: KeyRing,
    partition: tuple[str, int],
    to: int,
    reason: str,
) -> int:
    """The offset from which on records of `partition` (topic, number) are left out, up to and without `to`. What was
    left out is set aside as a rejected message without bytes. `connection` is that of `Settings.kafka`. Raises
    NotPassedOver, TopicUnreadable, Fenced, KafkaError, psycopg.Error."""
    place = place_of(connection, partition[0])
    topic, number = partition
    _refuse_beyond(connection, TopicPartition(topic, number), to)
    stored = store.next_offsets(*place).get(number)
    first = stored or 0
    if to <= first:
        raise NotPassedOver(f"{topic}/{number} goes on at offset {first}: there is nothing to pass over before {to}")
    writer.owns(*place, {number: stored})
    code = {"code": "passed-over", "pointer": "", "field": "", "detail": reason, "action": "have it sent again"}
    aside = Rejection([code], f"{topic}/{number}/{first}-{to - 1}", None)
    answer = orjson.dumps({"outcome": "rejected", "entries": [code]})

    def conclude(_: list[PartOutcome]) -> Conclusion:
        return Conclusion("rejected", answer, aside)

    writer.submit(
        Work(
            source=_OPERATOR,
            key=keys.digest("passed-over", *place, str(number), str(first), str(to)),
            digest=hashlib.sha256(answer).digest(),
            parts=(),
            conclude=conclude,
            offset=OffsetMove(*place, number, to - 1),
        )
    )
    return first
