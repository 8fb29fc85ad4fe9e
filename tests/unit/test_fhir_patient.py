"""Who a resource is about, and what a Patient says of the person."""

from typing import Any

import pytest

from consumers.translation import Translated
from domain.identity import PatientReference
from domain.linking import LinkKind, LinkReported
from domain.patient import (
    DeathRecordedFormally,
    DeathReportedInformally,
    DemographicsRecorded,
    EthnicityRecorded,
    Identifier,
    LanguageRecorded,
    RestrictionApplied,
)
from tests.fhir_documents import NHS_NUMBER, SOURCE, acts, breast_cancer, bundle, entries, last, refusal

NHS = "https://fhir.nhs.uk/Id/nhs-number"
UUID = "11111111-1111-4111-8111-111111111111"
UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"


def patient(**members: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"identifier": [{"system": NHS, "value": NHS_NUMBER}], **members}
    return {"resourceType": "Patient", "id": "p1", **given}


def of(document: Any) -> PatientReference:
    entry = last(document)
    assert isinstance(entry, Translated), entry
    return entry.patient


def about(subject: dict[str, Any]) -> PatientReference:
    return of(breast_cancer(subject=subject))


def test_an_nhs_number_is_normalised_and_an_unverified_one_is_kept_for_its_source() -> None:
    assert about({"identifier": {"system": NHS, "value": "999 012 3454"}}).identifiers == (
        Identifier(system=NHS, value=NHS_NUMBER),
    )
    assert about({"identifier": {"system": NHS, "value": "9990123455"}}).identifiers == (
        Identifier(system=f"{SOURCE}/unverified-nhs-number", value="9990123455"),
    )


def test_the_old_system_of_nhs_numbers_is_the_same_system() -> None:
    told = about({"identifier": {"system": "http://fhir.nhs.net/Id/nhs-number", "value": NHS_NUMBER}})
    assert told.identifiers[0].system == NHS


@pytest.mark.parametrize(
    ("reference", "identifiers"),
    [
        ("Patient/7", [(f"{SOURCE}/Patient", "7")]),
        ("urn:uuid:mrn-7", [(f"{SOURCE}/Patient", "mrn-7")]),
        (f"urn:uuid:{UUID}", [(f"{SOURCE}/Patient", UUID), ("urn:ietf:rfc:3986", f"urn:uuid:{UUID}")]),
        ("https://pas.example/fhir/Patient/7/_history/2", [("https://pas.example/fhir/Patient", "7")]),
        (f"https://api.example.nhs.uk/personal-demographics/FHIR/R4/Patient/{NHS_NUMBER}", [(NHS, NHS_NUMBER)]),
    ],
)
def test_a_reference_is_an_identifier_of_its_source(reference: str, identifiers: list[tuple[str, str]]) -> None:
    told = about({"reference": reference}).identifiers
    assert [(each.system, each.value) for each in told] == identifiers


@pytest.mark.parametrize("reference", [f"urn:uuid:{UUID}", f"Patient/{UUID}", f"Patient/{NHS_NUMBER}"])
def test_every_name_of_the_bundles_patient_gives_all_its_identifiers(reference: str) -> None:
    person = {"fullUrl": f"urn:uuid:{UUID}", "resource": patient(id=UUID, birthDate="1961-07-04")}
    condition = {"resource": breast_cancer(subject={"reference": reference})}
    told = of({"resourceType": "Bundle", "type": "message", "entry": [person, condition]})
    assert Identifier(system=NHS, value=NHS_NUMBER) in told.identifiers
    assert Identifier(system=f"{SOURCE}/Patient", value=UUID) in told.identifiers
    assert told.birth_date == "1961-07-04"


@pytest.mark.parametrize(
    ("subject", "field"),
    [
        (None, "/subject"),
        ({}, "/subject"),
        ({"display": "Someone"}, "/subject"),
        ({"reference": "Group/1"}, "/subject"),
    ],
)
def test_a_resource_about_nobody_is_refused(subject: Any, field: str) -> None:
    assert refusal(breast_cancer(subject=subject)) == ("no-patient", field)


def test_the_older_member_patient_is_the_subject() -> None:
    assert about({"reference": "Patient/7"}) == of(
        {**breast_cancer(subject=None), "patient": {"reference": "Patient/7"}}
    )
    assert refusal({**breast_cancer(subject=None), "patient": {"display": "Someone"}}) == ("no-patient", "/patient")


def test_a_placeholder_is_no_nhs_number() -> None:
    document = breast_cancer(subject={"identifier": {"system": NHS, "value": "$nhs-number"}})
    assert refusal(document) == ("invalid-identifier", "/subject/identifier/value")


def test_a_patient_without_any_number_is_never_matched_by_name() -> None:
    person = {"resourceType": "Patient", "name": [{"family": "Example"}], "birthDate": "1961-07-04"}
    assert refusal(person) == ("no-identifier", "/identifier")


def test_the_official_name_current_addresses_and_the_practice_are_recorded() -> None:
    [act] = acts(
        patient(
            name=[{"use": "old", "family": "Sample"}, {"use": "official", "family": "Example", "given": ["Asha"]}],
            birthDate="1961-07",
            gender="female",
            address=[{"line": ["1 Test Street"], "postalCode": "ZZ99 9ZZ"}, {"use": "old", "line": ["2 Gone Road"]}],
            telecom=[{"value": "1", "period": {"end": "2020-01-01"}}, {"system": "phone", "value": "2"}],
            generalPractitioner=[
                {"identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "Y1"}}
            ],
        )
    )
    assert isinstance(act, DemographicsRecorded)
    assert act.name is not None
    assert (act.name.family, act.birth_date, act.gender) == ("Example", "1961-07", "female")
    assert [each.lines for each in act.addresses] == [("1 Test Street",)]
    assert [each.value for each in act.telecoms] == ["2"]
    assert act.registered_practice == "Y1"


def test_identifiers_alone_are_still_told() -> None:
    entry = last(patient())
    assert isinstance(entry, Translated)
    assert entry.instructions == ()


def test_a_family_name_may_be_a_list_as_in_the_second_release() -> None:
    [act] = acts(patient(name=[{"family": ["Example", "Sample"], "given": ["Asha"]}]))
    assert isinstance(act, DemographicsRecorded)
    assert act.name is not None
    assert act.name.family == "Example Sample"


def test_language_and_interpreter() -> None:
    parts = [
        {"url": "language", "valueCodeableConcept": {"coding": [{"code": "fr", "display": "French"}]}},
        {"url": "interpreterRequired", "valueBoolean": True},
    ]
    assert acts(patient(extension=[{"url": f"{UK_CORE}NHSCommunication", "extension": parts}])) == [
        LanguageRecorded(language="French", interpreter_needed=True)
    ]
    spoken = [{"language": {"text": "English"}}, {"language": {"text": "Urdu"}, "preferred": True}]
    assert acts(patient(communication=spoken)) == [LanguageRecorded(language="Urdu")]


def test_only_the_ethnic_category_of_this_country_is_recorded() -> None:
    category = {"valueCodeableConcept": {"coding": [{"system": "urn:x", "code": "A"}]}}
    [act] = acts(patient(extension=[{"url": f"{UK_CORE}EthnicCategory", **category}]))
    assert isinstance(act, EthnicityRecorded)
    american = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity", **category}
    assert acts(patient(extension=[american])) == []


@pytest.mark.parametrize(("code", "restricted"), [("R", True), ("V", True), ("S", True), ("U", False), ("N", False)])
def test_a_restriction_is_applied_by_its_code(code: str, restricted: bool) -> None:
    told = acts(patient(meta={"security": [{"code": code}]}))
    assert told == ([RestrictionApplied(code=code)] if restricted else [])


def test_a_death_is_formal_only_by_the_registrars_notice() -> None:
    [informal] = acts(patient(deceasedDateTime="2026-02-01"))
    assert informal == DeathReportedInformally(on="2026-02-01")
    assert acts(patient(deceasedBoolean=True)) == [DeathReportedInformally()]
    assert acts(patient(deceasedBoolean=False)) == []
    notice = {"url": "deathNotificationStatus", "valueCodeableConcept": {"coding": [{"code": "2"}]}}
    formal = patient(
        deceasedDateTime="2026-02-01", extension=[{"url": f"{UK_CORE}DeathNotificationStatus", "extension": [notice]}]
    )
    assert acts(formal) == [DeathRecordedFormally(on="2026-02-01")]


def test_a_bad_patient_spoils_only_what_is_about_that_patient() -> None:
    bad = patient(id="bad", birthDate="soon")
    told = entries(bundle(bad, breast_cancer(subject={"reference": "Patient/bad"}), patient()))
    assert [type(each).__name__ for each in told] == ["Refused", "Refused", "Translated"]


def links(*told: dict[str, Any], **members: Any) -> list[LinkReported]:
    return [each for each in acts(patient(link=list(told), **members)) if isinstance(each, LinkReported)]


@pytest.mark.parametrize("kind", list(LinkKind))
def test_another_record_of_the_same_person_is_reported(kind: LinkKind) -> None:
    (told,) = links({"type": kind.value, "other": {"reference": "Patient/p2"}})
    assert told == LinkReported(kind=kind, identifiers=(Identifier(system=f"{SOURCE}/Patient", value="p2"),))


def test_a_link_by_identifier_and_one_within_the_message() -> None:
    (told,) = links({"type": "replaced-by", "other": {"identifier": {"system": "mrn", "value": "77"}}})
    assert told.identifiers == (Identifier(system="mrn", value="77"),)
    other = {"resourceType": "Patient", "id": "p2", "identifier": [{"system": "mrn", "value": "78"}]}
    one = patient(link=[{"type": "replaces", "other": {"reference": "Patient/p2"}}])
    found = [each for each in acts(bundle(other, one)) if isinstance(each, LinkReported)]
    assert [each.identifiers for each in found] == [
        (Identifier(system="mrn", value="78"), Identifier(system=f"{SOURCE}/Patient", value="p2"))
    ]


@pytest.mark.parametrize(
    "link",
    [
        {"type": "seealso", "other": {"reference": "Patient/p2"}},
        {"type": "refer", "other": {"reference": "Patient/p2"}},
        {"type": "replaces", "other": {"reference": "RelatedPerson/p2"}},
        {"type": "replaces", "other": {"reference": "Patient/p1"}},
        {"type": "replaces", "other": {"display": "somebody"}},
        {"other": {"reference": "Patient/p2"}},
    ],
)
def test_what_does_not_say_that_two_records_are_one_is_no_link(link: dict[str, Any]) -> None:
    assert links(link) == []
