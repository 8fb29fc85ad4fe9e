"""Migrations: plain SQL files in order, each applied once, as the owner role.

The database and its roles come first, from someone who may create them: `prepare` does it where we run the server.
"""

from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

_LOCK = 7305550311
_LEDGER = """create table if not exists public.migrations (
    name text primary key, applied_at timestamptz not null default clock_timestamp())"""


class MigrationError(Exception):
    """The database is ahead of this software, or a migration failed; the message names it."""


def prepare(superuser: Connection, database: str) -> None:
    """The roles, and an empty database that the owner role owns. May be repeated; sets no passwords."""
    superuser.execute(_read("0000_roles.sql"))
    exists = superuser.execute("select from pg_database where datname = %s", [database]).fetchone()
    if exists is None:
        create = sql.SQL("create database {} owner owner template template0 encoding 'UTF8' locale 'C'")
        superuser.execute(create.format(sql.Identifier(database)))


def migrate(owner: Connection) -> list[str]:
    """Applies what is missing and returns the names. Raises MigrationError; what failed leaves nothing behind."""
    with owner.transaction():
        owner.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        owner.execute(_LEDGER)
        applied = {row[0] for row in owner.execute("select name from public.migrations")}
        names = _names()
        unknown = applied - set(names)
        if unknown:
            raise MigrationError(f"the database has migrations that this version lacks: {', '.join(sorted(unknown))}")
        missing = [name for name in names if name not in applied]
        for name in missing:
            _apply(owner, name)
    return missing


def pending(connection: Connection) -> list[str]:
    """What `migrate` would apply; any role that may read the ledger can ask."""
    if connection.execute("select to_regclass('public.migrations')").fetchone() == (None,):
        return _names()
    applied = {row[0] for row in connection.execute("select name from public.migrations")}
    return [name for name in _names() if name not in applied]


def _apply(owner: Connection, name: str) -> None:
    try:
        owner.execute(_read(name))
    except psycopg.Error as error:
        raise MigrationError(f"migration {name} failed: {error.diag.message_primary}") from error
    owner.execute("insert into public.migrations (name) values (%s)", [name])


def _names() -> list[str]:
    found = (each.name for each in files("infra").joinpath("migrations").iterdir())
    return sorted(name for name in found if name.endswith(".sql") and name != "0000_roles.sql")


def _read(name: str) -> bytes:
    return files("infra").joinpath("migrations", name).read_bytes()
