"""A hospital withdraws its record, and what it withdraws comes late: through the pipeline, to the documents."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline, ingest
from consumers.rejected import rejected_messages, retry
from domain.patient import Identifier
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.folding import NOT_RECORDED
from projections.folds.record import RECORD
from projections.live import upkeep
from projections.live.engine import Engine
from projections.reading.reads import Reader, Reading
from tests.conftest import Database
from tests.events import NHS_NUMBER, binary, diagnosis

pytestmark = pytest.mark.postgres

AUDITOR = Reader(actor="a", role="auditor", any_patient=True, purpose="clinical-audit")
MRN = Identifier(system="mrn", value="1")
WITHDRAWN = "entered-in-error"


def version(day: int, says: str, *numbers: Identifier, sent: str = "", updated: bool = True) -> RawMessage:
    """The hospital's record of a cancer as of that day of March: its ICD-10 code, or that it was entered in error."""
    numbers = (Identifier(system="https://fhir.nhs.uk/Id/nhs-number", value=NHS_NUMBER), *numbers)
    at = f"2026-03-{day:02d}T09:00:00Z"
    patient = {"resourceType": "Patient", "id": "p", "identifier": [each.model_dump() for each in numbers]}
    code = "C50.9" if says == WITHDRAWN else says
    condition: dict[str, Any] = {
        "resourceType": "Condition",
        "id": "c",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}]},
        "verificationStatus": {"coding": [{"code": WITHDRAWN if says == WITHDRAWN else "confirmed"}]},
        "recordedDate": "2026-02-27",
    }
    if updated:
        condition["meta"] = {"lastUpdated": at}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient}, {"resource": condition}]}
    recorded = {} if updated else {"recordedtime": at}
    event_id = sent or f"{day}-{says}"
    return binary(event_id, bundle, "document.sent.v1", "application/fhir+json", dataschema="", **recorded)


class Hospital:
    """Its messages, and the documents that an engine keeps of them while they come."""

    def __init__(self, writer: Writer, database: Database, engine: Engine) -> None:
        self._writer, self._database, self._engine = writer, database, engine

    def sends(self, message: RawMessage) -> str:
        (outcome,) = ingest(self._writer, Pipeline(self._database.keys), [message])
        self._engine.catch_up()
        return outcome.outcome

    def retries_all(self) -> list[str]:
        with self._database.connect("writer") as connection, closing(self._fresh()) as writer:
            open_ones = [each.rejected_id for each in rejected_messages(connection)]
            keys = self._database.keys
            outcomes = [retry(connection, keys, writer, Pipeline(keys), each).outcome for each in open_ones]
        self._engine.catch_up()
        return outcomes

    def _fresh(self) -> Writer:
        return Writer(self._database.log(), self._database.keys)

    def diagnoses(self) -> list[str]:
        """Shown now; every document is what a refold gives."""
        assert self._differing() == []
        (document,) = self._documents(self._whose())
        shown = [
            each for pathway in document["pathways"] for each in (pathway["diagnosis"], *pathway["earlier_diagnoses"])
        ]
        return [each["icd10"] for each in shown if each != NOT_RECORDED]

    def _whose(self) -> list[UUID]:
        with self._database.connect("auditor") as connection:
            rows = connection.execute("select distinct patient_id from log.events where type like 'annotation.%'")
            return [row[0] for row in rows.fetchall()]

    def _documents(self, patients: Sequence[UUID]) -> list[Any]:
        async def answer() -> list[Any]:
            pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
                self._database.url("reader"), open=False, kwargs={"autocommit": True}
            )
            async with pool:
                reading = Reading(pool, self._database.keys)
                return [(await reading.document(RECORD, each, AUDITOR)).document for each in patients]

        return asyncio.run(answer())

    def _differing(self) -> list[str]:
        with self._database.connect("projector") as connection:
            return [
                f"{each.name} {found.how}"
                for each in STORED
                for found in upkeep.verify(connection, self._database.keys, each, lambda _done, _of: None)
            ]

    def types(self) -> list[str]:
        with self._database.connect("auditor") as connection:
            rows = connection.execute("select type from log.events order by position").fetchall()
        return [row[0] for row in rows if not row[0].startswith("patient.")]


@pytest.fixture
def hospital(writer: Writer, database: Database) -> Iterator[Hospital]:
    with closing(Engine(lambda: database.connect("projector"), database.keys, STORED)) as engine:
        yield Hospital(writer, database, engine)


def test_what_is_withdrawn_before_it_comes_is_never_a_diagnosis(hospital: Hospital) -> None:
    assert hospital.sends(version(2, WITHDRAWN)) == "recorded"
    assert hospital.sends(version(1, "C50.9")) == "recorded"
    assert hospital.diagnoses() == []
    assert hospital.sends(version(1, "C50.9", sent="again")) == "nothing-new"
    assert hospital.sends(version(2, WITHDRAWN, sent="withdrawn again")) == "nothing-new"
    assert hospital.types() == ["annotation.withdrawn.v1", "pathway.diagnosis-agreed.v1"]


def test_so_it_is_where_only_the_message_says_when_it_was_told(hospital: Hospital) -> None:
    hospital.sends(version(2, WITHDRAWN, updated=False))
    hospital.sends(version(1, "C50.9", updated=False))
    assert hospital.diagnoses() == []
    hospital.sends(version(3, "C50.9", updated=False))
    assert hospital.diagnoses() == ["C50.9"]


@pytest.mark.parametrize("order", list(permutations([(1, "C50.9"), (2, WITHDRAWN), (3, "C50.4")])))
def test_what_is_told_after_the_withdrawal_stands(hospital: Hospital, order: Sequence[tuple[int, str]]) -> None:
    for day, says in order:
        hospital.sends(version(day, says))
    assert hospital.diagnoses() == ["C50.4"]


def test_a_version_that_was_set_aside_and_withdrawn_meanwhile_is_no_diagnosis_when_it_is_taken_up(
    hospital: Hospital, database: Database
) -> None:
    other = diagnosis("C61") | {"patient": {"nhs_number": "9000000017", "identifiers": [MRN.model_dump()]}}
    assert hospital.sends(binary("other", other)) == "recorded"
    assert hospital.sends(version(1, "C50.9", MRN)) == "rejected"
    assert hospital.sends(version(2, WITHDRAWN)) == "recorded"
    with database.connect("owner") as owner:
        owner.execute("delete from log.identifiers where digest = %s", [database.keys.identifier_digest(MRN)])
    assert hospital.retries_all() == ["recorded"]
    assert hospital.types()[-1] == "pathway.diagnosis-agreed.v1"
    assert hospital.diagnoses() == []
