"""Renewing the keys of months: where something under one was destroyed, what is left moves under another, and the key
ends. Then whoever has the keys of today reads what was destroyed in no backup of then.

Harmless to interrupt anywhere: the next call goes on where this one ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg

from infra.custody.rotation import Progress
from infra.keys import DataKey, KeyRing, KeyUnusable

Connection = psycopg.Connection[Any]

_LOCK = 7305550318
_ROWS_AT_ONCE = 20
_BYTES_AT_ONCE = 8_000_000
_DUE = "select key_id from log.monthly_keys where state = 'due'"
# With the key in each one's place.
_REPLACED = """select o.key_id, o.wrapped, n.key_id, n.wrapped
                 from log.monthly_keys o join log.monthly_keys n on n.month = o.month and n.state <> 'replaced'
                where o.state = 'replaced'"""
_LEFT = "select receipt_key, sealed from log.raw_messages where key_id = %b"
_COUNT = """select count(*) from log.raw_messages
             where key_id in (select key_id from log.monthly_keys where state <> 'open')"""


class Renewed(NamedTuple):
    """Keys of months that ended, and messages that were sealed anew."""

    months: int
    messages: int


class Resealed(NamedTuple):
    receipt_key: bytes
    before: bytes
    after: bytes


def renew(connection: Connection, keys: KeyRing, told: Progress) -> Renewed:
    """`connection` of role custodian, autocommit; `told` hears (messages done, of all). Does nothing while another
    process is at it. Raises KeyUnusable, psycopg.Error."""
    with _alone(connection) as is_alone:
        if not is_alone:
            return Renewed(0, 0)
        months = messages = 0
        total = _one(connection, _COUNT)
        for (due,) in connection.execute(_DUE, binary=True).fetchall():
            new = uuid4()
            _, wrapped = keys.generate(new)
            connection.execute("select log.replace_month_key(%b, %b, %b)", [due, new, wrapped])
        for old_id, old_wrapped, new_id, new_wrapped in connection.execute(_REPLACED, binary=True).fetchall():
            old, new_key = keys.unwrap(old_id, old_wrapped), keys.unwrap(new_id, new_wrapped)
            for moved in _moved_of(connection, old, new_key):
                messages += moved
                told(messages, max(total, messages))
            months += connection.execute("select log.end_month_key(%b)", [old_id]).fetchone() == (True,)
            keys.evict(old_id)
        return Renewed(months, messages)


def _moved_of(connection: Connection, old: DataKey, new: DataKey) -> Iterator[int]:
    """How many of each batch were moved; what is left is read anew after each."""
    while batch := _batch(connection, old, new):
        receipts, before, after = (list(each) for each in zip(*batch, strict=True))
        reseal = "select log.reseal(%b, %b, %b, %b, %b)"
        moved = _one(connection, reseal, old.key_id, new.key_id, receipts, before, after)
        if not moved:
            return
        yield moved


def _batch(connection: Connection, old: DataKey, new: DataKey) -> list[Resealed]:
    batch: list[Resealed] = []
    size = 0
    with connection.transaction(), connection.cursor(name="messages", binary=True) as rows:
        rows.itersize = _ROWS_AT_ONCE
        for receipt_key, sealed in rows.execute(_LEFT, [old.key_id]):
            batch.append(Resealed(receipt_key, sha256(sealed).digest(), _anew(old, new, receipt_key, sealed)))
            size += len(sealed)
            if size > _BYTES_AT_ONCE:
                break
    return batch


def _anew(old: DataKey, new: DataKey, receipt_key: bytes, sealed: bytes) -> bytes:
    """What nobody can read holds nothing of anybody, and moves as it is."""
    try:
        return new.seal(old.open(sealed, receipt_key), receipt_key)
    except KeyUnusable:
        return sealed


def _one(connection: Connection, query: str, *given: object) -> int:
    row = connection.execute(query, given, binary=True).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _alone(connection: Connection) -> Iterator[bool]:
    """Whether this is the one that renews; the lock ends with the connection."""
    row = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    is_alone = row is not None and bool(row[0])
    try:
        yield is_alone
    finally:
        if is_alone and not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", [_LOCK])
