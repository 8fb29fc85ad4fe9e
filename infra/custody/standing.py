"""How the keys stand: what wraps them, which are destroyed or about to be, and which records are held."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain.retention import RetentionHoldLifted, RetentionHoldPlaced
from infra.custody.agreement import unapplied
from infra.custody.ledger import Ledger
from infra.keys import KeyVersion, ManagedKeyProvider

Connection = psycopg.Connection[Any]

MISSING = "missing"
_UNDER = "select log.key_version(wrapped), count(*) from log.keys group by 1"
_MONTHS_UNDER = "select log.key_version(wrapped), count(*) from log.monthly_keys group by 1"
_DESTRUCTIONS = """select patient_id, case when carried_out_at is not null then 'done'
                          when confirmed_by is null then 'waits for a second person'
                          when due_at > clock_timestamp() then 'waits' else 'due' end,
                          requested_by, confirmed_by, due_at, carried_out_at
                     from log.destructions where withdrawn_at is null order by requested_at"""
# By their names alone, which stand in clear; a hold that was marked in error still counts here.
_HELD = """select patient_id from (
               select patient_id, count(*) filter (where type = %s) - count(*) filter (where type = %s) as standing
                 from log.events where type in (%s, %s) group by 1) each
            where standing > 0"""
_DONE, _UNDER_A_HOLD = "done", "held"
_RENEWING = "select count(*) from log.monthly_keys where state <> 'open'"


class Version(NamedTuple):
    """A version of the key-encryption key and how many keys it wraps. `state`: current, open, retired, or missing
    where keys are wrapped by a version that the provider does not have."""

    version: str
    state: str
    since: datetime | None
    patients: int
    months: int


class Destruction(NamedTuple):
    """`state`: waits for a second person, waits, due, done; held where it is refused while a hold stands."""

    patient_id: UUID
    state: str
    requested_by: str
    confirmed_by: str | None
    due_at: datetime | None
    carried_out_at: datetime | None


class Status(NamedTuple):
    """`unapplied` destructions are in the ledger and not in this database, as after a restore. `renewing`: keys of
    months that something was destroyed under and that have not ended yet."""

    versions: list[Version]
    destructions: list[Destruction]
    held: int
    unapplied: int
    renewing: int


def status(connection: Connection, provider: ManagedKeyProvider, ledger: Ledger) -> Status:
    """`connection` of role custodian. Raises KeyUnusable, LedgerBroken, psycopg.Error."""
    placed, lifted = RetentionHoldPlaced.stored, RetentionHoldLifted.stored
    held = {row[0] for row in connection.execute(_HELD, [placed, lifted, placed, lifted])}
    asked = [Destruction(*row) for row in connection.execute(_DESTRUCTIONS)]
    destructions = [
        each._replace(state=_UNDER_A_HOLD) if each.state != _DONE and each.patient_id in held else each
        for each in asked
    ]
    lacking = len(unapplied(connection, ledger))
    return Status(_versions(connection, provider), destructions, len(held), lacking, _renewing(connection))


def _renewing(connection: Connection) -> int:
    row = connection.execute(_RENEWING).fetchone()
    return int(row[0]) if row else 0


def _versions(connection: Connection, provider: ManagedKeyProvider) -> list[Version]:
    patients = dict(connection.execute(_UNDER).fetchall())
    months = dict(connection.execute(_MONTHS_UNDER).fetchall())
    known = provider.versions()
    lost = sorted({*patients, *months} - {each.name for each in known})
    versions = [*known, *(KeyVersion(name, MISSING, None) for name in lost)]
    return [Version(*each, patients.get(each.name, 0), months.get(each.name, 0)) for each in versions]
