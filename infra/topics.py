"""The Kafka topics, their sizes and how long they keep what they hold."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from infra.settings import Settings

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
# A record's key and headers, and the batch around it, count towards the broker's limit.
MAX_BATCH_BYTES = MAX_MESSAGE_BYTES + 64 * 1024
DAY_MS = 24 * 60 * 60 * 1000

# An erased person's messages stay in Kafka until their segment is deleted. Segments close daily, so that
# retention counts from a message's own day and not from the end of a quiet week.
RETENTION = {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS), "segment.ms": str(DAY_MS)}


class TopicError(Exception):
    """A topic could not be made; the message carries the broker's reason."""


# Whatever way of compressing a publisher chose, the broker stores what every consumer reads; and what would be larger
# than a batch may be when it is unpacked, is refused at the door.
COMPRESSION = {"compression.type": "uncompressed"}


@dataclass(frozen=True)
class Topic:
    """A topic as it is made; one that exists is left as it is."""

    name: str
    partitions: int
    replicas: int = 1
    configuration: Mapping[str, str] = field(
        default_factory=lambda: RETENTION | COMPRESSION | {"max.message.bytes": str(MAX_BATCH_BYTES)}
    )


def topics(settings: Settings) -> list[Topic]:
    """What one development broker carries; production makes its own, with replicas."""
    return [
        Topic(settings.events_topic, partitions=6),
        Topic(settings.signals_topic, partitions=3),
        # What was signed is never forgotten: it holds no patient data, and its end says where the log must go on.
        Topic(settings.checkpoints_topic, partitions=1, configuration={"retention.ms": "-1"}),
    ]


def create_topics(connection: Mapping[str, object], wanted: Sequence[Topic], seconds: float = 30.0) -> None:
    """Make what is missing and wait until every partition has a leader.

    `connection` is what `Settings.kafka` gives. Raises TopicError when it does not succeed within `seconds`.
    """
    deadline = time.monotonic() + seconds
    for topic in wanted:
        while (refusal := _create(connection, topic, seconds)) is not None:
            if time.monotonic() > deadline:
                raise TopicError(f"{topic.name}: {refusal}") from refusal
            time.sleep(0.2)


def _create(connection: Mapping[str, object], topic: Topic, seconds: float) -> KafkaError | None:
    """One attempt; the error is returned, because an administrative call may have met a node that is gone."""
    options = {
        "num_partitions": topic.partitions,
        "replication_factor": topic.replicas,
        "configs": dict(topic.configuration),
    }
    try:
        admin = KafkaAdminClient(**connection, bootstrap_timeout_ms=seconds * 1000)
    except KafkaError as error:
        return error
    try:
        admin.create_topics({topic.name: options}, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return None
    except KafkaError as error:
        return error
    finally:
        admin.close()
    return None
