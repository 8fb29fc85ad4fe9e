"""Procedures and medicines become treatments or investigations of a cancer, or are not used."""

from typing import Any

import pytest

from domain.pathway import InvestigationPerformed, Modality, TreatmentDeclined, TreatmentEnded, TreatmentStarted
from tests.fhir_documents import (
    SNOMED,
    SOURCE,
    acts,
    asthma,
    breast_cancer,
    bundle,
    concept,
    instructions,
    refusal,
    resource,
    why_unused,
)

CHEMOTHERAPY, LUMPECTOMY, MAMMOGRAPHY = "367336001", "392021009", "71651007"
TO_CANCER = [{"reference": "Condition/c1"}]
TO_ASTHMA = [{"reference": "Condition/a1"}]
MCODE = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-cancer-related-medication-administration"


def procedure(code: str, **members: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"status": "completed", "performedDateTime": "2026-02-02", **members}
    return resource("Procedure", id="p1", code=concept(SNOMED, code), **given)


def medicine(kind: str, name: str, **members: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"status": "completed", "medicationCodeableConcept": {"text": name}, **members}
    return resource(kind, id="m1", **given)


def with_conditions(document: dict[str, Any]) -> dict[str, Any]:
    return bundle(breast_cancer(), asthma(), document)


def test_surgery_for_a_cancer_starts_and_ends_a_treatment() -> None:
    period = {"start": "2026-02-02T09:00:00Z", "end": "2026-02-02T10:30:00Z"}
    surgery = procedure(LUMPECTOMY, performedDateTime=None, performedPeriod=period, reasonReference=TO_CANCER)
    started, ended = instructions(with_conditions(surgery))
    assert isinstance(started.act, TreatmentStarted)
    assert isinstance(ended.act, TreatmentEnded)
    assert started.act.modality is Modality.SURGERY
    assert started.act.treatment == ended.act.treatment == f"{SOURCE}/Procedure|p1"
    assert started.target == ended.target
    assert started.target.key == f"{SOURCE}/Condition|c1"


def test_chemotherapy_needs_no_reason_to_be_a_cancer_treatment() -> None:
    [given] = instructions(bundle(breast_cancer(), procedure(CHEMOTHERAPY)))
    assert isinstance(given.act, TreatmentStarted)
    assert given.target.key == f"{SOURCE}/Condition|c1"
    [alone] = instructions(procedure(CHEMOTHERAPY))
    assert alone.target.key == "unassigned"


@pytest.mark.parametrize(("code", "modality"), [("X65.4", Modality.EXTERNAL_BEAM), ("B27.4", Modality.SURGERY)])
def test_opcs4_codes_are_read_by_category(code: str, modality: Modality) -> None:
    opcs = concept("https://fhir.hl7.org.uk/Id/opcs-4", code)
    [act] = acts(with_conditions({**procedure("1", reasonReference=TO_CANCER), "code": opcs}))
    assert isinstance(act, TreatmentStarted)
    assert act.modality is modality


def test_another_procedure_because_of_a_cancer_is_an_investigation() -> None:
    [act] = acts(with_conditions(procedure(MAMMOGRAPHY, reasonReference=TO_CANCER)))
    assert isinstance(act, InvestigationPerformed)
    [coded] = acts(
        procedure(MAMMOGRAPHY, reasonCode=[{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "C50.9"}]}])
    )
    assert isinstance(coded, InvestigationPerformed)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (procedure(MAMMOGRAPHY), "neither a cancer treatment nor"),
        (procedure(LUMPECTOMY), "without a cancer as its reason"),
        (procedure(CHEMOTHERAPY, reasonReference=TO_ASTHMA), "not known to be cancer"),
        (procedure(LUMPECTOMY, reasonReference=TO_CANCER, status="not-done"), "not done"),
        (procedure(LUMPECTOMY, reasonReference=TO_CANCER, status="preparation"), "has not begun"),
    ],
)
def test_what_is_no_treatment_of_a_cancer_says_why(document: dict[str, Any], why: str) -> None:
    assert why in why_unused(with_conditions(document))


def test_a_treatment_that_the_patient_refused_is_declined() -> None:
    refused = procedure(
        CHEMOTHERAPY, reasonReference=TO_CANCER, status="not-done", statusReason=concept(SNOMED, "105480006")
    )
    assert acts(with_conditions(refused)) == [TreatmentDeclined(modality=Modality.CYTOTOXIC)]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            procedure(LUMPECTOMY, reasonReference=[{"reference": "Condition/9"}]),
            ("unresolved-reference", "/reasonReference"),
        ),
        (procedure(CHEMOTHERAPY, status="unknown"), ("unknown-status", "/status")),
        (procedure(CHEMOTHERAPY, status=None), ("unknown-status", "/status")),
        (procedure(CHEMOTHERAPY, status="entered-in-error"), ("withdrawal-by-hand", "/status")),
        (procedure(CHEMOTHERAPY, performedDateTime=None), ("missing-field", "/performedDateTime")),
        (procedure(CHEMOTHERAPY, performedDateTime="YYYY-MM-DD"), ("invalid-date", "/performedDateTime")),
        (procedure(CHEMOTHERAPY, performedDateTime="2026-02-30"), ("invalid-date", "/performedDateTime")),
        (procedure(CHEMOTHERAPY, performedDateTime="2026-02-01T10:00:00"), ("invalid-date", "/performedDateTime")),
    ],
)
def test_what_cannot_be_recorded_is_refused_at_its_field(document: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refusal(document) == expected


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("Paclitaxel 100 MG Injection", Modality.CYTOTOXIC),
        ("Anastrozole 1mg tablets", Modality.HORMONE),
        ("PEMBROLIZUMAB infusion", Modality.IMMUNOTHERAPY),
        ("Trastuzumab", Modality.BIOLOGICAL),
    ],
)
def test_a_cancer_medicine_that_was_given_is_a_treatment(name: str, modality: Modality) -> None:
    given = medicine("MedicationAdministration", name, effectiveDateTime="2026-02-10", reasonReference=TO_CANCER)
    [instruction] = instructions(with_conditions(given))
    assert isinstance(instruction.act, TreatmentStarted)
    assert instruction.act.modality is modality
    assert instruction.occurred.words() == "2026-02-10"


def test_a_prescription_is_a_treatment_only_when_all_of_it_was_given() -> None:
    order = medicine("MedicationRequest", "Tamoxifen 20mg", authoredOn="2026-02-10", reasonReference=TO_CANCER)
    assert isinstance(acts(with_conditions(order))[0], TreatmentStarted)
    assert "not known to have been given" in why_unused(with_conditions({**order, "status": "active"}))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (medicine("MedicationRequest", "Simvastatin 10 MG", reasonReference=TO_CANCER), "not on the list"),
        (medicine("MedicationStatement", "Methotrexate", reasonReference=TO_ASTHMA), "not known to be cancer"),
        (medicine("MedicationStatement", "Methotrexate"), "without a cancer as its reason"),
    ],
)
def test_other_medicines_say_why_they_are_not_used(document: dict[str, Any], why: str) -> None:
    assert why in why_unused(with_conditions(document))


def test_a_placeholder_in_a_cancer_medicine_is_refused() -> None:
    profiled = {"meta": {"profile": [MCODE]}, "effectiveDateTime": "YYYY-MM-DD"}
    assert refusal(medicine("MedicationAdministration", "Paclitaxel", **profiled)) == (
        "invalid-date",
        "/effectiveDateTime",
    )
    unknown = medicine("MedicationAdministration", "Paclitaxel", **profiled, status="example-status")
    assert refusal(unknown) == ("unknown-status", "/status")
