"""Migrations: plain SQL files in order, each applied once; then functions, each made anew when its file has changed.

All run as the owner role. The database and its roles come first, from someone who may create them: `prepare` does it
where we run the server.
"""

import hashlib
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

_LOCK = 7305550311
_ROLES = "0000_roles.sql"
_FUNCTIONS = "functions/"
_LEDGER = """
    create table if not exists public.migrations (
        name text primary key, applied_at timestamptz not null default clock_timestamp());
    create table if not exists public.functions (
        name text primary key, digest text not null, applied_at timestamptz not null default clock_timestamp());
    -- functions name each other and new tables, in whatever order their files stand
    set local check_function_bodies = off"""
# A file of functions/ is named after the function of schema log that it makes; one with other arguments is another.
_OVERLOADS = """
    select 'drop function ' || p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'log' and p.proname = %s"""


class MigrationError(Exception):
    """The database is ahead of this software, or a migration failed; the message names it."""


def prepare(superuser: Connection, database: str) -> None:
    """The roles, and an empty database that the owner role owns. May be repeated; sets no passwords."""
    superuser.execute(_read(_ROLES))
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
        changed = _changed_functions(owner)
        for name in changed:
            _make(owner, name)
    return missing + changed


def pending(connection: Connection) -> list[str]:
    """What `migrate` would apply; any role that may read the ledger can ask."""
    if connection.execute("select to_regclass('public.migrations')").fetchone() == (None,):
        return _names()
    applied = {row[0] for row in connection.execute("select name from public.migrations")}
    return [name for name in _names() if name not in applied] + _changed_functions(connection)


def _changed_functions(connection: Connection) -> list[str]:
    made = dict(connection.execute("select name, digest from public.functions").fetchall())
    return [name for name in _function_names() if made.get(name) != _digest(name)]


def _make(owner: Connection, name: str) -> None:
    """The function that was is dropped, since one whose arguments changed would stay beside the new one."""
    function = name.removeprefix(_FUNCTIONS).removesuffix(".sql")
    try:
        for (drop,) in owner.execute(_OVERLOADS, [function]).fetchall():
            owner.execute(drop)
        owner.execute(_read(name))
    except psycopg.Error as error:
        raise MigrationError(f"{name} failed: {error.diag.message_primary}") from error
    owner.execute(
        """insert into public.functions (name, digest) values (%s, %s)
           on conflict (name) do update set digest = excluded.digest, applied_at = clock_timestamp()""",
        [name, _digest(name)],
    )


def is_function(name: str) -> bool:
    """Whether `migrate` names a function that was made anew, and not a migration."""
    return name.startswith(_FUNCTIONS)


def _apply(owner: Connection, name: str) -> None:
    try:
        owner.execute(_read(name))
    except psycopg.Error as error:
        raise MigrationError(f"migration {name} failed: {error.diag.message_primary}") from error
    owner.execute("insert into public.migrations (name) values (%s)", [name])


def _names() -> list[str]:
    return [name for name in _sql_files("migrations/") if name != _ROLES]


def _function_names() -> list[str]:
    return _sql_files(_FUNCTIONS)


def _sql_files(folder: str) -> list[str]:
    """Migrations by their bare names, under which the ledger has always known them."""
    prefix = folder if folder == _FUNCTIONS else ""
    names = sorted(each.name for each in files("infra").joinpath(folder).iterdir())
    return [prefix + name for name in names if name.endswith(".sql")]


def _read(name: str) -> bytes:
    path = name if name.startswith(_FUNCTIONS) else f"migrations/{name}"
    return files("infra").joinpath(path).read_bytes()


def _digest(name: str) -> str:
    return hashlib.sha256(_read(name)).hexdigest()
