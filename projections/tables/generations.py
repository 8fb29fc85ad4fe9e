"""Tables of documents and which of them is served: each projection has one view, and one table behind it.

A new table is built beside the one that is served, and takes its place in one transaction. Readers look through the
view, so that nothing they read is ever half of each.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg import sql

from projections.folds.folding import Projection

Connection = psycopg.Connection[Any]
State = Literal["building", "serving", "kept"]
# The checkpoint of the reader of the log that sends signals stands among those of tables.
SIGNALS = "care-signals"
_LOCK = 7305550331
_TABLES = """select g.table_name, g.projection, g.state, c.position
               from read.generations g join read.checkpoints c on c.projection = g.table_name
              where (g.projection, g.version) in (select * from unnest(%b::text[], %b::int4[]))
                and g.state <> 'building'
              order by g.table_name for update of c"""
# A migration may have dropped a table, with its checkpoint.
_TABLELESS = """delete from read.generations g
                 where g.state <> 'building' and not exists (
                     select from read.checkpoints c where c.projection = g.table_name)"""
_MOVE = """update read.checkpoints set position = %b, advanced_at = clock_timestamp() where projection = any(%b)"""


class Kept(NamedTuple):
    """A table of one projection's documents."""

    table: str
    projection: Projection


class Standing(NamedTuple):
    """A table with the position that it holds."""

    kept: Kept
    state: State
    position: int


def ensure(connection: Connection, projections: Iterable[Projection]) -> None:
    """A first table for each projection that has none: served from the beginning, empty at position 0."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        connection.execute(_TABLELESS)
        served = dict(connection.execute("select projection, table_name from read.generations").fetchall())
        for each in projections:
            if each.name not in served:
                table = f"{each.name}_v{each.version}"
                _register(connection, each, table, "serving")
                create(connection, table)
                index(connection, table)
                place(connection, table, 0)
            if not _has_view(connection, each.name):
                _show(connection, each.name)


def awaiting(connection: Connection, projections: Iterable[Projection]) -> list[str]:
    """Projections of which another version is served: a rebuild makes this one."""
    rows = connection.execute("select projection, version from read.generations where state <> 'building'")
    made = set(rows.fetchall())
    known = {name for name, _ in made}
    return [each.name for each in projections if each.name in known and (each.name, each.version) not in made]


def locked(connection: Connection, projections: Sequence[Projection]) -> list[Standing]:
    """The finished tables of these projections in these versions, their checkpoints locked until the transaction
    ends: who holds them is the only one to write these tables."""
    by_name = {each.name: each for each in projections}
    named = [list(by_name), [each.version for each in by_name.values()]]
    rows = connection.execute(_TABLES, named, binary=True)
    return [Standing(Kept(table, by_name[name]), state, position) for table, name, state, position in rows]


def move(connection: Connection, tables: Iterable[Kept], position: int) -> None:
    connection.execute(_MOVE, [position, [each.table for each in tables]])


def begin(connection: Connection, projection: Projection) -> Kept:
    """A new table that nobody sees yet, without indexes, to be filled."""
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        row = connection.execute("select nextval(pg_get_serial_sequence('read.generations', 'number'))").fetchone()
        table = f"{projection.name}_v{projection.version}_{row[0] if row else 1}"
        _register(connection, projection, table, "building")
        create(connection, table)
    return Kept(table, projection)


def serve(connection: Connection, table: str) -> None:
    """Puts this table in the place of the one that is served, which is kept. In the caller's transaction, which holds
    the checkpoints of both."""
    connection.execute(
        """update read.generations g set state = 'kept', changed_at = clock_timestamp()
             from read.generations n
            where n.table_name = %(table)s and g.projection = n.projection and g.state = 'serving'""",
        {"table": table},
    )
    row = connection.execute(
        """update read.generations set state = 'serving', changed_at = clock_timestamp()
            where table_name = %s returning projection""",
        [table],
    ).fetchone()
    if row is None:
        raise LookupError(f"{table} is gone")
    _show(connection, row[0])


def drop(connection: Connection, tables: Iterable[str]) -> None:
    """Each in a transaction of its own, so that nobody waits for long."""
    for table in tables:
        with connection.transaction():
            connection.execute("delete from read.checkpoints where projection = %s", [table])
            connection.execute("delete from read.generations where table_name = %s", [table])
            connection.execute(sql.SQL("drop table if exists {}").format(identifier(table)))


def named(connection: Connection, projections: Iterable[str], state: State) -> list[str]:
    """Names of tables in this state, the newest first."""
    rows = connection.execute(
        "select table_name from read.generations where projection = any(%s) and state = %s order by number desc",
        [list(projections), state],
    )
    return [row[0] for row in rows]


def positions(connection: Connection, projections: Iterable[str]) -> Mapping[str, int]:
    """How far what is served of each projection has come."""
    rows = connection.execute(
        "select projection, position from read.serving where projection = any(%s)", [list(projections)]
    )
    return dict(rows.fetchall())


class Served(NamedTuple):
    table: str
    version: int


def served(connection: Connection, projection: Projection) -> Served | None:
    row = connection.execute(
        "select table_name, version from read.serving where projection = %s", [projection.name]
    ).fetchone()
    return Served(*row) if row else None


def lock_served(connection: Connection, projection: str) -> int | None:
    """The position of what is served, which cannot move until the transaction ends."""
    row = connection.execute(
        """select c.position from read.checkpoints c join read.generations g on g.table_name = c.projection
            where g.projection = %s and g.state = 'serving' for update of c""",
        [projection],
    ).fetchone()
    return row[0] if row else None


def lock(connection: Connection, table: str) -> int | None:
    row = connection.execute(
        "select position from read.checkpoints where projection = %s for update", [table]
    ).fetchone()
    return row[0] if row else None


def place(connection: Connection, table: str, position: int) -> None:
    """The first checkpoint of a table."""
    connection.execute("insert into read.checkpoints (projection, position) values (%s, %s)", [table, position])


def create(connection: Connection, table: str) -> None:
    connection.execute(
        sql.SQL(
            """create table {} (
                patient_id uuid not null, through_position bigint not null, key_id uuid not null,
                body bytea storage external not null, clear jsonb not null)"""
        ).format(identifier(table))
    )


def index(connection: Connection, table: str) -> None:
    """After filling: an index that grows row by row is dearer than one made at once."""
    name = sql.Identifier(f"{table}_clear")
    for statement in (
        sql.SQL("alter table {table} add primary key (patient_id)"),
        sql.SQL("create index {name} on {table} using gin (clear jsonb_path_ops)"),
        sql.SQL("analyze {table}"),
    ):
        connection.execute(statement.format(table=identifier(table), name=name))


def identifier(table: str) -> sql.Identifier:
    return sql.Identifier("read", table)


def _register(connection: Connection, projection: Projection, table: str, state: State) -> None:
    connection.execute(
        "insert into read.generations (table_name, projection, version, state) values (%s, %s, %s, %s)",
        [table, projection.name, projection.version, state],
    )


def _has_view(connection: Connection, projection: str) -> bool:
    row = connection.execute("select to_regclass(%s)", [f"read.{projection}"]).fetchone()
    return row is not None and row[0] is not None


def _show(connection: Connection, projection: str) -> None:
    """The view that readers see. Replacing it waits for readings under way and holds new ones up for a moment."""
    row = connection.execute(
        "select table_name, version from read.serving where projection = %s", [projection]
    ).fetchone()
    if row is None:
        raise LookupError(f"nothing is served of {projection}")
    connection.execute(
        sql.SQL(
            """create or replace view {} as
               select patient_id, through_position, key_id, body, clear, {}::integer as version from {}"""
        ).format(identifier(projection), sql.Literal(row[1]), identifier(row[0]))
    )
