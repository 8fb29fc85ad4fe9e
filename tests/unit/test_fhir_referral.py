"""Referrals of R4 and of e-RS: received, cancelled, rejected; and what is no referral."""

from typing import Any

import pytest

from consumers.translation import Refused, Translated
from domain.annotation import Retract
from domain.appointment import AppointmentBooked, AppointmentCancelledByPatient
from domain.facts import Category, Target
from domain.pathway import InvestigationRequested
from domain.patient import NHS_NUMBER as NHS_SYSTEM
from domain.referral import Priority, ReferralCancelled, ReferralReceived, ReferralRejected
from domain.times import parse
from tests.fhir_documents import (
    NHS_NUMBER,
    SENT,
    SNOMED,
    SOURCE,
    acts,
    breast_cancer,
    bundle,
    concept,
    entries,
    fixture,
    instructions,
    last,
    refusal,
    resource,
    why_unused,
)

CATEGORY = "https://fhir.nhs.uk/CodeSystem/message-category-servicerequest"
UBRN_KEY = "https://fhir.nhs.uk/Id/UBRN|000000012345"


def request(category: str | None = "referral", **members: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"status": "active", "intent": "order", "authoredOn": "2026-01-05T09:00:00Z", **members}
    return resource("ServiceRequest", id="s1", category=[concept(CATEGORY, category)] if category else None, **told)


def test_a_referral_is_received_with_its_version_and_keeps_when_it_was_written() -> None:
    [given] = instructions(request(priority="urgent", meta={"lastUpdated": "2026-01-06T09:00:00Z"}))
    assert isinstance(given.act, ReferralReceived)
    assert given.act.priority is Priority.URGENT
    assert given.act.authored_at is not None
    assert given.occurred.words() == "2026-01-06T09:00:00+00:00"
    assert given.target == Target(Category.REFERRAL, f"{SOURCE}/ServiceRequest|s1")


def test_a_ubrn_names_the_referral_by_whatever_route_it_came() -> None:
    numbered = request(identifier=[{"system": "https://fhir.nhs.uk/Id/UBRN", "value": "000000012345"}])
    [given] = instructions(numbered)
    assert given.target.key == UBRN_KEY
    assert instructions(fixture("ers_referral_request"))[0].target == given.target


def test_revoked_is_cancelled_and_in_error_is_retracted() -> None:
    assert acts(request(status="revoked")) == [ReferralCancelled()]
    assert acts(request(status="entered-in-error")) == [Retract(as_of=parse(SENT).at)]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (request("request", code=concept("urn:x", "advice-and-guidance")), "advice"),
        (request("validation"), "something else"),
        (request(status="draft"), "proposed or drafted"),
        (request("laboratory"), "without a cancer"),
    ],
)
def test_what_is_no_referral_says_why(document: dict[str, Any], why: str) -> None:
    assert why in why_unused(document)


def test_an_investigation_because_of_a_cancer_is_requested_on_its_pathway() -> None:
    scan = request(
        "imaging", code=concept(SNOMED, "241615005", "MRI of breast"), reasonReference=[{"reference": "Condition/c1"}]
    )
    [given] = instructions(bundle(breast_cancer(), scan))
    assert isinstance(given.act, InvestigationRequested)
    assert given.act.name == "MRI of breast"
    assert given.target.key == f"{SOURCE}/Condition|c1"


def test_a_request_of_no_kind_is_refused() -> None:
    assert refusal(request(None)) == ("missing-field", "/category")


def test_an_ers_referral_starts_with_its_pathway() -> None:
    [given] = instructions(fixture("ers_referral_request"))
    assert isinstance(given.act, ReferralReceived)
    assert given.act.priority is Priority.URGENT_SUSPECTED_CANCER
    assert given.act.services == ("Example breast clinic",)
    assert given.occurred.words() == "2026-01-06T10:00:00+00:00"
    entry = last(fixture("ers_referral_request"))
    assert isinstance(entry, Translated)
    assert [(each.system, each.value) for each in entry.patient.identifiers] == [(NHS_SYSTEM, NHS_NUMBER)]


def test_what_ers_answers_to_a_cancellation_is_read_resource_by_resource() -> None:
    referral, appointment = entries(fixture("ers_cancelled_referral"))
    assert isinstance(referral, Translated)
    assert isinstance(appointment, Translated)
    assert (referral.pointer, appointment.pointer) == ("/parameter/0/resource", "/parameter/1/resource")
    cancelled = referral.instructions[-1].act
    assert isinstance(cancelled, ReferralCancelled)
    assert cancelled.by == "patient"
    booked, given_up = appointment.instructions
    assert isinstance(booked.act, AppointmentBooked)
    assert booked.act.referral == UBRN_KEY
    assert isinstance(given_up.act, AppointmentCancelledByPatient)


@pytest.mark.parametrize(("code", "by"), [("REFERRER_CANCELLATION", "referrer"), ("COMPLEX_PATHWAY", None)])
def test_who_cancelled_a_referral_is_told_only_where_ers_tells_it(code: str, by: str | None) -> None:
    document = fixture("ers_cancelled_referral")["parameter"][0]["resource"]
    document["extension"][-1]["extension"][1]["valueCoding"]["code"] = code
    cancelled = acts(document)[-1]
    assert isinstance(cancelled, ReferralCancelled)
    assert cancelled.by == by


def test_a_rejected_referral_whose_start_is_not_told_is_only_rejected() -> None:
    document = fixture("ers_cancelled_referral")["parameter"][0]["resource"] | {"status": "active"}
    document["extension"][-1]["extension"][0]["valueCoding"]["code"] = "REJECTED"
    received, rejected = acts(document)
    assert isinstance(received, ReferralReceived)
    assert isinstance(rejected, ReferralRejected)
    del document["extension"][1]
    assert [type(act) for act in acts(document)] == [ReferralRejected]


def test_a_call_to_ers_is_not_a_fact() -> None:
    entry = last(fixture("ers_cancel_call"))
    assert isinstance(entry, Refused)
    assert (entry.code, entry.field) == ("call-not-a-fact", "/parameter")
    assert "names neither" in entry.detail
    profile = {"profile": ["eRS-CreateReferral-Parameters-1"]}
    created = {"resourceType": "Parameters", "meta": profile, "parameter": [{"name": "patient"}]}
    asked = last(created)
    assert isinstance(asked, Refused)
    assert "no UBRN yet" in asked.detail


def test_parameters_of_other_operations_are_refused() -> None:
    assert refusal({"resourceType": "Parameters", "parameter": [{"name": "x"}]}) == ("unknown-parameters", "/parameter")
