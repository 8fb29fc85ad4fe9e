"""Whether a database and the ledger of destroyed keys agree: whoever serves from it, or destroys another key, looks.

A ledger that is behind was exchanged for an old copy, or lies elsewhere than the settings say; a database that is
behind was restored.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

from infra.custody.ledger import Destruction, Ledger, LedgerBroken
from infra.custody.rotation import CustodyRefused

Connection = psycopg.Connection[Any]

# What a database knows of: destruction, patient and key.
CARRIED_OUT = """select destruction_id::text, patient_id::text, key_id::text from log.destructions
                  where carried_out_at is not null"""
CarriedOut = tuple[Any, ...]


class Unapplied(CustodyRefused):
    """This database still holds keys that were destroyed; nothing may be served from it."""

    @classmethod
    def of(cls, count: int) -> "Unapplied":
        return cls(
            f"{count} destroyed keys are back in this database, as after a restore; "
            "run `python -m infra migrate` or `python -m infra keys reapply` before anything is served"
        )


def unapplied(connection: Connection, ledger: Ledger) -> list[Destruction]:
    """Destructions of the ledger that this database has not seen. Any role that may read log.destructions can ask.
    Raises LedgerBroken where the database knows more than the ledger, or something else."""
    return left_to_apply(connection.execute(CARRIED_OUT).fetchall(), ledger)


def left_to_apply(known: Sequence[CarriedOut], ledger: Ledger) -> list[Destruction]:
    """The same, of what was read before: each destruction is in the ledger before it is in the database."""
    told = ledger.destructions()
    by_id = {each.destruction_id: each for each in told}
    lacking = sum(destruction_id not in by_id for destruction_id, _, _ in known)
    if lacking:
        raise LedgerBroken(f"{ledger.path} lacks {lacking} destructions that this database knows of")
    for destruction_id, patient_id, key_id in known:
        if _differs(by_id[destruction_id], patient_id, key_id):
            raise LedgerBroken(f"{ledger.path} tells otherwise of destruction {destruction_id} than this database")
    seen = {row[0] for row in known}
    return [each for each in told if each.destruction_id not in seen]


def refuse_unapplied(connection: Connection, ledger: Ledger, but: str | None = None) -> None:
    """For every process at its start, and before a key is destroyed: `but` names the destruction that is being carried
    out, which an attempt cut short may have left in the ledger alone. Raises Unapplied, LedgerBroken."""
    left = [each for each in unapplied(connection, ledger) if each.destruction_id != but]
    if left:
        raise Unapplied.of(len(left))


def _differs(entry: Destruction, patient_id: str, key_id: str | None) -> bool:
    """The position may be another one, where it was applied again after a restore; then the key may have been gone."""
    return entry.patient_id != patient_id or (None not in (key_id, entry.key_id) and entry.key_id != key_id)
