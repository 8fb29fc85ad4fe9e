"""Destroying keys in tests: what two people and a custodian do, without the days between."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from infra.custody import destruction
from infra.custody.destruction import Destroyed
from infra.custody.ledger import Ledger
from tests.conftest import Database

REASON = "Retention ended; reviewed by the records committee."
AT_ONCE = timedelta(0)


def unheard(_done: int, _of: int) -> None:
    """Nobody follows the progress."""


def ledger_in(folder: Path, database: Database) -> Ledger:
    return Ledger(folder / "destructions.jsonl", database.keys.provider)


def agreed(database: Database, patient_id: UUID, delay: timedelta = AT_ONCE) -> None:
    """Asked for by one person and confirmed by another."""
    with database.connect("custodian") as custodian:
        destruction.request(custodian, database.keys, patient_id, REASON, "records.officer")
        destruction.confirm(custodian, database.keys, patient_id, "caldicott.guardian", delay)


def carried_out(database: Database, ledger: Ledger, patient_id: UUID) -> Destroyed:
    with database.connect("custodian") as custodian:
        return destruction.carry_out(custodian, database.keys, ledger, patient_id, unheard)


def destroyed(database: Database, folder: Path, patient_id: UUID) -> Destroyed:
    agreed(database, patient_id)
    return carried_out(database, ledger_in(folder, database), patient_id)
