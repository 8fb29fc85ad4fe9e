"""Logs of a size: rows like those that are there, under other people, whose payloads nobody opens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.conftest import Database

Owner = psycopg.Connection[tuple[Any, ...]]

_TABLES = ("events", "receipts", "identifiers")
# What is multiplied is what there was, not what was added.
_ORIGINALS = "create temporary table original_{table} as select * from log.{table}"
_EVENTS = """
    insert into log.events
    select e.position + copy * last.position, last.recorded_at,
           md5(e.stream_id::text || copy)::uuid, e.version, md5(e.patient_id::text || copy)::uuid, e.patient_seq,
           e.type, e.occurred_at, e.occurred_precision, e.payload, e.key_id, e.leaf_hash
      from generate_series(1, %(copies)s::integer) as copy, original_events e,
           (select max(position) as position, max(recorded_at) as recorded_at from original_events) as last"""
_RECEIPTS = """
    insert into log.receipts
    select decode(md5(r.key::text || copy), 'hex'), r.source, r.digest, r.outcome, r.answer, r.first_position,
           r.last_position, r.position + copy * last.position, r.received_at
      from generate_series(1, %(copies)s::integer) as copy, original_receipts r,
           (select max(position) as position from original_events) as last"""
_IDENTIFIERS = """
    insert into log.identifiers
    select decode(md5(i.digest::text || copy), 'hex'), md5(i.patient_id::text || copy)::uuid,
           i.position + copy * last.position
      from generate_series(1, %(copies)s::integer) as copy, original_identifiers i,
           (select max(position) as position from original_events) as last"""
_KEYS = """
    select c.conname::text, pg_get_constraintdef(c.oid) from pg_constraint c
     where c.conrelid = %s::regclass and c.contype in ('p', 'u') order by c.conname"""


def grow(database: Database, size: int) -> None:
    """To about `size` events, with the receipts and identifiers that so many would have."""
    with psycopg.connect(database.url("owner"), autocommit=True) as owner:
        copies = size // _head(owner) - 1
        if copies < 1:
            return
        for table in _TABLES:
            owner.execute(_ORIGINALS.format(table=table))
        for table, more in zip(_TABLES, (_EVENTS, _RECEIPTS, _IDENTIFIERS), strict=True):
            with _keys_made_afterwards(owner, f"log.{table}"):
                owner.execute(more, {"copies": copies})
            owner.execute(f"vacuum analyze log.{table}")


@contextmanager
def _keys_made_afterwards(owner: Owner, table: str) -> Iterator[None]:
    """A fifth of the time that it takes to keep them while millions of rows arrive in no order."""
    keys = owner.execute(_KEYS, [table]).fetchall()
    for name, _ in keys:
        owner.execute(f"alter table {table} drop constraint {name}")
    yield
    for name, definition in keys:
        owner.execute(f"alter table {table} add constraint {name} {definition}")


def _head(owner: Owner) -> int:
    row = owner.execute("select coalesce(max(position), 0) from log.events").fetchone()
    if row is None or row[0] == 0:
        raise ValueError("there is nothing to be like")
    return int(row[0])
