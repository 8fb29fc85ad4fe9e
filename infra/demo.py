"""The people of the demo, as the log knows them: who they are there, and whether their story can be read yet."""

from datetime import date
from functools import reduce
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain.facts import Recorded
from domain.history import effective
from domain.patient import NHS_NUMBER, CareLeadNamed, Identifier, Patient, evolve
from infra.keys import DataKey, KeyRing
from infra.payloads import COLUMNS, recorded
from infra.synthetic.journeys import Journey, stories
from infra.synthetic.simulate import Told

DEMO_SEED = 1
Connection = psycopg.Connection[Any]

_EVENTS = f"select {COLUMNS} from log.events where patient_id = %s order by position"  # noqa: S608 our own columns
_OWN_STREAM = f"""select {COLUMNS} from log.events
                   where stream_id = %s and patient_id = stream_id order by version"""  # noqa: S608 our own columns


class NoSuchPatient(Exception):
    """The log holds no patient with this id."""


class DemoPerson(NamedTuple):
    """`patient_id` is None until the log has heard of the person; `nhs_app` is None where the story is not about it."""

    patient_id: UUID | None
    nhs_number: str
    birth_date: date
    name: str
    story: str
    shows: str
    nhs_app: str | None


def demo_people(connection: Connection, keys: KeyRing, told: Told) -> list[DemoPerson]:
    """Those with a story, among the people sent so far. `connection` is of role reader."""
    return [_person(connection, keys, each) for each in stories(told.seed, told.people, told.day)]


def _person(connection: Connection, keys: KeyRing, journey: Journey) -> DemoPerson:
    person, story = journey.person, journey.story
    return DemoPerson(
        patient_id=patient_with(connection, keys, person.nhs_number),
        nhs_number=person.nhs_number,
        birth_date=person.birth_date,
        name=person.name,
        story=story.name if story else "",
        shows=story.shows if story else "",
        nhs_app=story.nhs_app if story else None,
    )


def patient_with(connection: Connection, keys: KeyRing, nhs_number: str) -> UUID | None:
    """The patient to whom this NHS number is linked."""
    digest = keys.identifier_digest(Identifier(system=NHS_NUMBER, value=nhs_number))
    row = connection.execute("select patient_id from log.identifiers where digest = %s", [digest]).fetchone()
    return row[0] if row else None


def is_readable(connection: Connection, keys: KeyRing, journey: Journey) -> bool:
    """Whether the journey's last message is in the log, and every projection has folded it."""
    patient_id = patient_with(connection, keys, journey.person.nhs_number)
    if patient_id is None:
        return False
    events = _read(connection, keys, _EVENTS, patient_id)
    if not any(event.provenance.source_event_id == journey.last_id for event in events):
        return False
    row = connection.execute("select min(position) from read.serving").fetchone()
    return row is not None and row[0] is not None and row[0] >= events[-1].position


def patient_state(connection: Connection, keys: KeyRing, patient_id: UUID) -> Patient:
    """Identifiers, demographics and care leads of one patient. Raises NoSuchPatient."""
    events = _read(connection, keys, _OWN_STREAM, patient_id)
    if not events:
        raise NoSuchPatient(f"no patient {patient_id} in the log; `python -m infra demo` lists the demo's people")
    return reduce(evolve, effective(events), Patient())


def any_care_lead(patient: Patient) -> CareLeadNamed | None:
    return next(iter(patient.care_leads), None)


def _read(connection: Connection, keys: KeyRing, query: str, patient_id: UUID) -> list[Recorded]:
    key = _key(connection, keys, patient_id)
    if key is None:
        return []
    rows = connection.execute(query, [patient_id], binary=True)
    return [recorded(row, key) for row in rows]


def _key(connection: Connection, keys: KeyRing, patient_id: UUID) -> DataKey | None:
    row = connection.execute("select key_id, wrapped from log.keys where patient_id = %s", [patient_id]).fetchone()
    return keys.unwrap(row[0], row[1]) if row else None
