"""Messages that are wrong anywhere: each is recorded, known, not ours, or set aside with words that help, and can be
taken up again. Nothing in them is a fault of ours, and nothing of a person is told."""

import json
import random
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.messages import STRUCTURED, RawMessage
from consumers.pipeline import Pipeline, ingest
from consumers.rejected import rejected_messages, retry
from consumers.vocabulary import vocabulary
from domain.evolution import stored_class
from domain.facts import Fact, fact_json
from infra.writing.work import Outcome
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.events import NHS_NUMBER, attributes, binary
from tests.fhir_documents import FIXTURES
from tests.strange import STRANGE, changed, places
from tests.strategies import of_model

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(280)]

ANSWERS = {"recorded", "nothing-new", "not-ours", "partly", "rejected"}
OF_OURS = {"not-readable", "not-storable"}
FAMILY = "Rumpelstiltskin"
SECRETS = (NHS_NUMBER, FAMILY, "1961-04-30")
STORED = sorted(vocabulary())
_numbers = count()


class Door:
    """Where messages come in, and what is seen of them."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer
        self._pipeline = Pipeline(database.keys)

    def send(self, messages: Sequence[RawMessage]) -> list[Outcome]:
        outcomes = ingest(self._writer, self._pipeline, messages)
        assert {each.outcome for each in outcomes} <= ANSWERS
        return outcomes

    def assert_helpful(self) -> None:
        """Of all that waits: what is wrong, where, what to do; and taking it up again answers too."""
        with self._database.connect("writer") as connection:
            waiting = rejected_messages(connection, "open", 10_000)
            assert waiting
            told = orjson.dumps([each.reasons for each in waiting]).decode()
            reasons = [reason for each in waiting for reason in each.reasons]
            assert all(each.source and each.coordinates and each.owner for each in waiting)
            assert all({"code", "pointer", "field", "detail", "action"} <= each.keys() for each in reasons)
            assert all(each["code"] and each["detail"] and each["action"] for each in reasons)
            assert {each["code"] for each in reasons}.isdisjoint(OF_OURS)
            assert [secret for secret in SECRETS if secret in told] == []
            for each in waiting[:3]:
                again = retry(connection, self._database.keys, self._writer, self._pipeline, each.rejected_id)
                assert again.outcome in ANSWERS

    def forget(self) -> None:
        with self._database.connect("owner") as owner:
            owner.execute("delete from log.rejected")


@pytest.fixture
def door(database: Database, writer: Writer) -> Door:
    return Door(database, writer)


def report(stored: str, fact: Fact) -> dict[str, Any]:
    person = {
        "nhs_number": NHS_NUMBER,
        "identifiers": [{"system": "https://rxx.example.nhs.uk/mrn", "value": "633-A"}],
        "name": {"family": FAMILY, "given": ["Maria"], "prefix": "Ms"},
        "birth_date": "1961-04-30",
    }
    performer = {"kind": "professional", "identifier": "C1", "name": "Dr Example", "role": "consultant"}
    told = {"patient": person, "key": "k-1", "occurred": "2026-02-27T09:30:00+01:00", "performer": performer}
    return told | {"fact": json.loads(fact_json(fact))}


def spoilt(document: Any, values: Iterator[Any]) -> Iterator[bytes]:
    """The document with one place after another wrong."""
    for place in places(document):
        yield json.dumps(changed(document, place, next(values))).encode()


def reports_of(stored: str, fact: Fact, values: Iterator[Any]) -> list[RawMessage]:
    """In binary mode, and wrong in an attribute in structured mode."""
    right = report(stored, fact)
    event = attributes(f"m{next(_numbers)}", stored) | {"datacontenttype": "application/json", "data": right}
    structured = (("content-type", STRUCTURED.encode()),)
    return [
        binary(f"m{next(_numbers)}", json.dumps(right).encode(), stored),
        *(binary(f"m{next(_numbers)}", each, stored) for each in spoilt(right, values)),
        *(
            RawMessage(structured, json.dumps(changed(event, (name,), next(values))).encode(), "test/0/1")
            for name in event
        ),
    ]


@given(st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_report_that_is_wrong_anywhere_is_answered(door: Door, data: st.DataObject) -> None:
    stored = data.draw(st.sampled_from(STORED))
    fact = data.draw(of_model(stored_class(stored)))
    chance = random.Random(data.draw(st.integers(0, 1_000)))
    values = iter(lambda: chance.choice(STRANGE), object())
    door.send(reports_of(stored, fact, values))
    door.assert_helpful()
    door.forget()


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_a_document_that_is_wrong_anywhere_is_answered(door: Door, name: str) -> None:
    document, chance = json.loads((FIXTURES / f"{name}.json").read_text()), random.Random(name)
    bad = list(spoilt(document, iter(lambda: chance.choice(STRANGE), object())))
    chosen = chance.sample(bad, min(len(bad), 60))
    door.send([_document(each) for each in chosen])
    door.assert_helpful()


def _document(raw: bytes) -> RawMessage:
    return binary(f"d{next(_numbers)}", raw, "document.sent.v1", "application/fhir+json", dataschema="")
