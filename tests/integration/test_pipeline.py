"""From messages to events, receipts and rejections in a real PostgreSQL, through the pipeline that both doors use."""

from typing import Any

import orjson
import pytest

from consumers.messages import RawMessage, http_messages
from consumers.pipeline import Pipeline, ingest
from infra.writing.work import Outcome
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.events import NHS_NUMBER, SOURCE, attributes, binary, diagnosis, structured

BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {
            "resource": {
                "resourceType": "Patient",
                "id": "p",
                "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NHS_NUMBER}],
            }
        },
        {
            "resource": {
                "resourceType": "Condition",
                "id": "c",
                "subject": {"reference": "Patient/p"},
                "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "C50.9"}]},
                "recordedDate": "2026-02-27",
            }
        },
        {"resource": {"resourceType": "Claim", "id": "x", "patient": {"reference": "Patient/p"}}},
        {
            "resource": {
                "resourceType": "Condition",
                "id": "d",
                "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "C61"}]},
            }
        },
    ],
}


@pytest.fixture
def pipeline(database: Database) -> Pipeline:
    return Pipeline(database.keys)


def send(writer: Writer, pipeline: Pipeline, *messages: RawMessage) -> list[Outcome]:
    return ingest(writer, pipeline, messages)


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect("auditor") as connection:
        return connection.execute(query).fetchall()


def types(database: Database) -> list[str]:
    return [row[0] for row in rows(database, "select type from log.events order by position")]


def reasons(database: Database) -> list[str]:
    found = rows(database, "select reasons from log.rejected where state = 'open' order by rejected_at, rejected_id")
    return [each["code"] for row in found for each in row[0]]


def test_an_event_of_ours_is_recorded_and_answered(writer: Writer, pipeline: Pipeline, database: Database) -> None:
    (outcome,) = send(writer, pipeline, binary("1", diagnosis()))
    told = orjson.loads(outcome.answer)
    assert outcome.outcome == told["outcome"] == "recorded"
    assert len(told["entries"][0]["events"]) == 3
    assert types(database)[-1] == "pathway.diagnosis-agreed.v1"
    assert rows(database, "select source, outcome from log.receipts") == [(SOURCE, "recorded")]


def test_the_same_event_in_the_other_mode_is_known(writer: Writer, pipeline: Pipeline) -> None:
    first, again = send(
        writer, pipeline, binary("1", diagnosis()), structured("1", diagnosis(), traceparent="00-a-b-01")
    )
    assert again == first._replace(known=True)


def test_changed_content_under_the_same_id_is_set_aside_once(
    writer: Writer, pipeline: Pipeline, database: Database
) -> None:
    for _ in range(2):
        send(writer, pipeline, binary("1", diagnosis()), binary("1", diagnosis("C61")))
    assert reasons(database) == ["same-id-other-content"]
    assert types(database).count("pathway.diagnosis-agreed.v1") == 1


REFUSED = {
    "not-utf8": binary("1", b'{"a": "\xff"}'),
    "invalid-json": binary("1", b'{"patient": '),
    "too-deep": binary("1", b"[" * 500_000 + b"]" * 500_000),
    "invalid-text": binary("1", diagnosis(key="a\0b")),
    "null-value": binary("1", {})._replace(value=None),
    "too-large": binary("1", b'"' + b"a" * (8 * 1024 * 1024) + b'"'),
    "missing-id": binary("", diagnosis()),
    "missing-source": binary("1", diagnosis(), source=""),
    "missing-type": binary("1", diagnosis(), type=""),
    "missing-time": binary("1", diagnosis(), time=""),
    "missing-specversion": binary("1", diagnosis(), specversion=""),
    "missing-dataschema": binary("1", diagnosis(), dataschema=""),
    "other-dataschema": binary("1", diagnosis(), dataschema="https://x.nhs.uk/schemas/pathway.opened.v1.json"),
    "invalid-time": binary("1", diagnosis(), time="2026-03-01"),
    "unsupported-specversion": binary("1", diagnosis(), specversion="0.3"),
    "unknown-type": binary("1", diagnosis(), type="com.example.something.v1"),
    "vague-type": binary("1", diagnosis(), type="uk.nhs.cancerplan.pathway.updated.v1"),
    "unsupported-content-type": binary("1", b"<a/>", content_type="application/xml"),
    "not-supported-yet": binary("1", b"MSH|^~\\&|", content_type="application/hl7-v2+er7"),
    "not-a-cloudevent": RawMessage((("content-type", b"application/fhir+json"),), orjson.dumps(BUNDLE), "t/0/0"),
    "invalid-field": binary("1", diagnosis("no code")),
    "no-patient": binary("1", diagnosis() | {"patient": {}}),
    "too-many": binary(
        "1",
        {"resourceType": "Patient", "identifier": [{"system": "s", "value": str(number)} for number in range(6_000)]},
        "document.sent.v1",
        "application/fhir+json",
    ),
}


@pytest.mark.parametrize("code", REFUSED)
def test_every_refusal_keeps_the_bytes_and_says_why(
    code: str, writer: Writer, pipeline: Pipeline, database: Database
) -> None:
    (outcome,) = send(writer, pipeline, REFUSED[code])
    assert outcome.outcome == "rejected"
    assert reasons(database) == [code]
    told = orjson.loads(outcome.answer)["entries"][0]
    assert told["detail"]
    assert told["action"]
    assert types(database) == []
    assert rows(database, "select count(*) from log.raw_messages") == [(1,)]
    assert send(writer, pipeline, REFUSED[code]) == [outcome._replace(known=True)]


def test_a_bundle_is_partly_good(writer: Writer, pipeline: Pipeline, database: Database) -> None:
    message = binary(
        "1", BUNDLE, type="uk.nhs.cancerplan.document.sent.v1", content_type="application/fhir+json; fhirVersion=4.0"
    )
    (outcome,) = send(writer, pipeline, message)
    told = [each["outcome"] for each in orjson.loads(outcome.answer)["entries"]]
    assert (outcome.outcome, told) == ("partly", ["recorded", "recorded", "not-ours", "rejected"])
    assert "pathway.diagnosis-agreed.v1" in types(database)
    assert reasons(database) == ["no-patient"]


def test_a_diagnosis_that_identity_holds_back_says_so(writer: Writer, pipeline: Pipeline, database: Database) -> None:
    known = diagnosis(patient=NHS_NUMBER)
    known["patient"] = {"nhs_number": NHS_NUMBER, "identifiers": [{"system": "mrn", "value": "1"}]}
    other = diagnosis() | {"patient": {"nhs_number": "9000000017", "identifiers": [{"system": "mrn", "value": "1"}]}}
    send(writer, pipeline, binary("1", known), binary("2", other))
    ((owner, told),) = rows(database, "select owner, reasons from log.rejected")
    assert owner == "identity"
    assert told[0]["code"] == "nhs-number-conflict"
    assert told[0]["carries_diagnosis"] is True


def test_two_systems_of_one_trust_speak_of_one_pathway(writer: Writer, pipeline: Pipeline, database: Database) -> None:
    send(
        writer,
        pipeline,
        binary("1", diagnosis("C50.9")),
        binary("2", diagnosis("C50.1"), source="/nhs/england/RXX/infoflex/test"),
        binary("3", diagnosis("C50.2"), source="/nhs/england/RYY/pas/test"),
    )
    found = rows(database, "select count(distinct stream_id) from log.events where type like 'pathway.%'")
    assert found == [(2,)]


def test_a_signal_of_the_notification_service_is_read(writer: Writer, pipeline: Pipeline, database: Database) -> None:
    event = attributes("1", "x") | {
        "type": "pds-change-of-gp-2", "subject": NHS_NUMBER, "source": "uk.nhs.personal-demographics-service"
    }  # fmt: skip
    message = RawMessage((("content-type", b"application/cloudevents+json"),), orjson.dumps(event), "t/0/0")
    assert send(writer, pipeline, message)[0].outcome == "recorded"
    assert types(database)[-1] == "patient.external-change-notified.v1"


def test_a_batch_over_http_has_an_outcome_for_each(writer: Writer, pipeline: Pipeline) -> None:
    good = attributes("1", "pathway.diagnosis-agreed.v1") | {"data": diagnosis()}
    body = orjson.dumps([good, {"specversion": "1.0"}, 7])
    told = ingest(writer, pipeline, http_messages({"Content-Type": "application/cloudevents-batch+json"}, body))
    assert [each.outcome for each in told] == ["recorded", "rejected", "rejected"]


def test_no_rejection_and_no_answer_repeats_a_value(writer: Writer, pipeline: Pipeline, database: Database) -> None:
    secret = diagnosis("Rumpelstiltskin") | {
        "occurred": "Rumpelstiltskin",
        "patient": {"nhs_number": "Rumpelstiltskin"},
    }
    (outcome,) = send(writer, pipeline, binary("1", secret))
    kept = rows(database, "select reasons::text || coordinates from log.rejected")
    assert "Rumpel" not in outcome.answer.decode() + kept[0][0]
