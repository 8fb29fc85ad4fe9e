"""Signals of the notification service in their three shapes."""

from typing import Any

import pytest

from consumers import mns
from consumers.translation import Refused, Translated
from domain.facts import PATIENT
from domain.patient import (
    NHS_NUMBER,
    DeathRecordedFormally,
    DeathReportedInformally,
    ExternalChangeNotified,
    Identifier,
)
from tests import fhir_documents
from tests.fhir_documents import entries, fixture, sender

PERSON = (Identifier(system=NHS_NUMBER, value=fhir_documents.NHS_NUMBER),)


def recorded(document: Any) -> Translated:
    [entry] = mns.translate(document, sender())
    assert isinstance(entry, Translated), entry
    return entry


def test_a_signal_names_its_patient_and_nothing_of_the_number_is_kept() -> None:
    entry = recorded(fixture("mns_signal"))
    [given] = entry.instructions
    assert entry.patient.identifiers == PERSON
    assert given.target == PATIENT
    reference = "https://api.example.nhs.uk/personal-demographics/FHIR/R4/Patient"
    assert given.act == ExternalChangeNotified(kind="pds-change-of-gp-2", reference=reference)
    assert given.occurred.words() == "2026-02-01T13:00:00+00:00"


def test_a_history_bundle_is_the_same_signal() -> None:
    [entry] = entries(fixture("mns_history"))
    assert isinstance(entry, Translated)
    assert entry.patient.identifiers == PERSON
    [given] = entry.instructions
    assert isinstance(given.act, ExternalChangeNotified)
    assert given.act.kind == "pds-record-change-2"
    assert fhir_documents.NHS_NUMBER not in given.act.model_dump_json()


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        ("2", DeathRecordedFormally),
        ("1", DeathReportedInformally),
        (None, DeathReportedInformally),
        ("U", ExternalChangeNotified),
    ],
)
def test_a_death_is_formal_only_when_the_signal_says_so(status: str | None, fact: type) -> None:
    document = fixture("mns_death")
    document["data"]["deathNotificationStatus"] = status
    entry = recorded(document)
    assert type(entry.instructions[0].act) is fact
    assert entry.patient.birth_date == "1961-07-04"


def test_the_older_shape_is_told_from_fhir() -> None:
    [entry] = entries(fixture("mns_death"))
    assert isinstance(entry, Translated)
    assert entry.kind == "pds-death-notification-1"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"subject": None}, ("no-patient", "/subject")),
        ({"subject": {}}, ("no-patient", "/subject/nhsNumber")),
        ({"subject": "nobody"}, ("no-patient", "/subject")),
        ({"type": "something else"}, ("unknown-signal", "/type")),
        ({"type": 3}, ("wrong-type", "/type")),
        ({"time": "yesterday"}, ("invalid-date", "/time")),
    ],
)
def test_a_signal_that_cannot_be_read_is_refused_at_its_field(
    change: dict[str, Any], expected: tuple[str, str]
) -> None:
    [entry] = mns.translate({**fixture("mns_signal"), **change}, sender())
    assert isinstance(entry, Refused)
    assert (entry.code, entry.field) == expected


def test_events_of_the_plans_own_vocabulary_are_no_signals() -> None:
    assert not mns.is_signal({"type": "uk.nhs.cancerplan.pathway.diagnosed.v1", "subject": "pathway/1"})
