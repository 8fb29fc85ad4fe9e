"""Records whose bytes the client library does not take, such as one with a header's name that is not UTF-8, or
compressed in a way that it was not installed for.

Any publisher can send one. The library says neither where it stands nor polls again afterwards, so every partition is
looked at by a consumer of its own, and the ones without go on.
"""

from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, UnsupportedCodecError

UNREADABLE = (CorruptRecordError, UnsupportedCodecError)
_PATIENCE_MS = 2_000


def found_unreadable(
    connection: Mapping[str, object], options: Mapping[str, Any], positions: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Those of `positions` at which an unreadable record stands. Raises KafkaError."""
    return {each: at for each, at in positions.items() if _is_unreadable(connection, options, each, at)}


def _is_unreadable(
    connection: Mapping[str, object], options: Mapping[str, Any], partition: TopicPartition, at: int
) -> bool:
    consumer = KafkaConsumer(**connection, **options)
    try:
        consumer.assign([partition])
        consumer.seek(partition, at)
        consumer.poll(timeout_ms=_PATIENCE_MS, max_records=1)
        return False
    except UNREADABLE:
        return True
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)
