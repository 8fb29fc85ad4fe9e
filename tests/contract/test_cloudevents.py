"""What the CloudEvents project's own Python SDK sends over Kafka and HTTP, we read as it was meant."""

from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings import http, kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from consumers.envelope import Envelope, envelope, opened
from consumers.messages import RawMessage, http_messages
from tests.events import SOURCE, diagnosis

EVENT = CloudEvent(
    attributes={
        "specversion": "1.0",
        "id": "é 1%",
        "source": SOURCE,
        "type": "uk.nhs.cancerplan.pathway.diagnosis-agreed.v1",
        "time": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "datacontenttype": "application/json",
        "dataschema": "https://plan.example.nhs.uk/schemas/pathway.diagnosis-agreed.v1.json",
        "recordedtime": "2026-03-01T10:00:00Z",
        "partitionkey": "p-1",
    },
    data=diagnosis(),
)


def from_kafka(message: kafka.KafkaMessage) -> RawMessage:
    return RawMessage(tuple(message.headers.items()), message.value, "t/0/0")


def from_http(message: http.HTTPMessage) -> RawMessage:
    (read,) = http_messages(message.headers, message.body)
    return read


SENT = {
    "kafka, binary": from_kafka(kafka.to_binary(EVENT, JSONFormat())),
    "kafka, structured": from_kafka(kafka.to_structured(EVENT, JSONFormat())),
    "http, binary": from_http(http.to_binary(EVENT, JSONFormat())),
    "http, structured": from_http(http.to_structured(EVENT, JSONFormat())),
}


def read(message: RawMessage) -> Envelope:
    return envelope(opened(message))


@pytest.mark.parametrize("how", SENT)
def test_attributes_and_data_arrive_as_sent(how: str) -> None:
    told = read(SENT[how])
    assert (told.id, told.source, told.type) == ("é 1%", SOURCE, "uk.nhs.cancerplan.pathway.diagnosis-agreed.v1")
    assert told.time.at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert told.recorded_time is not None
    assert told.others == {"partitionkey": "p-1"}
    assert told.document == diagnosis()


def test_all_ways_are_one_and_the_same_message() -> None:
    assert len({read(message).digest() for message in SENT.values()}) == 1
