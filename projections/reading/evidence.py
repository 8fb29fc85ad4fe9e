"""Evidence exports of one person, for whoever may read that person: noted in the access log in the same transaction.

An export rests on the newest signed heads, and on the checkpoint of the same size; later events are not in it.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql
from pydantic import ValidationError

from domain.catalogue import UnknownFact
from domain.facts import Recorded
from domain.persons import Merge, Persons
from infra.evidence import merkle
from infra.evidence.checkpoints import open_checkpoint
from infra.evidence.envelopes import COLUMNS, Stored
from infra.evidence.export import Account, EvidenceBroken, Older, Record, Signed, Text, export_files, zipped
from infra.evidence.heads import exports_name, open_heads
from infra.evidence.notes import NoteRefused, Signer, Verifier, to_base64
from infra.evidence.proving import nodes_of_log, proofs_of_heads
from infra.evidence.tiles import LeavesMissing, LogName, Tiles
from infra.keys import DataKey, KeyRing, KeyUnusable
from infra.payloads import place, recorded
from projections.folds.care_team import CARE_TEAM
from projections.reading.evidence_page import page
from projections.reading.evidence_print import print_out
from projections.reading.evidence_report import Line, Particulars, about, lines
from projections.reading.reads import NOTED, VERDICT, Reader, Refused, parameters
from projections.tables import documents

Connection = psycopg.Connection[Any]
_NEWEST = """select h.key, c.note, h.note, h.size, (select coalesce(max(position), 0) from log.events)
               from log.heads_index i
               join log.heads h on h.origin = i.origin and h.size = i.size
               join log.checkpoints c on c.log = 'events' and c.origin = i.origin and c.size = i.size"""
_OLDER = "select note from log.checkpoints where log = 'events' and origin = %s and size = %s"
_MERGES = "select position, patient_id, into_id, joined from log.merges order by position"
_ALLOWED = sql.SQL(  # only constants of these modules
    "with"  # noqa: S608
    + VERDICT
    + """,
    answer as (
        select m.patient_id, v.allowed from verdict v cross join unnest(%(patients)s::uuid[]) as m(patient_id)
         where v.allowed or m.patient_id is not distinct from %(patient)s::uuid
    ),"""
    + NOTED
    + " select bool_and(allowed) from answer, noted"
)
_EVENTS = f"""select {COLUMNS} from log.events
               where patient_id = any(%s) and position <= %s order by position"""  # noqa: S608 our own
_KEYS = "select key_id, wrapped from log.keys where patient_id = any(%s)"


class NotYetSealed(Exception):
    """The log has signed no heads yet, or none that have this patient."""


class OlderUnknown(Exception):
    """The older checkpoint is not one of this log, or is newer than the newest heads."""


class Made(NamedTuple):
    """`size` is the number of events under the export's checkpoint, `head` what the log had when it was made, `key` the
    log's verifier key."""

    content: bytes
    size: int
    head: int
    key: str


class Basis(NamedTuple):
    """The newest signed heads with their checkpoint."""

    log: Verifier
    checkpoint: bytes
    heads: bytes
    size: int
    head: int


class Exports:
    """`connect` lends a connection of role reader; `private` signs exports. Several threads may export at once."""

    def __init__(
        self, connect: Callable[[], AbstractContextManager[Connection]], keys: KeyRing, private: Ed25519PrivateKey,
        version: str,
    ) -> None:  # fmt: skip
        self._connect = connect
        self._keys = keys
        self._ring = Lock()
        self._private = private
        self._version = version

    def export(
        self, patient_id: UUID | None, reader: Reader, older: int | bytes | None = None, *, with_words: bool = True
    ) -> Made:
        """A zip. `older` is an earlier checkpoint: its size, where the log is to find the note, or the note itself.

        Raises Refused, NotYetSealed, OlderUnknown, EvidenceBroken, psycopg.Error.
        """
        with self._connect() as connection, connection.transaction():
            connection.execute("set transaction isolation level repeatable read")
            basis = _basis(connection)
            patients = _person(connection, patient_id, basis.size)
            is_allowed = _allowed(connection, patient_id, patients, basis.size, reader)
            if patient_id is not None and is_allowed:
                signed = _signed(connection, basis, older)
                record, told = self._record(connection, patient_id, patients, basis.size, with_words=with_words)
                numbers = [event.position - 1 for event in record.events]
                read = _nodes(connection, numbers, basis.size, _size(signed))
                proofs = proofs_of_heads(connection, patients)
        if patient_id is None or not is_allowed:
            raise Refused
        account = Account(datetime.now(UTC), reader.role, self._version, basis.head)
        shown = self._shown(basis, record, told, account)
        with ThreadPoolExecutor(1) as press:  # printing takes as long as all proofs, and leaves Python free meanwhile
            printed = press.submit(print_out, *shown)
            files = export_files(
                signed, record, lambda: {"report.html": page(*shown), "report.pdf": printed.result()},
                proofs, read, account, self._signer(basis),
            )  # fmt: skip
        return Made(zipped(files), basis.size, basis.head, str(basis.log))

    def _signer(self, basis: Basis) -> Signer:
        """Raises EvidenceBroken where the heads name another key than ours: nobody would accept what we sign."""
        signer = Signer(exports_name(basis.log), self._private)
        if open_heads(basis.heads, basis.log).exports != signer.verifier:
            raise EvidenceBroken("the heads name another key than the one that signs exports here")
        return signer

    def _record(
        self, connection: Connection, asked: UUID, patients: Sequence[UUID], size: int, *, with_words: bool
    ) -> tuple[Record, list[Recorded]]:
        """The record, and those of its events that this version can put into words. Raises NotYetSealed."""
        events = [Stored(*row) for row in connection.execute(_EVENTS, [list(patients), size], binary=True)]
        if not any(event.patient_id == asked for event in events):
            raise NotYetSealed
        keys = self._unwrapped(connection, patients) if with_words else {}
        texts = {event.position: _text(event, keys, with_words=with_words) for event in events}
        readable = [event for event in events if with_words and texts[event.position].standing in ("included", "clear")]
        told = [found for event in readable if (found := _recorded(event, keys)) is not None]
        return Record(asked, events, texts), told

    def _unwrapped(self, connection: Connection, patients: Sequence[UUID]) -> dict[UUID, DataKey]:
        rows = connection.execute(_KEYS, [list(patients)], binary=True).fetchall()
        with self._ring:
            return {key_id: self._keys.unwrap(key_id, wrapped) for key_id, wrapped in rows if wrapped}

    def _shown(
        self, basis: Basis, record: Record, told: list[Recorded], account: Account
    ) -> tuple[dict[str, str], list[Line]]:
        checkpoint = open_checkpoint(basis.checkpoint, [basis.log])
        patients = sorted({event.patient_id for event in record.events if event.patient_id})
        particulars = Particulars(
            record.asked, patients, account.made_at, account.role, checkpoint.origin, checkpoint.size,
            to_base64(checkpoint.root), str(basis.log),
        )  # fmt: skip
        standings = {position: text.standing for position, text in record.texts.items()}
        return about(particulars, len(record.events)), lines(record.events, standings, told)


def _basis(connection: Connection) -> Basis:
    row = connection.execute(_NEWEST, binary=True).fetchone()
    if row is None:
        raise NotYetSealed
    return Basis(Verifier.parse(row[0]), *row[1:])


def _person(connection: Connection, patient_id: UUID | None, size: int) -> list[UUID]:
    """All patients who were one person with this one at a position, and are now: going back never shows more."""
    if patient_id is None:
        return []
    persons = Persons(Merge(*row) for row in connection.execute(_MERGES, binary=True))
    then, now = (persons.members(persons.person_of(patient_id, each), each) for each in (size, None))
    return sorted(then & now)


def _allowed(
    connection: Connection, patient_id: UUID | None, patients: Sequence[UUID], size: int, reader: Reader
) -> bool:
    """Whether the reader may; either is noted, for each patient whose events are given away."""
    statement = _ALLOWED.format(
        team=documents.table(CARE_TEAM), at=sql.SQL("null"), through=sql.Literal(size), answer=sql.SQL("null::bytea")
    )
    named: list[UUID | None] = [*patients] or [None]
    noted = {"patient": patient_id, "patients": named, "projection": "evidence", "outcome": "export"}
    row = connection.execute(statement, parameters(reader) | noted).fetchone()
    return bool(row and row[0])


def _signed(connection: Connection, basis: Basis, older: int | bytes | None) -> Signed:
    """Raises OlderUnknown."""
    note = _kept(connection, basis.log.name, older) if isinstance(older, int) else older
    return Signed(basis.log, basis.checkpoint, basis.heads, None if note is None else _older(note, basis))


def _kept(connection: Connection, origin: str, size: int) -> bytes:
    row = connection.execute(_OLDER, [origin, size], binary=True).fetchone()
    if row is None:
        raise OlderUnknown("no checkpoint of that size was signed")
    return bytes(row[0])


def _older(note: bytes, basis: Basis) -> Older:
    try:
        size = open_checkpoint(note, [basis.log]).size
    except NoteRefused as error:
        raise OlderUnknown(str(error)) from None
    if size > basis.size:
        raise OlderUnknown("it is newer than the newest heads")
    return Older(note, size)


def _nodes(connection: Connection, numbers: Sequence[int], size: int, older: int | None) -> merkle.Reader:
    try:
        return nodes_of_log(Tiles(connection, LogName.EVENTS), numbers, size, older)
    except LeavesMissing as error:
        raise EvidenceBroken(str(error)) from None


def _size(signed: Signed) -> int | None:
    return signed.older.size if signed.older else None


def _text(event: Stored, keys: Mapping[UUID, DataKey], *, with_words: bool) -> Text:
    """Raises EvidenceBroken for sealed bytes that do not open: they are not what was recorded there."""
    if event.key_id is None:
        return Text("clear")
    key = keys.get(event.key_id)
    if key is None:
        return Text("destroyed" if with_words else "withheld")
    try:
        return Text("included", key.open(event.payload, place(event.stream_id, event.version, event.type)))
    except (KeyUnusable, ValueError):  # the latter where there is not even a nonce
        raise EvidenceBroken(f"what is sealed at position {event.position} does not open") from None


def _recorded(event: Stored, keys: Mapping[UUID, DataKey]) -> Recorded | None:
    """None for a fact that this version does not know: its words go along all the same."""
    try:
        return recorded(event[:10], keys[event.key_id] if event.key_id else None)
    except (UnknownFact, ValidationError):
        return None
