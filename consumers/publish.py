"""Files to Kafka, as a hospital would send them: CloudEvents as they are, FHIR as the data of an event.

A document's event id is the hash of its content, so the same file sent twice is known. What is neither is sent as it
is: the pipeline says precisely why it is rejected.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError

from consumers import sniff
from consumers.envelope import DOCUMENT_SENT
from consumers.messages import STRUCTURED, with_prefix
from infra.topics import MAX_BATCH_BYTES

DEFAULT_SOURCE = "/publish/local"
# What may be under way at a time: kafka-python has no bound of its own on the memory of unsent records.
_UNDER_WAY = 2_000
_UNDER_WAY_BYTES = 32_000_000


class NotPublished(Exception):
    """Kafka is not there, or refused; the message says what to do."""


class Outgoing(NamedTuple):
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


def messages_of(path: Path, source: str) -> list[Outgoing]:
    """What one file becomes: a message for each line of CloudEvents, else one. Raises OSError."""
    raw = path.read_bytes()
    content_type = _content_type(raw, path.name)
    if content_type in (sniff.CLOUDEVENTS, sniff.CLOUDEVENT_LINES):
        rows = raw.splitlines() if content_type == sniff.CLOUDEVENT_LINES else [raw]
        return [_outgoing((("content-type", STRUCTURED.encode()),), row) for row in rows if row.strip()]
    sent_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return [_outgoing(_headers(raw, content_type, source, sent_at), raw)]


def _content_type(raw: bytes, name: str) -> str:
    try:
        return sniff.sniff(raw, name)[0]
    except sniff.InvalidJson:
        return sniff.FHIR  # it begins like JSON; the pipeline says what is wrong with it


def _headers(raw: bytes, content_type: str, source: str, sent_at: datetime) -> tuple[tuple[str, bytes], ...]:
    told = {
        "specversion": "1.0",
        "id": hashlib.sha256(content_type.encode() + b"\n" + raw).hexdigest(),
        "source": source,
        "type": DOCUMENT_SENT,
        "time": sent_at.isoformat(),
    }
    return with_prefix(told.items(), content_type)


def _outgoing(headers: tuple[tuple[str, bytes], ...], value: bytes) -> Outgoing:
    """Keyed by content: the same file goes to the same partition, and all partitions get their share."""
    return Outgoing(hashlib.sha256(value).digest()[:8], headers, value)


def send(connection: Mapping[str, object], topic: str, messages: Iterable[Outgoing]) -> Iterator[int]:
    """Yields the number of messages that the broker has acknowledged so far. Raises NotPublished."""
    producer = _producer(connection)
    try:
        acknowledged = 0
        for group in _groups(messages):
            futures = [
                producer.send(topic, key=each.key, value=each.value, headers=list(each.headers)) for each in group
            ]
            producer.flush(timeout=60)
            for future in futures:
                future.get(timeout=60)
            acknowledged += len(group)
            yield acknowledged
    except KafkaError as error:
        raise NotPublished(
            f"Kafka did not take the messages: {type(error).__name__}; is the topic {topic} there?"
        ) from None
    finally:
        producer.close(timeout=5)


def _groups(messages: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    group: list[Outgoing] = []
    size = 0
    for each in messages:
        group.append(each)
        size += len(each.value)
        if len(group) == _UNDER_WAY or size > _UNDER_WAY_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _producer(connection: Mapping[str, object]) -> Any:
    try:
        return KafkaProducer(
            **connection, acks="all", linger_ms=5, max_request_size=MAX_BATCH_BYTES, bootstrap_timeout_ms=10_000
        )
    except KafkaError:
        servers = connection.get("bootstrap_servers")
        raise NotPublished(f"no Kafka answers at {servers}: start it with `make run`, or set KAFKA_BOOTSTRAP") from None
