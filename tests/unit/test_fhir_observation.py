"""An Observation becomes a stage, a marker, a status or a finding of a cancer, or is not used."""

from typing import Any

import pytest

from domain.facts import Coding
from domain.pathway import (
    CancerProgressed,
    CancerStateAssessed,
    InvestigationReported,
    PerformanceStatusAssessed,
    StagedBeforeTreatment,
    StagedIntegrated,
    TumourMarkerMeasured,
)
from tests.fhir_documents import (
    LOINC,
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


def observation(code: str, **members: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "status": "final",
        "effectiveDateTime": "2026-01-14",
        "code": concept(LOINC, code),
        **members,
    }
    return resource("Observation", **given)


def of_value(system: str, code: str, display: str) -> dict[str, Any]:
    return {"valueCodeableConcept": concept(system, code, display)}


T2 = of_value(SNOMED, "67673008", "T2 category (finding)")


@pytest.mark.parametrize(
    ("code", "fact", "axis"),
    [
        ("21905-5", StagedBeforeTreatment, "T"),
        ("21906-3", StagedBeforeTreatment, "N"),
        ("21907-1", StagedBeforeTreatment, "M"),
        ("21908-9", StagedBeforeTreatment, "group"),
        ("21899-0", StagedIntegrated, "T"),
        ("21900-6", StagedIntegrated, "N"),
        ("21901-4", StagedIntegrated, "M"),
        ("21902-2", StagedIntegrated, "group"),
    ],
)
def test_clinical_and_pathological_stages_are_two_facts(
    code: str, fact: type[StagedBeforeTreatment | StagedIntegrated], axis: str
) -> None:
    [act] = acts(observation(code, **T2))
    assert isinstance(act, fact)
    assert act.findings[0].axis == axis


@pytest.mark.parametrize(
    ("told", "value"),
    [
        (T2, "T2"),
        (of_value(SNOMED, "261638004", "Stage 3A (qualifier value)"), "3A"),
        (of_value("http://cancerstaging.org", "cT3", "T3"), "cT3"),
        (of_value("http://cancerstaging.org", "3C", "IIIC"), "3C"),
        (of_value("urn:x", "x", "locally advanced"), "locally advanced"),
    ],
)
def test_a_stage_is_as_it_was_told(told: dict[str, Any], value: str) -> None:
    [act] = acts(observation("21905-5", **told))
    assert isinstance(act, StagedBeforeTreatment)
    assert act.findings[0].value == value


def test_the_focus_names_the_pathway() -> None:
    [given] = instructions(observation("21905-5", **T2, focus=[{"reference": "Condition/c9"}]))
    assert given.target.key == f"{SOURCE}/Condition|c9"


def test_without_a_focus_it_is_about_the_only_cancer_of_that_patient() -> None:
    [given] = instructions(bundle(breast_cancer(), asthma(), observation("21905-5", **T2)))
    assert given.target.key == f"{SOURCE}/Condition|c1"


def test_with_two_cancers_and_no_focus_nobody_guesses() -> None:
    second = {**breast_cancer(), "id": "c2"}
    [given] = instructions(bundle(breast_cancer(), second, observation("21905-5", **T2)))
    assert given.target.key == "unassigned"


def test_another_patients_cancer_is_not_this_patients() -> None:
    other = {**breast_cancer(), "subject": {"reference": "Patient/2"}}
    [given] = instructions(bundle(other, observation("21905-5", **T2)))
    assert given.target.key == "unassigned"


def test_a_panel_is_about_what_its_members_are_about() -> None:
    member = {**observation("21905-5", **T2, focus=[{"reference": "Condition/c1"}]), "id": "o1"}
    panel = {**observation("21908-9", **T2, hasMember=[{"reference": "Observation/o1"}]), "id": "o2"}
    [given] = instructions(bundle(breast_cancer(), {**breast_cancer(), "id": "c2"}, member, panel))
    assert given.target.key == f"{SOURCE}/Condition|c1"


def test_a_stage_of_a_condition_that_is_not_cancer_is_not_used() -> None:
    document = bundle(asthma(), observation("21905-5", **T2, focus=[{"reference": "Condition/a1"}]))
    assert "not known to be cancer" in why_unused(document)


def test_of_two_codes_of_a_marker_the_particular_one_is_kept() -> None:
    codes = {"coding": [{"system": LOINC, "code": "48676-1"}, {"system": LOINC, "code": "85318-4"}]}
    [act] = acts({**observation("85318-4", **of_value(SNOMED, "260385009", "Negative")), "code": codes})
    assert act == TumourMarkerMeasured(marker=Coding(system=LOINC, code="85318-4"), value="Negative")


def test_performance_status_disease_status_and_pathology() -> None:
    [ecog] = acts(observation("89247-1", valueInteger=1))
    assert ecog == PerformanceStatusAssessed(scale="ECOG", value="1")
    [worse] = acts(observation("97509-4", **of_value(SNOMED, "271299001", "Worsened")))
    assert isinstance(worse, CancerProgressed)
    [stable] = acts(observation("88040-1", **of_value(SNOMED, "359746009", "Stable")))
    assert isinstance(stable, CancerStateAssessed)
    [size] = acts(observation("33728-7", valueQuantity={"value": 1.5, "unit": "cm"}))
    assert isinstance(size, InvestigationReported)
    assert size.result == "1.5 cm"


@pytest.mark.parametrize("code", ["8302-2", "85354-9", "2093-3"])
def test_vital_signs_and_blood_counts_are_not_used(code: str) -> None:
    assert "no cancer plan uses" in why_unused(observation(code, valueInteger=1))


def test_what_is_not_final_or_has_no_value_is_not_a_finding() -> None:
    assert "not final" in why_unused(observation("21905-5", **T2) | {"status": "preliminary"})
    assert "without obtaining" in why_unused(observation("21905-5", dataAbsentReason={"text": "unknown"}))
    assert refusal(observation("21905-5")) == ("missing-field", "/valueCodeableConcept")


def test_a_finding_in_error_needs_a_person() -> None:
    assert refusal(observation("21905-5", **T2) | {"status": "entered-in-error"}) == ("withdrawal-by-hand", "/status")
