"""The API as one application over a real database, with people in it and tokens for everyone."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from api.app import create_app
from domain.facts import PATIENT, Category, Command, Fact, Target
from domain.identity import PatientReference
from domain.patient import NHS_NUMBER, DemographicsRecorded, Identifier, Name, ProfessionalJoinedTeam
from domain.times import Occurred, on
from infra.keys import FileKeyProvider, KeyRing
from infra.local_issuer import LocalIssuer
from infra.settings import Settings
from infra.writing.work import Act, Conclusion, Part, PartOutcome, Work
from infra.writing.writer import Writer
from projections.catalogue import PROJECTIONS
from projections.live.engine import Engine
from tests.conftest import Database

MARCH = on(date(2026, 3, 1))
BORN = date(1960, 5, 1)
MARIA = "9000000009"
JOHN = "9000000017"
DOCTOR = "555000000001"
PATHWAY = Target(Category.PATHWAY, "trust|1")
APPOINTMENT = Target(Category.APPOINTMENT, "trust|1")


@dataclass
class World:
    client: TestClient
    database: Database
    writer: Writer
    issuer: LocalIssuer
    settings: Settings

    def tell(self, *acts: tuple[Target, Fact | Command], nhs_number: str = MARIA, occurred: Occurred = MARCH) -> int:
        """What hospital RXX reports; returns the log's position."""
        source = orjson.dumps({"source": "/nhs/england/RXX/pas/test", "source_event_id": "1", "organisation": "RXX"})
        reference = PatientReference(identifiers=(Identifier(system=NHS_NUMBER, value=nhs_number),))
        part = Part(reference, tuple(Act(target, act, occurred, source) for target, act in acts), source, occurred)
        return self.writer.submit(Work("test", uuid4().bytes, b"digest", (part,), _recorded)).position

    def register(self, nhs_number: str, family: str) -> UUID:
        """Someone born on BORN whose team DOCTOR is on; folded."""
        name = Name(family=family, given=("Maria",))
        demographics = DemographicsRecorded(name=name, birth_date=BORN.isoformat())
        joined = ProfessionalJoinedTeam(professional=DOCTOR, name="Dr Made Up", organisation="RXX")
        self.tell((PATIENT, demographics), (PATIENT, joined), nhs_number=nhs_number)
        self.fold()
        return self.patient_id(nhs_number)

    def patient_id(self, nhs_number: str) -> UUID:
        digest = self.database.keys.identifier_digest(Identifier(system=NHS_NUMBER, value=nhs_number))
        with self.database.connect("auditor") as connection:
            row = connection.execute("select patient_id from log.identifiers where digest = %s", [digest]).fetchone()
        assert row
        found: UUID = row[0]
        return found

    def fold(self) -> None:
        engine = Engine(lambda: self.database.connect("projector"), self.database.keys, PROJECTIONS)
        with closing(engine):
            engine.catch_up()

    def staff(self, role: str = "clinician", subject: str = DOCTOR, organisation: str = "RYY") -> dict[str, str]:
        return _bearer(self.issuer.token(role, subject=subject, organisation=organisation))

    def patient(self, nhs_number: str = MARIA, birth_date: date = BORN) -> dict[str, str]:
        return _bearer(self.issuer.token("patient", nhs_number=nhs_number, birth_date=birth_date))

    def get(self, path: str, headers: dict[str, str], **parameters: Any) -> Any:
        return self.client.get(path, headers=headers, params=parameters or None)

    def command(self, path: str, headers: dict[str, str], body: Any = None, key: str = "", **more: str) -> Any:
        """`more` are headers with underscores for dashes."""
        told = {"Idempotency-Key": key or str(uuid4()), **{name.replace("_", "-"): each for name, each in more.items()}}
        return self.client.post(path, headers={**headers, **told}, json=body)


def _recorded(outcomes: list[PartOutcome]) -> Conclusion:
    assert [each.refusal for each in outcomes] == [None]
    return Conclusion("recorded", b"{}")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def world_of(database: Database, folder: Path) -> Iterator[World]:
    keys = folder / "keys.json"
    FileKeyProvider.generate(keys)
    ours = database._replace(keys=KeyRing(FileKeyProvider(keys)))
    settings = Settings(
        environment="development",
        data_dir=folder,
        key_file=keys,
        database_url_reader=SecretStr(database.url("reader")),
        database_url_writer=SecretStr(database.url("writer")),
    )
    issuer = LocalIssuer(folder, settings.local_issuer, settings.local_audience)
    with closing(Writer(ours.log(), ours.keys)) as writer:
        app = create_app(settings)
        with TestClient(app, base_url="https://cancerplan.test") as client:
            made = World(client, ours, writer, issuer, settings)
            made.fold()
            yield made


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    with world_of(database, tmp_path) as made:
        yield made


@pytest.fixture
def maria(world: World) -> UUID:
    return world.register(MARIA, "Specimen")


@pytest.fixture
def john(world: World) -> UUID:
    return world.register(JOHN, "Specimen")
