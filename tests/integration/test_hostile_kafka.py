"""What a careless or hostile publisher can put on a topic: every record gets an outcome, and none stops a consumer."""

import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import kafka.producer.kafka as producing
import kafka.record.default_records as batches
import pytest
from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError

from consumers.messages import STRUCTURED, RawMessage
from consumers.publish import messages_of
from infra.kafka_broker import KafkaBroker
from infra.topics import MAX_MESSAGE_BYTES, Topic, create_topics
from tests.conftest import Database
from tests.events import NHS_NUMBER, binary, diagnosis, structured
from tests.fhir_documents import FIXTURES
from tests.ingesting import connection, count, new_topic, publish, receipts, running, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


def with_headers(event_id: str, **changed: bytes | None) -> RawMessage:
    """A right message, but for these headers, or without them; a hyphen in a name is written as two underscores."""
    message = binary(event_id, diagnosis(key=event_id))
    told = dict(message.headers) | {name.replace("__", "-"): value for name, value in changed.items()}
    return message._replace(headers=tuple((name, value) for name, value in told.items() if value is not None))


def padded(event_id: str, size: int) -> RawMessage:
    """A message whose value has exactly this size."""
    short = structured(event_id, diagnosis(key=event_id, more=""))
    assert short.value is not None
    return structured(event_id, diagnosis(key=event_id, more="x" * (size - len(short.value))))


def structured_twice(event_id: str) -> RawMessage:
    """With two ids, of which the last one counts."""
    message = structured(event_id, diagnosis(key=event_id))
    return message._replace(value=b'{"id":"first",' + (message.value or b"")[1:])


# Reasons for which nobody but us is to blame.
OURS = """select count(*) from log.rejected, jsonb_array_elements(reasons) as each
           where each ->> 'code' in ('not-readable', 'not-storable')"""
STRANGE = {
    "nul in the content type": (with_headers("s1", content__type=b"text/plain\x00"), "rejected"),
    "a person in the content type": (with_headers("s2", content__type=f"smith {NHS_NUMBER}".encode()), "rejected"),
    "a person as the content type": (with_headers("s3", content__type=f"text/{NHS_NUMBER}".encode()), "rejected"),
    "a long content type": (with_headers("s4", content__type=b"text/" + b"x" * 100_000), "rejected"),
    "a content type that is not text": (with_headers("s5", content__type=b"\xff\xfe"), "rejected"),
    "no content type": (with_headers("s6", content__type=None), "recorded"),
    "an id without a value": (with_headers("s7", ce_id=b""), "rejected"),
    "no id": (with_headers("s7b", ce_id=None), "rejected"),
    "a time of the year 9999": (with_headers("s8", ce_time=b"9999-12-31T23:59:59-12:00"), "rejected"),
    "a time of the year 0": (with_headers("s9", ce_time=b"0000-01-01T00:00:00Z"), "rejected"),
    "headers in capitals": (
        RawMessage(
            tuple((name.upper(), value) for name, value in binary("s10", diagnosis(key="s10")).headers),
            binary("s10", diagnosis(key="s10")).value,
            "",
        ),
        "recorded",
    ),
    "an attribute twice, in other letters": (with_headers("s11", CE_ID=b"s11b"), "rejected"),
    "another source with the same id": (with_headers("s10", ce_source=b"/nhs/england/RYY/pas/test"), "recorded"),
    "just small enough": (padded("s12", MAX_MESSAGE_BYTES), "recorded"),
    "one byte too large": (padded("s13", MAX_MESSAGE_BYTES + 1), "rejected"),
    "an empty value": (with_headers("s14")._replace(value=b""), "rejected"),
    "no value": (with_headers("s15")._replace(value=None), "rejected"),
    "nothing at all": (RawMessage((), None, ""), "rejected"),
    "structured without data": (structured("s16", None), "rejected"),
    "structured, an array": (RawMessage((("content-type", STRUCTURED.encode()),), b"[1]", ""), "rejected"),
    "structured, members twice": (structured_twice("s17"), "recorded"),
    "too many facts": (
        binary(
            "s18",
            {"resourceType": "Patient", "identifier": [{"system": "s", "value": str(n)} for n in range(6_000)]},
            "document.sent.v1",
            "application/fhir+json",
        ),
        "rejected",
    ),
}


@pytest.fixture
def topic(kafka_broker: KafkaBroker) -> str:
    return new_topic(kafka_broker, partitions=1)


def outcomes(database: Database) -> list[str]:
    """In the order in which the records came."""
    with database.connect("auditor") as auditor:
        return [row[0] for row in auditor.execute("select outcome from log.receipts order by received_at, ctid")]


def test_whatever_a_record_is_it_gets_an_outcome_and_the_next_is_read(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    with running(kafka_broker, topic, database):
        for place, (_, (message, outcome)) in enumerate(STRANGE.items()):
            publish(kafka_broker, topic, message, partitions=1)
            until(lambda: count(database, "select next_offset from log.offsets") == place + 1, 60)  # noqa: B023 at once
            assert outcomes(database)[-1] == outcome, message.headers[:3]
        publish(kafka_broker, topic, *(message for message, _ in reversed(STRANGE.values())), partitions=1)
        until(lambda: count(database, "select next_offset from log.offsets") == 2 * len(STRANGE), 60)
    assert receipts(database) == len(STRANGE)
    with database.connect("auditor") as auditor:
        shown = str(auditor.execute("select source, content_type, coordinates, reasons from log.rejected").fetchall())
        longest = auditor.execute("select max(length(content_type)) from log.rejected").fetchone()
    assert NHS_NUMBER not in shown
    assert count(database, OURS) == 0
    assert longest is not None
    assert longest[0] < 200


def files() -> list[RawMessage]:
    """The public examples where they are here, else those that stand with the tests; as they are published."""
    folder = Path(os.environ.get("EXAMPLES_DIR", "../shared/examples"))
    found = sorted((folder if folder.is_dir() else FIXTURES).rglob("*.*"))
    sent = [
        each
        for path in found
        if path.is_file() and path.name != "MANIFEST.csv"
        for each in messages_of(path, "/publish/local")
    ]
    return [RawMessage(each.headers, each.value, "") for each in sent]


def cut_short(message: RawMessage, chance: random.Random) -> RawMessage:
    """Under an id of its own, as a sender does that takes it for a new one."""
    value = message.value or b""
    headers = dict(message.headers) | {"ce_id": f"cut-{chance.random()}".encode()}
    return message._replace(headers=tuple(headers.items()), value=value[: chance.randrange(len(value))])


def test_files_sent_twice_backwards_and_cut_short_are_answered_once_each(
    kafka_broker: KafkaBroker, topic: str, database: Database
) -> None:
    sent, chance = files(), random.Random(4)
    distinct = len({(message.headers, message.value) for message in sent})
    with running(kafka_broker, topic, database):
        publish(kafka_broker, topic, *sent, *sent, partitions=1)
        until(lambda: count(database, "select next_offset from log.offsets") == 2 * len(sent), 120)
        events, answered = count(database, "select count(*) from log.events"), receipts(database)
        publish(kafka_broker, topic, *reversed(sent), partitions=1)
        until(lambda: count(database, "select next_offset from log.offsets") == 3 * len(sent), 60)
        assert (count(database, "select count(*) from log.events"), receipts(database)) == (events, answered)
        publish(kafka_broker, topic, *(cut_short(each, chance) for each in sent), partitions=1)
        until(lambda: count(database, "select next_offset from log.offsets") == 4 * len(sent), 60)
    assert events > 0
    assert answered <= distinct
    assert count(database, OURS) == 0


def snappy(payload: bytes) -> bytes:
    """The format at its simplest: pieces as they are, and the byte before again and again."""
    size, written = len(payload), bytearray()
    while size > 0x7F:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    written.append(size)
    for run in re.finditer(rb"(.)\1{7,}|.", payload, re.DOTALL):
        written += b"\x00" + run[0][:1]
        for left in range(len(run[0]) - 1, 0, -64):
            written += bytes([(min(left, 64) - 1) << 2 | 2, 1, 0])
    return bytes(written)


def publish_by_snappy(
    patch: pytest.MonkeyPatch, broker: KafkaBroker, topic: str, partition: int, *messages: RawMessage
) -> None:
    """As a publisher does that has the library, which we have not."""
    has: Callable[[], bool] = lambda: True  # noqa: E731 the shape that the client asks for
    with patch.context() as patched:
        patched.setattr(batches, "snappy_encode", snappy)
        patched.setattr("kafka.codec.has_snappy", has)
        patched.setitem(producing.KafkaProducer._COMPRESSORS, "snappy", (has, 2))
        producer: Any = KafkaProducer(**connection(broker), compression_type="snappy")
        for each in messages:
            producer.send(topic, value=each.value, headers=list(each.headers), partition=partition)
        producer.flush()
        sent = producer.metrics()["producer-metrics"]["compression-rate-avg"]
        producer.close()
    assert sent < 0.5


def test_our_topics_take_every_way_of_compressing(
    kafka_broker: KafkaBroker, topic: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_by_snappy(monkeypatch, kafka_broker, topic, 0, padded("1", 100_000), padded("2", 100_000))
    with running(kafka_broker, topic, database) as consumer:
        until(lambda: receipts(database) == 2)
        assert consumer.metric("ingest_stopped_partitions") == 0


def test_what_unpacks_to_more_than_a_batch_may_have_is_refused_at_the_door(
    kafka_broker: KafkaBroker, topic: str
) -> None:
    """A few kilobytes that would be fifty megabytes in the consumer's memory."""
    producer = KafkaProducer(**connection(kafka_broker), compression_type="gzip", max_request_size=100_000_000)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(topic, value=b"x" * 50_000_000).get(timeout=60)
    producer.close()


def test_on_another_topic_it_stops_its_partition_alone(
    kafka_broker: KafkaBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"plain-{uuid4().hex[:12]}"
    create_topics(connection(kafka_broker), [Topic(topic, partitions=2, configuration={})])
    publish_by_snappy(monkeypatch, kafka_broker, topic, 0, padded("1", 100_000))
    with running(kafka_broker, topic, database) as consumer:
        until(lambda: consumer.metric("ingest_stopped_partitions") == 1, 60)
        publish(kafka_broker, topic, RawMessage((), b"", ""), binary("2", diagnosis(key="p-2")), partitions=2)
        until(lambda: receipts(database) == 1)
