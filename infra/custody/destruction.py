"""Destroying a patient's key: one person asks, another confirms, and after a delay it is carried out.

What was sealed under the key is unreadable from then on, wherever copies of the database are; what copies still hold
the wrapped key, and for how long, is in docs/security.md.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg

from domain.facts import Category, Fact, NotAllowed
from domain.patient import Patient
from domain.persons import Merge, Persons
from domain.retention import DestroyKey
from domain.stream import Stream
from domain.times import Occurred
from infra.custody import copies
from infra.custody.agreement import refuse_unapplied
from infra.custody.ledger import Destruction, Ledger
from infra.custody.rotation import CustodyRefused, Progress
from infra.keys import KeyRing
from infra.payloads import COLUMNS, in_clear, recorded

Connection = psycopg.Connection[Any]

REFUSED = "PCP03"
_SHORTEST_NAME = 3
_OWN_STREAM = f"select {COLUMNS} from log.events where stream_id = %b order by version"  # noqa: S608 our own columns
_KEY = "select key_id, wrapped from log.keys where patient_id = %b"
_OPEN = """select destruction_id, reason, requested_by, requested_at, confirmed_by, confirmed_at, due_at
             from log.destructions where patient_id = %b and withdrawn_at is null and carried_out_at is null"""


class Record(NamedTuple):
    """What a decision about a key rests on: the patient's own stream."""

    key_id: UUID
    stream: Stream

    @property
    def patient(self) -> Patient:
        state: Patient = self.stream.state()
        return state


class Request(NamedTuple):
    destruction_id: UUID
    reason: str
    requested_by: str
    requested_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    due_at: datetime | None


class Destroyed(NamedTuple):
    """`position` is that of the event that tells of it; `copies` of messages were removed."""

    patient_id: UUID
    position: int
    copies: int


class Expired(NamedTuple):
    """Keys of months that ended, and messages that ended with them."""

    months: int
    messages: int


def request(connection: Connection, keys: KeyRing, patient_id: UUID, reason: str, by: str) -> None:
    """`connection` of role custodian. Raises CustodyRefused where a hold stands, the record is joined with others, the
    reason says who the patient is, or it is asked for already."""
    state = _free_record(connection, keys, patient_id).patient
    _refuse_telling(reason, state)
    _call(connection, "select log.request_destruction(%s, %s, %s)", [patient_id, reason.strip(), _named(by)])


def confirm(connection: Connection, keys: KeyRing, patient_id: UUID, by: str, delay: timedelta) -> datetime:
    """When it may be carried out. Raises CustodyRefused, for the person who asked too."""
    _free_record(connection, keys, patient_id)
    due: datetime = _call(connection, "select log.confirm_destruction(%s, %s, %s)", [patient_id, _named(by), delay])
    return due


def keep_to(owner: Connection, delay: timedelta) -> None:
    """From now on nobody confirms with a shorter delay, whatever the settings say under which they do."""
    owner.execute("update log.custody_rules set least_delay = %s", [delay])


def withdraw(connection: Connection, patient_id: UUID, by: str) -> None:
    if not _call(connection, "select log.withdraw_destruction(%s, %s)", [patient_id, _named(by)]):
        raise CustodyRefused("no destruction of this key is open")


def carry_out(connection: Connection, keys: KeyRing, ledger: Ledger, patient_id: UUID, told: Progress) -> Destroyed:
    """`connection` of role custodian or shredder; `told` hears (messages searched, of all). The ledger is written
    before the database commits: at worst it names a destruction that was fully decided, and the next attempt carries
    it out. Raises CustodyRefused, Unapplied, LedgerBroken."""
    asked = _due(connection, patient_id)
    refuse_unapplied(connection, ledger, but=str(asked.destruction_id))
    done = None
    while done is None:
        record = _free_record(connection, keys, patient_id)
        raw = copies.receipts_of(connection, keys, patient_id, record.key_id, record.patient.identifiers, told)
        with connection.transaction():
            done = destroy(connection, record, asked.destruction_id, _decided(record, asked), raw)
            if done is not None:
                _note(ledger, _entry(patient_id, record, asked, *done))
    # What came between the search and the destruction; nothing of this patient can come after it.
    late = copies.receipts_of(connection, keys, patient_id, record.key_id, record.patient.identifiers, told)
    _call(connection, "select log.purge_copies(%b, %b)", [asked.destruction_id, late])
    keys.evict(record.key_id)
    return Destroyed(patient_id, done[0], len(raw) + len(late))


def expire_months(connection: Connection, before: date) -> Expired:
    """Ends the keys of whole months before a day. Raises CustodyRefused while one of their messages is open."""
    return Expired(*_row(connection, "select months, messages from log.expire_months(%b)", [before]))


def destroy(
    connection: Connection, record: Record, destruction_id: UUID, fact: Fact, raw: list[bytes]
) -> tuple[int, list[bytes]] | None:
    """Position of the event and the marks left; None where the stream has gone on since `record`."""
    provenance = orjson.dumps({"source": "custody", "source_event_id": str(destruction_id)})
    answer = _row(
        connection,
        "select answer, at_position, marks from log.destroy_key(%b, %b, %b, %b)",
        [destruction_id, record.stream.version + 1, in_clear(fact, provenance), raw],
    )
    return None if answer[0] == "stale" else (answer[1], answer[2])


def record_of(connection: Connection, keys: KeyRing, patient_id: UUID) -> Record:
    """Raises CustodyRefused where there is no such key."""
    row = connection.execute(_KEY, [patient_id], binary=True).fetchone()
    if row is None:
        raise CustodyRefused("there is no such patient, or the key is destroyed already")
    key = keys.unwrap(row[0], row[1])
    events = [recorded(each, key) for each in connection.execute(_OWN_STREAM, [patient_id], binary=True)]
    return Record(row[0], Stream(patient_id, Category.PATIENT, events))


def _free_record(connection: Connection, keys: KeyRing, patient_id: UUID) -> Record:
    """One that nothing keeps from being destroyed."""
    record = record_of(connection, keys, patient_id)
    if record.patient.retention.holds:
        raise CustodyRefused("a retention hold stands; lift it first")
    merges = connection.execute("select position, patient_id, into_id, joined from log.merges order by position")
    persons = Persons(Merge(*each) for each in merges)
    if len(persons.members(persons.person_of(patient_id))) > 1:
        raise CustodyRefused("this record is joined with another; part them first, and destroy each by itself")
    return record


def _due(connection: Connection, patient_id: UUID) -> Request:
    row = connection.execute(_OPEN, [patient_id], binary=True).fetchone()
    if row is None:
        raise CustodyRefused("nobody has asked for the destruction of this key")
    asked = Request(*row)
    if asked.due_at is None:
        raise CustodyRefused("a second person must confirm it first")
    if asked.due_at > datetime.now(UTC):
        raise CustodyRefused(f"the time to object runs until {asked.due_at:%Y-%m-%d %H:%M %Z}")
    return asked


def _decided(record: Record, asked: Request) -> Fact:
    """By the rule that refuses it under a hold."""
    command = DestroyKey.model_validate(asked._asdict())
    try:
        (decided,) = record.stream.decide(command, Occurred(datetime.now(UTC)))
    except NotAllowed as refused:
        raise CustodyRefused(str(refused)) from refused
    return decided.fact


def _entry(patient_id: UUID, record: Record, asked: Request, position: int, marks: list[bytes]) -> Destruction:
    told = {name: value for name, value in asked._asdict().items() if name not in ("due_at", "destruction_id")}
    return Destruction.model_validate(
        {
            **told,
            "destruction_id": str(asked.destruction_id),
            "patient_id": str(patient_id),
            "key_id": str(record.key_id),
            "position": position,
            "carried_out_at": datetime.now(UTC),
            "marks": tuple(each.hex() for each in marks),
        }
    )


def _note(ledger: Ledger, entry: Destruction) -> None:
    """Once, though an earlier attempt may have noted it and then failed to commit."""
    if entry.destruction_id not in {each.destruction_id for each in ledger.destructions()}:
        ledger.add(entry)


def _refuse_telling(reason: str, state: Patient) -> None:
    """The reason stays in clear for good, so it must not say whose key it was."""
    said = set(re.findall(r"\w+", reason.casefold()))
    if not said:
        raise CustodyRefused("give a reason")
    names = {word for name in state.names for each in (name.family, *name.given) for word in _words(each)}
    numbers = {each.value.casefold() for each in state.identifiers}
    born = {state.birth_date} if state.birth_date else set()
    if said & names or any(each in reason.casefold() for each in numbers | born):
        raise CustodyRefused("the reason stays in clear: leave out names, numbers and birth date of the patient")


def _words(name: str | None) -> list[str]:
    return [word for word in re.findall(r"\w+", (name or "").casefold()) if len(word) >= _SHORTEST_NAME]


def _named(by: str) -> str:
    if not by.strip():
        raise CustodyRefused("say who you are: --by")
    return by.strip()


def _call(connection: Connection, query: str, arguments: list[Any]) -> Any:
    return _row(connection, query, arguments)[0]


def _row(connection: Connection, query: str, arguments: list[Any]) -> tuple[Any, ...]:
    try:
        row: tuple[Any, ...] | None = connection.execute(query, arguments, binary=True).fetchone()
    except psycopg.Error as error:
        if error.sqlstate == REFUSED:
            raise CustodyRefused(error.diag.message_primary or "refused") from error
        raise
    if row is None:
        raise psycopg.DataError("no answer")
    return row
