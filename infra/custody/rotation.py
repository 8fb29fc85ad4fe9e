"""Rotating the key-encryption key: every data key is wrapped anew in small batches, and no payload is touched.

Harmless to interrupt anywhere: the next rotation goes on where this one ended. Writers go on meanwhile; what they
still store under the old version is found, and once the database refuses that version nothing can be left under it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from infra.keys import CURRENT, RETIRED, ManagedKeyProvider

Connection = psycopg.Connection[Any]
Progress = Callable[[int, int], None]

_LOCK = 7305550317
_AT_ONCE = 500
_TABLES = ("keys", "monthly_keys")
_COUNT = "select count(*) from log.{} where log.key_version(wrapped) <> %b"
_NEXT = """select key_id, wrapped from log.{}
            where key_id > %b and log.key_version(wrapped) <> %b order by key_id limit %b"""
_BEFORE_ALL = UUID(int=0)


class CustodyRefused(Exception):
    """What was asked for is not done; the text says why, without patient data."""


class Rotated(NamedTuple):
    """`version` wraps now; `rewrapped` keys were moved to it; `retired` versions are gone from the provider."""

    version: str
    rewrapped: int
    retired: list[str]


def rotate(connection: Connection, provider: ManagedKeyProvider, told: Progress, *, keep_old: bool = False) -> Rotated:
    """`connection` of role custodian, autocommit; `told` hears (keys done, of all). `keep_old` leaves the versions
    before usable, as a restore from a backup of before needs them. Raises CustodyRefused, KeyUnusable."""
    with _alone(connection):
        version = _new_version(provider)
        rewrapped = _rewrap(connection, provider, version, told)
        if keep_old:
            return Rotated(version, rewrapped, [])
        old = [each.name for each in provider.versions() if each.state not in (CURRENT, RETIRED)]
        for name in old:
            connection.execute("select log.retire_key_version(%s)", [name])
        while late := _rewrap(connection, provider, version, told):
            rewrapped += late
        for name in old:
            provider.retire(name)
    return Rotated(version, rewrapped, old)


def _new_version(provider: ManagedKeyProvider) -> str:
    """None is added while a rotation before this one is unfinished, or has kept its old version."""
    standing = [each for each in provider.versions() if each.state != RETIRED]
    current = next(each.name for each in standing if each.state == CURRENT)
    return current if len(standing) > 1 else provider.add_version()


def _rewrap(connection: Connection, provider: ManagedKeyProvider, version: str, told: Progress) -> int:
    """One pass over all keys that another version wraps; a transaction for each batch."""
    left = {table: _count(connection, table, version) for table in _TABLES}
    total, done, moved = sum(left.values()), 0, 0
    for table in _TABLES:
        for batch in _batches(connection, table, version):
            anew = [provider.wrap(provider.unwrap(old, key.bytes), key.bytes) for key, old in batch]
            row = connection.execute(
                "select log.rewrap(%b, %b, %b)", [[key for key, _ in batch], [old for _, old in batch], anew]
            ).fetchone()
            moved += int(row[0]) if row else 0
            done += len(batch)
            told(done, max(total, done))
    return moved


def _batches(connection: Connection, table: str, version: str) -> Iterator[list[tuple[UUID, bytes]]]:
    """Keys that vanish meanwhile were destroyed; those that appear behind us are the next pass's."""
    query = sql.SQL(_NEXT).format(sql.Identifier(table))
    after = _BEFORE_ALL
    while rows := connection.execute(query, [after, version, _AT_ONCE], binary=True).fetchall():
        yield rows
        after = rows[-1][0]


def _count(connection: Connection, table: str, version: str) -> int:
    row = connection.execute(sql.SQL(_COUNT).format(sql.Identifier(table)), [version]).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """One rotation at a time; the lock ends with the connection."""
    row = connection.execute("select pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    if row is None or not row[0]:
        raise CustodyRefused("another rotation is running")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", [_LOCK])
