"""The reference lists are well-formed, and a deployment can add to them."""

import json
from pathlib import Path

import pytest
from stdnum import luhn, verhoeff

from consumers.fhir import documents
from consumers.translation import Translated
from domain import cancer_codes
from domain.cancer_codes import Meaning, load, normalised_icd10, shipped
from domain.pathway import DiagnosisAgreed, Relevance
from tests.fhir_documents import SNOMED, concept, resource, sender

REFERENCE = Path(cancer_codes.__file__).parent / "reference"


def test_every_snomed_code_has_its_check_digit() -> None:
    lists = shipped()
    for code in (*lists.conditions, *lists.treatments, *lists.declined, *lists.progressed):
        assert verhoeff.is_valid(code), code


def test_every_loinc_code_has_its_check_digit() -> None:
    for code in shipped().observations:
        assert luhn.is_valid(code.replace("-", "")), code


def test_every_list_says_its_version() -> None:
    files = sorted(REFERENCE.glob("cancer_*.json"))
    assert len(files) == 4
    assert all(json.loads(path.read_text())["version"] for path in files)


def test_stages_and_scales_have_an_axis() -> None:
    needs = (Meaning.STAGED_BEFORE_TREATMENT, Meaning.STAGED_INTEGRATED, Meaning.PERFORMANCE_STATUS)
    assert all(row.axis for row in shipped().observations.values() if row.meaning in needs)


@pytest.mark.parametrize(
    ("told", "code"),
    [("c509", "C50.9"), (" C50.9 ", "C50.9"), ("C61X", "C61"), ("C83.3A", "C83.3"), ("breast", None), ("", None)],
)
def test_icd10_is_normalised(told: str, code: str | None) -> None:
    assert normalised_icd10(told) == code


def test_the_american_edition_keeps_its_fifth_character() -> None:
    assert normalised_icd10("C83.3A", is_clinical_modification=True) == "C83.3A"


def test_a_deployment_adds_a_code_and_the_translator_knows_it(tmp_path: Path) -> None:
    document = resource("Condition", code=concept(SNOMED, "195967001"))
    [before] = documents.translate(document, sender())
    addition = tmp_path / "codes.json"
    addition.write_text('{"conditions": {"195967001": {"relevance": "uncertain-behaviour", "display": "Invented"}}}')
    [after] = documents.translate(document, sender(), load(addition))
    assert isinstance(before, Translated)
    assert isinstance(after, Translated)
    assert not isinstance(before.instructions[0].act, DiagnosisAgreed)
    act = after.instructions[0].act
    assert isinstance(act, DiagnosisAgreed)
    assert act.relevance is Relevance.UNCERTAIN_BEHAVIOUR
    assert "254837009" in load(addition).conditions


def test_an_addition_of_another_shape_is_refused(tmp_path: Path) -> None:
    addition = tmp_path / "codes.json"
    addition.write_text('{"conditions": {"1": {"relevance": "perhaps"}}}')
    with pytest.raises(ValueError, match="relevance"):
        load(addition)
