"""A Condition becomes a diagnosis, a suspicion, its end, or a note on the patient."""

import pytest

from consumers.fhir.documents import translate
from consumers.translation import Translated
from domain.annotation import Retract
from domain.facts import PATIENT, Category, Target
from domain.pathway import (
    CancerRecurred,
    CancerRuledOut,
    CancerStateAssessed,
    CancerSuspected,
    DiagnosisAgreed,
    Relevance,
)
from domain.patient import ConditionNoted
from domain.times import parse
from tests.fhir_documents import (
    SENT,
    SNOMED,
    SOURCE,
    acts,
    asthma,
    breast_cancer,
    concept,
    entries,
    instructions,
    refusal,
    resource,
    sender,
    why_unused,
)

ICD10 = "http://hl7.org/fhir/sid/icd-10"


def coded(system: str, code: str) -> dict[str, object]:
    return resource("Condition", code=concept(system, code), onsetDateTime="2026-01")


def test_a_cancer_is_a_diagnosis_on_the_pathway_of_its_condition() -> None:
    [given] = instructions(breast_cancer(onsetDateTime="2026-01-12"))
    assert isinstance(given.act, DiagnosisAgreed)
    assert (given.act.icd10, given.act.relevance) == ("C50.4", Relevance.CANCER)
    assert given.target == Target(Category.PATHWAY, f"{SOURCE}/Condition|c1")
    assert given.occurred.words() == "2026-01-12"


@pytest.mark.parametrize(
    ("system", "code", "relevance", "icd10"),
    [
        (ICD10, "C509", Relevance.CANCER, "C50.9"),
        (ICD10, "C61X", Relevance.CANCER, "C61"),
        (ICD10, "C50.9D", Relevance.CANCER, "C50.9"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "C50.211", Relevance.CANCER, "C50.211"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "C7A.01", Relevance.CANCER, None),
        (ICD10, "C78.0", Relevance.SECONDARY, "C78.0"),
        (ICD10, "D05.1", Relevance.IN_SITU, "D05.1"),
        (ICD10, "D37.4", Relevance.UNCERTAIN_BEHAVIOUR, "D37.4"),
        (SNOMED, "93761005", Relevance.CANCER, None),
        (SNOMED, "128462008", Relevance.SECONDARY, None),
    ],
)
def test_cancer_is_known_by_its_code(system: str, code: str, relevance: Relevance, icd10: str | None) -> None:
    [act] = acts(coded(system, code))
    assert isinstance(act, DiagnosisAgreed)
    assert (act.relevance, act.icd10) == (relevance, icd10)


@pytest.mark.parametrize(("system", "code"), [(ICD10, "J45.9"), (ICD10, "D25.1"), (SNOMED, "195967001"), ("", "C50.9")])
def test_any_other_condition_is_noted_on_the_patient(system: str, code: str) -> None:
    [given] = instructions(coded(system, code))
    assert given.target == PATIENT
    assert isinstance(given.act, ConditionNoted)
    assert given.occurred.words() == "2026-01"


def test_icd10_decides_where_codes_disagree() -> None:
    codes = [{"system": SNOMED, "code": "254837009"}, {"system": ICD10, "code": "C79.8"}]
    [act] = acts(resource("Condition", code={"coding": codes}))
    assert isinstance(act, DiagnosisAgreed)
    assert act.relevance is Relevance.SECONDARY


def test_a_profile_makes_a_condition_cancer_whatever_its_code() -> None:
    profile = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-primary-cancer-condition"
    [act] = acts(resource("Condition", code=concept(SNOMED, "1"), meta={"profile": [profile]}))
    assert isinstance(act, DiagnosisAgreed)


@pytest.mark.parametrize("status", ["unconfirmed", "provisional", "differential"])
def test_an_unconfirmed_cancer_is_a_suspicion(status: str) -> None:
    [act] = acts(breast_cancer(verificationStatus={"coding": [{"code": status}]}))
    assert isinstance(act, CancerSuspected)


def test_a_refuted_cancer_is_ruled_out_and_one_in_error_is_retracted() -> None:
    assert acts(breast_cancer(verificationStatus={"coding": [{"code": "refuted"}]})) == [CancerRuledOut()]
    assert acts(breast_cancer(verificationStatus="entered-in-error")) == [Retract(as_of=parse(SENT).at)]


def test_a_version_was_told_when_it_came_to_be_there_and_else_when_the_message_says() -> None:
    for meta, when in (
        ({"lastUpdated": "2026-02-28T10:00:00.1234567+01:00"}, "2026-02-28T09:00:00.123456+00:00"),
        ({}, SENT),
    ):
        [entry] = entries(breast_cancer(verificationStatus="entered-in-error", meta=meta))
        assert isinstance(entry, Translated)
        assert entry.told_at == parse(when).at
        assert entry.instructions[0].act == Retract(as_of=parse(when).at)


def test_an_unreadable_time_of_the_version_holds_back_no_diagnosis() -> None:
    [entry] = entries(breast_cancer(recordedDate="2026-02-27", meta={"lastUpdated": "yesterday"}))
    assert isinstance(entry, Translated)
    assert entry.told_at == parse(SENT).at


def test_a_version_that_does_not_say_so_was_told_when_its_message_was_recorded() -> None:
    told = sender()._replace(recorded_time=parse("2026-02-27"))
    [entry] = translate(breast_cancer(), told)
    assert isinstance(entry, Translated)
    assert entry.told_at == parse("2026-02-27").at


def test_another_condition_in_error_needs_a_person_since_other_facts_share_its_stream() -> None:
    document = {**asthma(), "verificationStatus": {"coding": [{"code": "entered-in-error"}]}}
    assert refusal(document) == ("withdrawal-by-hand", "/verificationStatus")


def test_an_unconfirmed_condition_that_is_not_cancer_is_not_kept() -> None:
    assert "neither confirmed" in why_unused({**asthma(), "verificationStatus": {"coding": [{"code": "provisional"}]}})


def test_a_resolved_cancer_says_since_when() -> None:
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]}
    agreed, state = instructions(
        breast_cancer(onsetDateTime="2020-01-01", abatementDateTime="2025-05-01", clinicalStatus=status)
    )
    assert isinstance(agreed.act, DiagnosisAgreed)
    assert isinstance(state.act, CancerStateAssessed)
    assert state.occurred.words() == "2025-05-01"


def test_a_recurrence_is_recorded_beside_the_diagnosis() -> None:
    _, recurred = acts(breast_cancer(clinicalStatus={"coding": [{"system": "s", "code": "recurrence"}]}))
    assert isinstance(recurred, CancerRecurred)


def test_a_condition_without_a_code_or_text_is_refused() -> None:
    assert refusal(resource("Condition")) == ("missing-field", "/code")


def test_the_business_identifier_names_the_pathway_before_the_id() -> None:
    [given] = instructions(breast_cancer(identifier=[{"system": "urn:x:tumour", "value": "7"}]))
    assert given.target.key == "urn:x:tumour|7"
