"""Logs of a size: rows like those that are there, under other people, whose payloads nobody opens."""

import psycopg

from tests.conftest import Database

_EVENTS = """
    insert into log.events
    select e.position + copy * last.position, last.recorded_at,
           md5(e.stream_id::text || copy)::uuid, e.version, md5(e.patient_id::text || copy)::uuid, e.patient_seq,
           e.type, e.occurred_at, e.occurred_precision, e.payload, e.key_id, e.leaf_hash
      from log.events e, generate_series(%(first)s::integer, %(last)s::integer) as copy,
           (select %(had)s::bigint as position, max(recorded_at) as recorded_at from log.events) as last
     where e.position <= last.position order by 1"""
_RECEIPTS = """
    insert into log.receipts
    select decode(md5(r.key::text || copy), 'hex'), r.source, r.digest, r.outcome, r.answer, r.first_position,
           r.last_position, r.position, r.received_at
      from log.receipts r, generate_series(%(first)s::integer, %(last)s::integer) as copy where r.position <= %(had)s"""
_IDENTIFIERS = """
    insert into log.identifiers
    select decode(md5(i.digest::text || copy), 'hex'), md5(i.patient_id::text || copy)::uuid, i.position
      from log.identifiers i, generate_series(%(first)s::integer, %(last)s::integer) as copy where i.position <= %(had)s
    on conflict do nothing"""
_COPIES_AT_ONCE = 20


def grow(database: Database, size: int) -> None:
    """To about `size` events, with the receipts and identifiers that so many would have."""
    with psycopg.connect(database.url("owner"), autocommit=True) as owner:
        had = _head(owner)
        copies = size // had - 1
        for first in range(1, copies + 1, _COPIES_AT_ONCE):
            place = {"first": first, "last": min(copies, first + _COPIES_AT_ONCE - 1), "had": had}
            for statement in (_EVENTS, _RECEIPTS, _IDENTIFIERS):
                owner.execute(statement, place)
        for table in ("events", "receipts", "identifiers"):
            owner.execute(f"analyze log.{table}")


def _head(owner: "psycopg.Connection[tuple[int]]") -> int:
    row = owner.execute("select coalesce(max(position), 0) from log.events").fetchone()
    if row is None or row[0] == 0:
        raise ValueError("there is nothing to be like")
    return row[0]
