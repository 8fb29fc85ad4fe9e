"""The envelope, attribute by attribute: strict about what is told, silent about what is not."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from consumers.answers import IDENTITY
from consumers.envelope import Envelope, envelope, identity, opened
from consumers.messages import RawMessage, http_messages, packed, told_content_type, unpacked
from consumers.pipeline import ASIDE_WORDS
from consumers.translation import Refusal
from tests.events import SOURCE, attributes, binary, diagnosis, structured


def read(message: RawMessage) -> Envelope:
    return envelope(opened(message))


def refusal(message: RawMessage) -> str:
    with pytest.raises(Refusal) as refused:
        read(message)
    return refused.value.code


def cloudevent(**members: object) -> RawMessage:
    event = attributes("1", "pathway.diagnosis-agreed.v1") | members
    return RawMessage((("Content-Type", b"application/cloudevents+json"),), orjson.dumps(event), "t/0/0")


def test_both_modes_say_the_same() -> None:
    one, other = read(binary("1", diagnosis())), read(structured("1", diagnosis()))
    assert one == other
    assert (one.source, one.id, one.content_type) == (SOURCE, "1", "application/json")
    assert one.time.at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


def test_structured_mode_is_told_by_its_content_type_alone() -> None:
    message = cloudevent(data={"a": 1})
    misleading = message._replace(headers=(*message.headers, ("ce_id", b"other")))
    assert read(misleading).id == "1"


def test_binary_data_comes_as_base64() -> None:
    data = base64.b64encode(b'{"a": 1}').decode()
    assert read(cloudevent(data_base64=data)).document == {"a": 1}
    assert refusal(cloudevent(data_base64="?")) == "invalid-data"


def test_extensions_are_kept_and_trace_headers_change_no_digest() -> None:
    traced = read(binary("1", diagnosis(), traceparent="00-a-b-01", sequence="7"))
    assert traced.others == {"traceparent": "00-a-b-01", "sequence": "7"}
    assert traced.digest() == read(binary("1", diagnosis())).digest()


@pytest.mark.parametrize("change", [{"type": "x"}, {"time": "2026-03-01T09:30:01Z"}, {"subject": "pathway/1"}])
def test_attributes_that_matter_change_the_digest(change: dict[str, str]) -> None:
    assert read(binary("1", diagnosis(), **change)).digest() != read(binary("1", diagnosis())).digest()


def test_when_a_document_was_sent_is_not_part_of_it() -> None:
    kind = "uk.nhs.cancerplan.document.sent.v1"
    first, again = (read(binary("1", {}, type=kind, time=f"2026-03-0{day}T00:00:00Z")) for day in (1, 2))
    assert first.digest() == again.digest()


@pytest.mark.parametrize(
    "time",
    ["2026-03-01T09:30:00+01:00", "2026-03-01t09:30:00z", "2026-03-01 09:30:00Z", "2026-03-01T09:30:00.1234567Z"],
)
def test_times_of_rfc_3339_are_read(time: str) -> None:
    assert read(binary("1", {}, time=time)).time.at.day == 1


@pytest.mark.parametrize(
    "time", ["2026-03-01", "2026-03-01T09:30:00", "2026-02-30T09:30:00Z", "0001-01-01T00:00:00+14:00", "now", "1" * 301]
)
def test_other_times_are_refused(time: str) -> None:
    assert refusal(binary("1", {}, time=time)) == "invalid-time"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"id": 7}, "invalid-id"),
        ({"id": ""}, "missing-id"),
        ({"source": "a b"}, "invalid-source"),
        ({"source": "/nhs/england/RXX/patient/9000000009"}, "invalid-source"),
        ({"subject": "a\u0000b"}, "invalid-subject"),
        ({"specversion": 1.0}, "invalid-specversion"),
        ({"specversion": "0.3"}, "unsupported-specversion"),
    ],
)
def test_attributes_of_the_wrong_kind_are_refused(members: dict[str, object], code: str) -> None:
    assert refusal(cloudevent(**members)) == code


def test_an_attribute_that_comes_twice_is_refused() -> None:
    message = binary("1", {})
    assert refusal(message._replace(headers=(*message.headers, ("CE_ID", b"2")))) == "repeated-attribute"


@pytest.mark.parametrize("value", [b"[]", b"7", b'"text"', b"null"])
def test_a_structured_message_is_one_object(value: bytes) -> None:
    assert refusal(RawMessage((("content-type", b"application/cloudevents+json"),), value, "")) == "not-a-cloudevent"


def test_a_usable_identity_needs_source_and_id() -> None:
    assert identity(opened(binary("1", {}, type=""))) == (SOURCE, "1")
    assert identity(opened(binary("", {}))) is None
    assert identity(opened(binary("a\nb", {}))) is None
    assert identity(opened(binary("1", {}, source="/of/9000000009"))) is None
    assert identity(opened(binary("1", {}, source="/of/9000000001/19000000009"))) == ("/of/9000000001/19000000009", "1")


def test_text_that_says_nul_in_letters_is_no_nul() -> None:
    assert read(binary("1", {"a": "\\u0000"})).document == {"a": "\\u0000"}


def test_http_binary_mode_undoes_percent_encoding() -> None:
    headers = {f"CE-{name}": value for name, value in attributes("caf%C3%A9%20%22", "x").items()}
    (message,) = http_messages({**headers, "Content-Type": "application/json", "Authorization": "secret"}, b"{}")
    assert read(message).id == 'café "'
    assert b"secret" not in packed(message)


@pytest.mark.parametrize("body", [b"{", b"{}", b"\xff"])
def test_a_batch_that_cannot_be_read_is_one_refused_message(body: bytes) -> None:
    (message,) = http_messages({"content-type": "application/cloudevents-batch+json"}, body)
    with pytest.raises(Refusal):
        opened(message)


def test_an_empty_batch_holds_no_message() -> None:
    assert http_messages({"content-type": "application/cloudevents-batch+json"}, b"[]") == []


@pytest.mark.parametrize("value", [None, b"", b"\n\xff\n"])
def test_a_message_is_kept_byte_by_byte(value: bytes | None) -> None:
    message = RawMessage((("ce_id", b"\xff\n"), ("content-type", b"a/b")), value, "t/0/1")
    assert unpacked(packed(message), "t/0/1") == message


def test_every_code_is_explained_in_the_documentation() -> None:
    root = Path(__file__).parents[2]
    sources = ("envelope", "messages", "vocabulary", "pipeline")
    text = "".join((root / "consumers" / f"{name}.py").read_text(encoding="utf-8") for name in sources)
    codes = set(re.findall(r'Refusal\(\s*"([a-z0-9-]+)"', text)) | set(ASIDE_WORDS) | IDENTITY
    told = (root / "docs" / "ingest.md").read_text(encoding="utf-8")
    assert len(codes) > 20
    assert {code for code in codes if f"`{code}`" not in told} == set()


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (b"Application/FHIR+json; charset=utf-8", "application/fhir+json"),
        (b"x-application/hl7-v2+er7", "x-application/hl7-v2+er7"),
        (b"text/plain\x00", None),
        (b"text/9990123454", None),
        (b"Smith, Maria", None),
        (b"text/" + b"x" * 200, None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_a_content_type_is_kept_in_clear_only_if_it_is_one(header: bytes | None, kept: str | None) -> None:
    assert told_content_type(RawMessage((("content-type", header),), b"", "")) == kept
