"""FHIR for the tests: one resource or a few, translated, and what came of them."""

import json
from pathlib import Path
from typing import Any

from consumers.fhir import documents
from consumers.translation import Entry, Instruction, NotOurs, Refused, Sender, Translated
from domain.facts import Command, Fact
from domain.times import parse

FIXTURES = Path(__file__).parent / "fixtures" / "fhir"
SOURCE = "/test/hospital"
SENT = "2026-03-01T12:00:00+00:00"
NHS_NUMBER = "9990123454"
SUBJECT = {"identifier": {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NHS_NUMBER}}
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"


def sender() -> Sender:
    return Sender(source=SOURCE, event_id="1", time=parse(SENT))


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def concept(system: str, code: str, display: str = "words") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def resource(kind: str, **members: Any) -> dict[str, Any]:
    """With an id and a subject, unless `members` say otherwise; a member that is None is left out."""
    told = {"resourceType": kind, "id": "r1", "subject": SUBJECT, **members}
    return {name: value for name, value in told.items() if value is not None}


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}


def breast_cancer(**members: Any) -> dict[str, Any]:
    return resource("Condition", id="c1", code=concept("http://hl7.org/fhir/sid/icd-10", "C50.4"), **members)


def asthma() -> dict[str, Any]:
    return resource("Condition", id="a1", code=concept(SNOMED, "195967001", "Asthma"))


def entries(document: Any) -> list[Entry]:
    return documents.translate(document, sender())


def last(document: Any) -> Entry:
    return entries(document)[-1]


def instructions(document: Any) -> tuple[Instruction, ...]:
    """Of the last entry, which must be recorded."""
    entry = last(document)
    assert isinstance(entry, Translated), entry
    return entry.instructions


def acts(document: Any) -> list[Fact | Command]:
    return [each.act for each in instructions(document)]


def why_unused(document: Any) -> str:
    entry = last(document)
    assert isinstance(entry, NotOurs), entry
    return entry.why


def refusal(document: Any) -> tuple[str, str]:
    """Code and field of the last entry, which must be refused."""
    entry = last(document)
    assert isinstance(entry, Refused), entry
    return entry.code, entry.field
