"""Whatever JSON comes, every resource has exactly one entry, nothing is raised, and no value is repeated."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers import mns
from consumers.fhir import documents
from consumers.translation import NotOurs, Refused, Translated
from tests.fhir_documents import FIXTURES, fixture, sender
from tests.strange import STRANGE, changed, places

NAMES = st.sampled_from(
    [
        "resourceType",
        "entry",
        "resource",
        "subject",
        "reference",
        "identifier",
        "code",
        "coding",
        "status",
        "extension",
        "participant",
        "meta",
        "period",
        "url",
        "fullUrl",
    ]
)
KINDS = [*sorted(documents.TRANSLATORS), "Bundle", "Parameters", "Claim", "Nothing"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(KINDS)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6)
)
FIXTURE_NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))


def assert_told(document: Any) -> None:
    told = documents.translate(document, sender())
    assert told
    assert all(isinstance(entry, Translated | NotOurs | Refused) for entry in told)
    assert len({entry.pointer for entry in told}) == len(told)
    for entry in told:
        if isinstance(entry, Refused):
            assert entry.field.startswith(entry.pointer) or entry.field.startswith("/")


@given(JSON)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_gets_entries(document: Any) -> None:
    assert_told(document)


@given(st.sampled_from(KINDS), st.dictionaries(NAMES, JSON, max_size=6))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_members_of_a_known_type_get_an_entry(kind: str, members: dict[str, Any]) -> None:
    assert_told({**members, "resourceType": kind})


@given(JSON)
def test_any_json_as_a_signal_gets_one_entry(document: Any) -> None:
    assert len(mns.translate(document, sender())) == 1


@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_a_fixture_changed_anywhere_still_gets_its_entries(name: str) -> None:
    document, chance = fixture(name), random.Random(name)
    for place in places(document):
        for value in chance.sample(STRANGE, 6):
            assert_told(changed(document, place, value))


def test_one_bad_resource_leaves_its_neighbours_as_they_were() -> None:
    document, chance = fixture("breast_bundle"), random.Random(1)
    good = {entry.pointer: entry for entry in documents.translate(document, sender())}
    claim = "/entry/7/resource"
    for place in places(document["entry"][7]["resource"]):
        told = documents.translate(
            changed(document, ("entry", 7, "resource", *place), chance.choice(STRANGE)), sender()
        )
        assert {e.pointer: repr(e) for e in told if not e.pointer.startswith(claim)} == {
            pointer: repr(entry) for pointer, entry in good.items() if pointer != claim
        }


@settings(deadline=None)  # each example reads a bundle some thirty times
@given(st.text(alphabet="QXZqxz", min_size=12, max_size=20))
def test_no_value_of_the_message_is_repeated_in_a_refusal(secret: str) -> None:
    document = fixture("breast_bundle")
    for place in places(document):
        if place and isinstance(place[-1], str) and place[-1] in ("status", "birthDate", "reference", "value", "start"):
            for entry in documents.translate(changed(document, place, secret), sender()):
                if isinstance(entry, Refused):
                    assert secret not in json.dumps(entry)
