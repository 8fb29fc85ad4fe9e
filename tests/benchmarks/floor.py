"""The floors: the same bytes through the same database with no work done on them."""

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from tests.conftest import Database

_TABLES = ("events", "receipts", "raw_messages")
_ORDER = {"events": "position", "receipts": "position, key", "raw_messages": "received_at, receipt_key"}

Columns = tuple[list[Any], ...]


class Rows(NamedTuple):
    """Columns of each table's rows, as they were written for some messages."""

    tables: dict[str, Columns]

    def count(self, name: str) -> int:
        return len(self.tables[name][0]) if self.tables[name] else 0

    def part(self, number: int, of: int) -> "Rows":
        return Rows({name: _part(columns, number, of) for name, columns in self.tables.items()})


def _part(columns: Columns, number: int, of: int) -> Columns:
    length = len(columns[0])
    first, last = length * number // of, length * (number + 1) // of
    return tuple(column[first:last] for column in columns)


class Inserts:
    """Plain inserts into tables with the log's columns, indexes and checks; one transaction a batch."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(database.url("owner"), autocommit=True)
        self._connection.execute("create schema floor")
        for name in _TABLES:
            self._connection.execute(f"create table floor.{name} (like log.{name} including all)")
        self._connection.execute("create table floor.progress (one boolean primary key, next_offset bigint)")
        self._statements = {name: self._statement(name) for name in _TABLES}

    def insert(self, rows: Rows, offset: int) -> None:
        with self._connection.transaction():
            for name, columns in rows.tables.items():
                self._connection.execute(self._statements[name], columns, binary=True)
            self._connection.execute(
                """insert into floor.progress values (true, %b)
                   on conflict (one) do update set next_offset = excluded.next_offset""",
                [offset],
            )

    def close(self) -> None:
        self._connection.close()

    def _statement(self, name: str) -> sql.Composed:
        columns = self._connection.execute(_COLUMNS, [f"floor.{name}"]).fetchall()
        names = sql.SQL(", ").join(sql.Identifier(column) for column, _ in columns)
        places = sql.SQL(", ").join(sql.SQL("%b::{}[]").format(sql.SQL(kind)) for _, kind in columns)
        return sql.SQL("insert into {} ({}) select * from unnest({})").format(
            sql.Identifier("floor", name), names, places
        )


# Without columns that are arrays themselves: what is written once has nothing there.
_COLUMNS = """select attname, format_type(atttypid, atttypmod)
                from pg_attribute join pg_type on pg_type.oid = atttypid
               where attrelid = %s::regclass and attnum > 0 and not attisdropped and typcategory <> 'A'
               order by attnum"""


class Written:
    """Hands out, in the order of writing, what has been written to a database since it was last asked."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(database.url("owner"), autocommit=True)
        self._skipped = dict.fromkeys(_TABLES, 0)

    def since(self) -> Rows:
        rows = Rows({name: self._columns(name) for name in _TABLES})
        for name in _TABLES:
            self._skipped[name] += rows.count(name)
        return rows

    def close(self) -> None:
        self._connection.close()

    def _columns(self, name: str) -> Columns:
        columns = [column for column, _ in self._connection.execute(_COLUMNS, [f"log.{name}"])]
        query = f"select {', '.join(columns)} from log.{name} order by {_ORDER[name]} offset %b"
        rows = self._connection.execute(query, [self._skipped[name]], binary=True).fetchall()
        return tuple(list(column) for column in zip(*rows, strict=True))
