"""Our own vocabulary: every fact as its sample tells it, fields that are wrong, and the schemas for producers."""

from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import orjson
import pytest

from consumers.asyncapi import asyncapi
from consumers.envelope import envelope, opened
from consumers.schemas import schema, schemas
from consumers.translation import Entry, Refusal, Refused, Sender, Translated
from consumers.vocabulary import organisation_of, scope, translate, vocabulary
from domain import merging, retention
from domain.facts import Category, Fact, fact_json
from domain.patient import IdentifierLinked, PatientRegistered
from domain.times import Precision
from tests.events import NHS_NUMBER, SOURCE, binary, diagnosis
from tests.samples import samples

SAMPLES = {fact.stored: sample for fact, sample in samples().items() if fact.stored in vocabulary()}


def read(data: object, stored: str = "pathway.diagnosis-agreed.v1") -> list[Entry]:
    told = envelope(opened(binary("1", data, stored)))
    return translate(told, Sender(told.source, told.id, told.time))


def report(fact: Fact) -> dict[str, Any]:
    return {"patient": {"nhs_number": NHS_NUMBER}, "key": "k", "fact": orjson.loads(fact_json(fact))}


def refused_at(data: object, stored: str = "pathway.diagnosis-agreed.v1") -> tuple[str, str]:
    try:
        (entry,) = read(data, stored)
    except Refusal as refusal:
        return refusal.code, refusal.field
    assert isinstance(entry, Refused)
    return entry.code, entry.field


def test_every_fact_of_the_catalogue_can_be_reported_but_what_matching_records() -> None:
    missing = {fact for fact in samples() if fact.stored not in vocabulary()}
    ours_alone = {PatientRegistered, IdentifierLinked, *merging.FACTS, *retention.FACTS}
    assert ours_alone <= missing
    assert all(fact.stored.startswith("annotation.") for fact in missing - ours_alone)


@pytest.mark.parametrize("stored", SAMPLES)
def test_a_sample_of_each_type_is_read_as_it_was_told(stored: str) -> None:
    (entry,) = read(report(SAMPLES[stored]), stored)
    assert isinstance(entry, Translated)
    assert entry.instructions[0].act == SAMPLES[stored]


@pytest.mark.parametrize("stored", SAMPLES)
def test_a_sample_of_each_type_fits_its_closed_schema(stored: str) -> None:
    validator = jsonschema_rs.Draft202012Validator(schema(stored))
    told = report(SAMPLES[stored])
    if stored.split(".", 1)[0] not in ("pathway", "appointment", "referral"):
        del told["key"]
    validator.validate(told)
    for misspelt in (told | {"patent": 1}, told | {"fact": told["fact"] | {"misspelt": 1}}, told | {"patient": {}}):
        assert not validator.is_valid(misspelt)


def test_what_we_do_not_know_is_left_out_when_read() -> None:
    (entry,) = read(diagnosis() | {"new": 1, "fact": {"icd10": "C50.9", "new": {"deep": 1}}})
    assert isinstance(entry, Translated)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"fact": {"icd10": 5}}, "/fact/icd10"),
        ({"fact": {"icd10": "C50.9", "codes": [{"system": "s"}]}}, "/fact/codes/0/code"),
        ({"key": None}, "/key"),
        ({"key": ""}, "/key"),
        ({"occurred": "2026-02-30"}, "/occurred"),
        ({"occurred": "2026-02-03T10:00:00"}, "/occurred"),
        ({"occurred": "0001"}, "/occurred"),
        ({"patient": {"nhs_number": NHS_NUMBER, "birth_date": "1960-13"}}, "/patient/birth_date"),
        ({"patient": {"nhs_number": "unknown"}}, "/patient/nhs_number"),
        ({"performer": {"kind": "robot"}}, "/performer/kind"),
    ],
)
def test_a_wrong_field_is_named_by_its_place(change: dict[str, Any], field: str) -> None:
    assert refused_at(diagnosis() | change) == ("invalid-field", field)


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "2026-03-01T10:00:00", 1, "soon"])
def test_an_instant_must_be_one(start: object) -> None:
    data = diagnosis() | {"fact": {"start": start}}
    assert refused_at(data, "appointment.booked.v1") == ("invalid-field", "/fact/start")


def test_all_wrong_fields_are_told_at_once() -> None:
    assert len(read({"patient": {}, "key": 1, "fact": {"icd10": 1}})) == 2


def test_a_patient_needs_an_identifier() -> None:
    assert refused_at(diagnosis() | {"patient": {"name": {"family": "Made Up"}}}) == ("no-patient", "/patient")


def test_an_nhs_number_that_fails_its_check_is_kept_as_the_sources_own() -> None:
    (entry,) = read(diagnosis(patient="900 000 0008"))
    assert isinstance(entry, Translated)
    (kept,) = entry.patient.identifiers
    assert (kept.system, kept.value) == (f"{SOURCE}/unverified-nhs-number", "9000000008")


def test_when_it_happened_is_as_precise_as_told_and_else_the_events_time() -> None:
    told = [read(diagnosis() | {"occurred": occurred})[0] for occurred in ("2026", "2026-02", None)]
    occurred = [each.instructions[0].occurred for each in told if isinstance(each, Translated)]
    assert [each.precision for each in occurred] == [Precision.YEAR, Precision.MONTH, Precision.INSTANT]
    assert occurred[2].at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("source", "expected", "organisation"),
    [
        ("/nhs/england/RXX/pas/prod", "/nhs/england/RXX", "RXX"),
        ("/nhs/england/RXX", "/nhs/england/RXX", "RXX"),
        ("/nhs/england/pas", "/nhs/england/pas", None),
        ("https://example.org/a", "https://example.org/a", None),
    ],
)
def test_a_key_means_the_same_in_all_systems_of_one_organisation(
    source: str, expected: str, organisation: str | None
) -> None:
    assert (scope(source), organisation_of(source)) == (expected, organisation)


def test_a_key_of_a_named_system_is_the_same_everywhere() -> None:
    (entry,) = read(diagnosis() | {"key_system": "urn:pathways"})
    assert isinstance(entry, Translated)
    assert entry.instructions[0].target == (Category.PATHWAY, "urn:pathways|p-1")


def test_the_asyncapi_document_has_a_message_for_each_type_and_no_loose_reference() -> None:
    document = asyncapi("care-events")
    text = orjson.dumps(document).decode()
    assert set(document["components"]["messages"]) == {*schemas(), "fhir-document"}
    assert "$defs" not in text
    for word in text.split('"$ref":"')[1:]:
        place: Any = document
        for step in word.split('"', 1)[0].removeprefix("#/").split("/"):
            place = place[step]
