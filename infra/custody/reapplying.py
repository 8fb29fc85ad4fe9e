"""After a restore: destructions that the restored database does not know of are applied to it again, from the ledger.

Until that is done nothing serves: every process looks at its start, and migrating does it.
"""

from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from domain.retention import KeyDestroyed
from infra.custody import copies, destruction
from infra.custody.agreement import unapplied
from infra.custody.ledger import Destruction, Ledger
from infra.custody.renewal import renew
from infra.custody.rotation import Progress
from infra.keys import KeyRing

Connection = psycopg.Connection[Any]


class Reapplied(NamedTuple):
    patient_id: str
    was_here: bool


def is_untouched(connection: Connection, path: Path) -> bool:
    """Whether no key was ever destroyed here: then nothing needs the ledger, nor the key provider."""
    row = connection.execute("select not exists (select from log.destructions)").fetchone()
    return not path.exists() and row is not None and bool(row[0])


def reapply(owner: Connection, keys: KeyRing, ledger: Ledger, told: Progress) -> list[Reapplied]:
    """`owner` of role owner, autocommit. `told` hears (messages searched, of all). May be repeated.
    Raises LedgerBroken."""
    done = [_reapplied(owner, keys, each, told) for each in unapplied(owner, ledger)]
    renew(owner, keys, told)
    return done


def _reapplied(owner: Connection, keys: KeyRing, entry: Destruction, told: Progress) -> Reapplied:
    patient_id, destruction_id = UUID(entry.patient_id), UUID(entry.destruction_id)
    as_told = Jsonb(entry.model_dump(mode="json", exclude={"marks"}))
    marks = [bytes.fromhex(each) for each in entry.marks]
    while True:
        with owner.transaction():
            row = owner.execute("select log.reapply_destruction(%s, %s)", [as_told, marks]).fetchone()
            if row is None or not row[0]:
                return Reapplied(entry.patient_id, was_here=False)
            record = destruction.record_of(owner, keys, patient_id)
            known = record.patient.identifiers
            raw = copies.receipts_of(owner, keys, patient_id, record.key_id, known, told)
            if destruction.destroy(owner, record, destruction_id, _fact(entry), raw) is not None:
                return Reapplied(entry.patient_id, was_here=True)


def _fact(entry: Destruction) -> KeyDestroyed:
    """Decided before the restore: a hold that the restored log still shows was lifted since."""
    return KeyDestroyed(
        reason=entry.reason,
        requested_by=entry.requested_by,
        requested_at=entry.requested_at,
        confirmed_by=entry.confirmed_by,
        confirmed_at=entry.confirmed_at,
    )
