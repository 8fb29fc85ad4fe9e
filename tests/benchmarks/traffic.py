"""Messages of invented persons, the same in every run, and logs filled with them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice, zip_longest
from random import Random
from typing import Any, TypeVar
from uuid import UUID

import orjson

from consumers.messages import JSON, RawMessage
from consumers.pipeline import Pipeline, ingest
from domain.patient import DemographicsRecorded
from infra.synthetic.journeys import journey
from infra.synthetic.messages import Message
from infra.writing.writer import Writer
from tests.conftest import Database

SEED = 7
TODAY = date(2026, 6, 1)
BATCH = 500
_JOURNEYS_A_PERSON = 12
# The first few journeys tell stories; what follows is ordinary.
_FIRST = 100
_OF_ONE_PERSON = (f"uk.nhs.cancerplan.{DemographicsRecorded.stored}",)

T = TypeVar("T")


def reports(person: int, most: int, late: float = 0.0) -> list[RawMessage]:
    """The first `most` messages that sources send of one person, in our own vocabulary, of as many pathways as it
    takes; the share `late` comes after later ones, on top of the few that the sources themselves send late."""
    found: list[Message] = []
    for number in range(_JOURNEYS_A_PERSON):
        found.extend(_of_pathway(person, number))
        if len(found) >= most:
            break
    found.sort(key=lambda message: message.attributes["recordedtime"])
    patient = next(_of_pathway(person, 0)).data["patient"]
    return _with_late([_raw(message, patient) for message in found[:most]], late, Random(person))


def _index(person: int, number: int) -> int:
    return _FIRST + person * _JOURNEYS_A_PERSON + number


def _of_pathway(person: int, number: int) -> Iterator[Message]:
    for message in journey(SEED, _index(person, number), TODAY).messages:
        if message.content_type == JSON and (number == 0 or message.attributes["type"] not in _OF_ONE_PERSON):
            yield message


def _raw(message: Message, patient: Any) -> RawMessage:
    return RawMessage(tuple(message.headers()), orjson.dumps({**message.data, "patient": patient}), "benchmark")


def _with_late(told: list[RawMessage], share: float, chance: Random) -> list[RawMessage]:
    """Some are held back until up to thirty others have gone before them."""
    places = [number + (chance.randint(3, 30) if chance.random() < share else 0) for number in range(len(told))]
    return [told[number] for number in sorted(range(len(told)), key=lambda number: (places[number], number))]


def in_rounds(persons: Iterable[Sequence[RawMessage]]) -> list[RawMessage]:
    """Everyone's first message, then everyone's second: no two of a batch concern the same person."""
    rounds = zip_longest(*persons)
    return [message for each in rounds for message in each if message is not None]


def fill(writer: Writer, pipeline: Pipeline, messages: Iterable[RawMessage]) -> None:
    for batch in batched(messages, BATCH):
        ingest(writer, pipeline, batch)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def patients(database: Database) -> list[tuple[UUID, int]]:
    """Each patient with the number of their events."""
    with database.connect("auditor") as connection:
        rows = connection.execute(
            "select patient_id, count(*) from log.events group by patient_id order by count(*) desc, patient_id"
        )
        return [(patient_id, number) for patient_id, number in rows]
