"""Documents of every shape come apart into one entry for each resource."""

import time
from collections import Counter
from typing import Any

import pytest

from consumers.fhir.documents import MOST_RESOURCES
from consumers.translation import Entry, NotOurs, Refused, Translated
from domain.facts import Fact
from tests.fhir_documents import SUBJECT, breast_cancer, bundle, entries, fixture, refusal, resource


def outcome(entry: Entry) -> str:
    match entry:
        case Translated():
            return "recorded"
        case NotOurs():
            return "not ours"
        case Refused():
            return entry.code


def test_every_entry_of_a_bundle_has_its_own_outcome() -> None:
    told = entries(fixture("breast_bundle"))
    assert [entry.pointer for entry in told] == [f"/entry/{index}/resource" for index in range(11)]
    assert Counter(map(outcome, told)) == {"recorded": 9, "not ours": 1, "invalid-date": 1}


def test_the_whole_story_of_the_bundle_is_recorded() -> None:
    told = (entry for entry in entries(fixture("breast_bundle")) if isinstance(entry, Translated))
    acts = (given.act for entry in told for given in entry.instructions)
    assert [act.stored for act in acts if isinstance(act, Fact)] == [
        "patient.demographics-recorded.v1",
        "pathway.diagnosis-agreed.v1",
        "pathway.staged-before-treatment.v1",
        "pathway.treatment-started.v1",
        "pathway.treatment-ended.v1",
        "appointment.attended.v1",
        "care-plan.plan-received.v1",
        "care-plan.action-agreed.v1",
        "care-plan.action-finished.v1",
        "care-plan.action-agreed.v1",
        "care-plan.goal-set.v1",
        "pathway.performance-status-assessed.v1",
        "pathway.tumour-marker-measured.v1",
    ]


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (breast_cancer(), ""),
        ([breast_cancer()], "/0"),
        ([{"resource": breast_cancer()}], "/0/resource"),
        (bundle(breast_cancer()), "/entry/0/resource"),
        ({"resourceType": "Bundle", "type": "searchset", "entry": [breast_cancer()]}, "/entry/0"),
        (bundle(bundle(breast_cancer())), "/entry/0/resource/entry/0/resource"),
    ],
)
def test_a_resource_is_found_wherever_it_stands(document: Any, pointer: str) -> None:
    [entry] = entries(document)
    assert isinstance(entry, Translated)
    assert entry.pointer == pointer


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (7, ("not-fhir", "")),
        (None, ("not-fhir", "")),
        ("text", ("not-fhir", "")),
        ({}, ("no-resource-type", "/resourceType")),
        ({"resourceType": 5}, ("wrong-type", "/resourceType")),
        ({"resourceType": "Unheard"}, ("unknown-resource-type", "/resourceType")),
        ({"resourceType": "Bundle"}, ("empty-bundle", "/entry")),
        ({"resourceType": "Bundle", "entry": 5}, ("wrong-type", "/entry")),
        ({"resourceType": "Bundle", "entry": [{}]}, ("no-resource", "/entry/0/resource")),
        (bundle({}), ("no-resource-type", "/entry/0/resource/resourceType")),
        ([], ("empty-bundle", "")),
        (
            bundle(bundle(bundle(bundle(breast_cancer())))),
            ("nested-too-deep", "/entry/0/resource/entry/0/resource/entry/0/resource"),
        ),
        ([{"op": "add", "path": "/x"}], ("patch-not-a-resource", "")),
        (fixture("json_patch"), ("patch-not-a-resource", "")),
        (fixture("table_rows"), ("no-resource-type", "/0/resourceType")),
    ],
)
def test_what_is_no_resource_is_refused_at_its_place(document: Any, expected: tuple[str, str]) -> None:
    assert refusal(document) == expected


def test_a_deletion_is_refused_since_the_log_forgets_nothing() -> None:
    entry = {"request": {"method": "DELETE", "url": "Condition/1"}}
    assert refusal({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})[0] == "deletion"


def test_the_type_that_a_message_invents_is_not_repeated() -> None:
    [entry] = entries({"resourceType": "Asha Example"})
    assert "Asha" not in repr(entry)


def test_a_key_falls_back_on_the_full_address() -> None:
    alone = {name: value for name, value in breast_cancer().items() if name != "id"}
    row = {"fullUrl": "urn:uuid:c1", "resource": alone}
    [entry] = entries({"resourceType": "Bundle", "type": "message", "entry": [row]})
    assert isinstance(entry, Translated)
    assert entry.instructions[0].target.key.endswith("/Condition|c1")
    assert refusal(alone) == ("missing-field", "/id")


def test_a_value_too_long_for_its_fact_is_refused_without_repeating_it() -> None:
    long = "C50.4" + "9" * 400
    document = {**breast_cancer(), "id": long}
    [entry] = entries(document)
    assert isinstance(entry, Refused)
    assert (entry.code, entry.field) == ("too-long", "/id")
    assert long not in repr(entry)


def test_more_resources_than_one_message_may_have_are_refused_together() -> None:
    claim = {"resourceType": "Claim"}
    assert len(entries(bundle(*[claim] * MOST_RESOURCES))) == MOST_RESOURCES
    (refused,) = entries(bundle(*[claim] * (MOST_RESOURCES + 1)))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.field) == ("too-many", "")


def test_resources_that_all_point_at_all_are_read_in_the_time_of_their_number() -> None:
    """A thousand care plans that name fifty goals each, beside a thousand goals: by pairs it takes minutes."""
    goals = [{"resourceType": "Goal", "id": f"g{number}", "subject": SUBJECT} for number in range(1_000)]
    named = [{"reference": f"Goal/x{number}"} for number in range(50)]
    plans = [resource("CarePlan", id=f"p{number}", status="active", goal=named) for number in range(1_000)]
    began = time.process_time()
    assert len(entries(bundle(*plans, *goals))) == 2_000
    assert time.process_time() - began < 10


def test_what_a_resource_contains_is_looked_for_once() -> None:
    contained = [{"resourceType": "Practitioner", "id": f"z{number}"} for number in range(3_000)]
    activities = [{"detail": {"description": "d", "performer": [{"reference": "#z2999"}]}}] * 3_000
    began = time.process_time()
    (told,) = entries(resource("CarePlan", status="active", contained=contained, activity=activities))
    assert isinstance(told, Translated)
    assert time.process_time() - began < 10
