"""Invented journeys: the same every time, valid by the rules of the vocabulary, and telling the promised stories."""

from collections import Counter
from datetime import date

import orjson
import pytest
from nhs_number.validate import is_valid

from domain.care_plan import SupportSuggested
from domain.catalogue import fact_class
from domain.facts import Fact
from domain.pathway import CancerRecurred, CancerRuledOut, DiagnosisAgreed, InformedOfOutcome, TreatmentPhaseEnded
from domain.patient import LanguageRecorded
from infra.synthetic.journeys import Journey, journey, stories
from infra.synthetic.messages import FHIR, JSON, Message
from infra.synthetic.people import nhs_number
from infra.synthetic.stories import STORIES

TODAY = date(2026, 6, 17)
PEOPLE = 60


@pytest.fixture(scope="module")
def journeys() -> list[Journey]:
    return [journey(1, index, TODAY) for index in range(PEOPLE)]


def _facts(told: Journey) -> list[Fact]:
    return [_fact(message) for message in told.messages if message.content_type == JSON]


def _fact(message: Message) -> Fact:
    stored = message.attributes["type"].removeprefix("uk.nhs.cancerplan.")
    return fact_class(stored).model_validate_json(orjson.dumps(message.data["fact"]), strict=True)


def _kinds(told: Journey) -> set[type[Fact]]:
    return {type(fact) for fact in _facts(told)}


def test_the_same_seed_and_index_give_the_same_bytes(journeys: list[Journey]) -> None:
    again = journey(1, 17, TODAY)
    assert [each.structured() for each in again.messages] == [each.structured() for each in journeys[17].messages]
    assert journey(2, 17, TODAY).messages[0].id != again.messages[0].id


def test_every_nhs_number_is_valid_of_the_test_range_and_of_one_person() -> None:
    numbers = [nhs_number(seed, index) for seed in range(5) for index in range(4000)]
    assert len(set(numbers)) == len(numbers)
    assert all(is_valid(number) and number.startswith("999") for number in numbers)


def test_every_fact_is_one_of_its_class_and_loses_nothing_on_the_wire(journeys: list[Journey]) -> None:
    told = [message for each in journeys for message in each.messages if message.content_type == JSON]
    assert all(_fact(each).model_dump(mode="json", exclude_none=True) == each.data["fact"] for each in told)


def test_people_have_about_twenty_to_sixty_messages(journeys: list[Journey]) -> None:
    sizes = sorted(len(each.messages) for each in journeys if each.story is None)
    assert sizes[0] >= 10
    assert sizes[-1] <= 80
    assert 30 <= sum(sizes) / len(sizes) <= 60


def test_an_id_is_one_content(journeys: list[Journey]) -> None:
    by_id: dict[str, set[bytes]] = {}
    for each in journeys:
        for message in each.messages:
            by_id.setdefault(message.id, set()).add(message.structured())
    assert all(len(contents) == 1 for contents in by_id.values())


def test_some_come_late_some_twice_and_some_as_fhir(journeys: list[Journey]) -> None:
    every = [message for each in journeys for message in each.messages]
    assert max(Counter(message.id for message in every).values()) == 2
    assert {message.content_type for message in every} == {JSON, FHIR}
    out_of_order = [
        each
        for each in journeys
        if [m.attributes["time"] for m in each.messages] != sorted(m.attributes["time"] for m in each.messages)
    ]
    assert len(out_of_order) > PEOPLE / 10


def test_the_last_message_is_news(journeys: list[Journey]) -> None:
    assert all(Counter(m.id for m in each.messages)[each.last_id] == 1 for each in journeys)


def test_nobody_is_known_by_a_number_in_envelope_or_source(journeys: list[Journey]) -> None:
    for each in journeys:
        for message in each.messages:
            assert each.person.nhs_number not in " ".join(message.attributes.values())


@pytest.mark.parametrize(
    ("name", "with_facts", "without"),
    [
        ("treated", {DiagnosisAgreed, InformedOfOutcome, TreatmentPhaseEnded}, {CancerRecurred}),
        ("not-yet-told", {DiagnosisAgreed}, {InformedOfOutcome}),
        ("ruled-out", {CancerRuledOut, InformedOfOutcome}, {DiagnosisAgreed}),
        ("own-language", {LanguageRecorded, SupportSuggested}, set()),
        ("recurrence", {CancerRecurred, TreatmentPhaseEnded}, set()),
        ("only-referred", set(), {DiagnosisAgreed, InformedOfOutcome}),
    ],
)
@pytest.mark.parametrize("today", [TODAY, date(2026, 6, 20), date(2026, 12, 27)])
def test_a_story_shows_what_it_says(
    name: str, with_facts: set[type[Fact]], without: set[type[Fact]], today: date
) -> None:
    told = next(each for each in stories(1, len(STORIES), today) if each.story and each.story.name == name)
    assert with_facts <= _kinds(told)
    assert not without & _kinds(told)
    assert told.messages


def test_the_corrected_story_withdraws_a_condition_and_reports_late() -> None:
    told = next(each for each in stories(1, len(STORIES), TODAY) if each.story and each.story.name == "corrected")
    conditions = [m.data["entry"][0]["resource"] for m in told.messages if m.content_type == FHIR]
    statuses = [each["verificationStatus"]["coding"][0]["code"] for each in conditions]
    assert statuses.count("entered-in-error") == 1
    assert statuses.count("confirmed") == 2


def test_ages_suit_the_nhs_app() -> None:
    ages = {
        each.story.nhs_app: (TODAY - each.person.birth_date).days / 365.25
        for each in stories(1, len(STORIES), TODAY)
        if each.story and each.story.nhs_app
    }
    assert ages.keys() == {"full", "empty", "under16"}
    assert ages["under16"] < 16 < min(ages["full"], ages["empty"])
