"""A new epoch of the log, after a restore or a failover took away events whose checkpoint was signed already.

Nothing is mended: both logs go on under new origins from what the database holds, and the first leaf that is theirs
alone says what broke. Tokens, cursors and caches of before are refused, since they carry the epoch.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg

from infra.evidence.signer import LogSigner
from infra.evidence.tiles import Tiles

OPENED = "log.epoch-opened.v1"
_BRANCH_LENGTH = 12
_EPOCH = """update log.epoch set epoch = %s, began_at = clock_timestamp(), branch = %s, follows = %s"""
_RECORD = "select log.append_library_events(array[%s::uuid], array[1], array[%s], array[%s::bytea])"
_ACCESS = """insert into access.reads (actor, role, purpose, outcome, correlation_id)
             values ('operator', 'operator', 'evidence', 'epoch-opened', %s)"""


class Reason(StrEnum):
    """Why; a code, since it is kept in clear."""

    RESTORE = "restore"
    FAILOVER = "failover"
    DAMAGE = "damage"
    NOTES_LOST = "notes-lost"
    NEW_KEY = "new-key"


class NothingBroken(Exception):
    """The log extends what was signed: a new epoch would hide that."""


def reopen(owner: "psycopg.Connection[Any]", signers: Sequence[LogSigner], reason: Reason) -> UUID:
    """Opens a new epoch in one transaction, as role owner; its first checkpoints are signed by the process that always
    signs. Raises NothingBroken, psycopg.Error."""
    with ExitStack() as alone, owner.transaction():
        for each in signers:
            alone.enter_context(each.outside.alone())
        broken = {each.log.value: refusal.reason for each in signers if (refusal := each.broken(owner)) is not None}
        if not broken:
            raise NothingBroken("the log extends every checkpoint kept outside; there is nothing to open anew")
        epoch = uuid4()
        follows = {
            each.log.value: note.decode(errors="replace")
            for each in signers
            if (note := each.outside.newest()) is not None
        }
        owner.execute("select log.seal_accesses(true)")
        found = {each.log.value: Tiles(owner, each.log).head() for each in signers}
        told = {"epoch": epoch, "reason": reason, "broken": broken, "follows": follows, "leaves_found": found}
        owner.execute(_EPOCH, [epoch, f"/{epoch.hex[:_BRANCH_LENGTH]}", orjson.dumps(follows).decode()])
        owner.execute(_RECORD, [epoch, OPENED, orjson.dumps(told)])
        owner.execute(_ACCESS, [str(epoch)])
    return epoch
