"""A file's kind is told from its bytes."""

import json
from typing import Any

import pytest

from consumers import sniff
from tests.fhir_documents import breast_cancer, fixture

EVENT = {"specversion": "1.0", "id": "1", "source": "/x", "type": "uk.nhs.cancerplan.pathway.diagnosed.v1"}


def encoded(document: Any) -> bytes:
    return json.dumps(document, indent=2).encode()


@pytest.mark.parametrize(
    ("raw", "name", "content_type"),
    [
        (encoded(EVENT), "a.json", sniff.CLOUDEVENTS),
        (encoded(fixture("mns_signal")), "a.json", sniff.CLOUDEVENTS),
        (encoded(fixture("mns_death")), "a.json", sniff.FHIR),
        (encoded(breast_cancer()), "a.json", sniff.FHIR),
        (b"\xef\xbb\xbf" + encoded([breast_cancer()]), "a.json", sniff.FHIR),
        (encoded(fixture("json_patch")), "a.json", sniff.FHIR),
        (b"\n".join([json.dumps(EVENT).encode()] * 3), "a.jsonl", sniff.CLOUDEVENT_LINES),
        (b"MSH|^~\\&|PAS\rPID|1", "a.hl7", sniff.HL7V2),
        (b"\x0bMSH|^~\\&|PAS\r", "a", sniff.HL7V2),
        (b"mrn,code\n1,2", "a.csv", sniff.CSV),
        (b"\x00\x01", "a.bin", sniff.UNKNOWN),
        (b"", "a.json", sniff.UNKNOWN),
    ],
)
def test_each_kind_is_recognised(raw: bytes, name: str, content_type: str) -> None:
    assert sniff.sniff(raw, name)[0] == content_type


def test_lines_of_events_come_as_a_list() -> None:
    lines = b"\n".join([json.dumps(EVENT).encode()] * 3) + b"\n"
    assert sniff.sniff(lines, "a.jsonl")[1] == [EVENT] * 3


@pytest.mark.parametrize(
    ("raw", "line", "column"),
    [(b'{\n "a": ]}', 2, 7), (b'{"a": "\xff"}', 1, 8), (b"[" * 200_000, 1, 1)],
)
def test_what_is_no_json_says_where_and_repeats_nothing(raw: bytes, line: int, column: int) -> None:
    with pytest.raises(sniff.InvalidJson) as raised:
        sniff.sniff(raw, "a.json")
    assert (raised.value.line, raised.value.column) == (line, column)
    refused = sniff.not_json(raised.value)
    assert refused.detail == f"not valid JSON at line {line}, column {column}"


def test_what_nothing_reads_is_refused_by_its_kind() -> None:
    assert sniff.unsupported(sniff.CSV).code == "unsupported-content-type"
    assert sniff.unsupported(sniff.HL7V2).code == "not-supported-yet"
    assert "columns" in sniff.unsupported(sniff.CSV).detail
    assert sniff.unsupported("image/png").detail == "neither CloudEvents nor FHIR JSON"
