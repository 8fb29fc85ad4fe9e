"""Each role tries each verb on each table, and each function: what is not in these tables is refused."""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Database
from tests.works import CARE_PLAN_NEED, work

pytestmark = pytest.mark.postgres

SERVICES = ("writer", "projector", "reader", "auditor", "custodian", "sealer", "shredder")
ROLES = ("owner", *SERVICES)
EVERYTHING = "select insert update delete truncate"
OF_THE_READ_SIDE = ("read.checkpoints", "read.generations", "read.halts", "read.parked", "read.serving")
# A view that is a join refuses changes by what it is, before anyone's rights are looked at.
JOIN = {"read.serving": "select insert update delete"}
OWN_SCHEMA = dict.fromkeys(OF_THE_READ_SIDE, EVERYTHING) | JOIN
LOG = (
    "destructions", "ended_month_keys", "epoch", "events", "identifiers", "keys", "library_events", "library_tracking",
    "merges", "monthly_keys", "offsets", "raw_messages", "receipts", "rejected", "retired_key_versions", "suppressed",
)  # fmt: skip
EVIDENCE = ("log.checkpoints", "log.heads", "log.tiles")
HEADS = ("log.heads_index", "log.patient_heads")
RULES = "log.custody_rules"

PROJECTORS = ("destructions", "epoch", "events", "keys", "merges")
READERS = ("destructions", "epoch", "events", "identifiers", "keys", "merges", "rejected")
SHREDDERS = ("destructions", "epoch", "events", "keys", "merges", "monthly_keys", "raw_messages", "receipts")
NOT_THE_CUSTODIANS = ("library_events", "library_tracking", "offsets")

# Verbs that the database lets through; nothing is said of what a constraint then refuses.
MAY: dict[str, dict[str, str]] = {
    # The owner migrates; even so, what was recorded stays. It owns the view too, but a view of events changes events.
    "owner": dict.fromkeys((f"log.{name}" for name in LOG), EVERYTHING)
    | OWN_SCHEMA
    | dict.fromkeys(("access.sealed", RULES, *HEADS), EVERYTHING)
    | dict.fromkeys(
        ("log.events", "log.library_events", "log.merges", "access.reads", "access.leaves", *EVIDENCE), "select insert"
    ),
    "writer": dict.fromkeys((f"log.{name}" for name in LOG if name != "retired_key_versions"), "select")
    | {"log.library_tracking": "select insert update"},
    "projector": dict.fromkeys(
        (f"log.{name}" for name in ("destructions", "epoch", "events", "keys", "merges")), "select"
    )
    | OWN_SCHEMA,
    "reader": dict.fromkeys((f"log.{name}" for name in READERS), "select")
    | dict.fromkeys((*OF_THE_READ_SIDE, "access.leaves", *EVIDENCE, *HEADS), "select")
    | JOIN
    | {"access.reads": "select insert"},
    "auditor": dict.fromkeys((f"log.{name}" for name in LOG if not name.startswith("library")), "select")
    | dict.fromkeys(("access.leaves", "access.sealed", RULES, *OF_THE_READ_SIDE, *EVIDENCE, *HEADS), "select")
    | JOIN
    | {"access.reads": "select insert"},
    "custodian": dict.fromkeys((f"log.{name}" for name in LOG if name not in NOT_THE_CUSTODIANS), "select")
    | {RULES: "select"},
    "shredder": dict.fromkeys((f"log.{name}" for name in SHREDDERS), "select"),
    # Of events and sealed accesses it may read leaves and their places alone, which is not everything.
    "sealer": {"log.epoch": "select"}
    | dict.fromkeys(EVIDENCE, "select insert")
    | dict.fromkeys(HEADS, "select insert update"),
}
CUSTODY = """confirm_destruction destroy_key end_month_key expire_months key_version purge_copies replace_month_key
             request_destruction reseal retire_key_version rewrap withdraw_destruction"""
MAY_CALL: dict[str, set[str]] = {
    "writer": {"append", "append_library_events", "discard", "monthly_key", "person_of"},
    "projector": {"person_of", "position_at"},
    "reader": {"person_of", "position_at", "tile_hashes"},
    "auditor": {"access_leaf", "leaf", "person_of", "position_at", "tile_hashes", "told"},
    "custodian": set(CUSTODY.split()),
    "sealer": {"seal_accesses", "tile_hashes"},
    "shredder": {"destroy_key", "end_month_key", "purge_copies", "replace_month_key", "reseal"},
}


@pytest.fixture
def filled(database: Database, writer: Any) -> Database:
    """One event, one merge, one access by the reader, and what proves them, so that rows are there to be changed."""
    writer.submit(work("1", CARE_PLAN_NEED))
    with database.connect("owner") as owner:
        owner.execute("insert into log.merges values (1, gen_random_uuid(), gen_random_uuid(), true)")
    with database.connect("reader") as reader:
        reader.execute("insert into access.reads (actor, role, purpose, outcome) values ('a', 'auditor', 'p', 'ok')")
    with database.connect("sealer") as sealer:
        sealer.execute("select log.seal_accesses()")
        sealer.execute("insert into log.tiles values ('events', 0, 0, %s, %s)", [bytes(32), bytes(8192)])
        sealer.execute("insert into log.checkpoints values ('events', 'o', 1, '', '')")
        sealer.execute("insert into log.heads values ('o', 1, '', '')")
    return database


def relations(database: Database) -> dict[str, str]:
    """Every table and view of our schemas with one of its columns."""
    with database.connect("owner") as owner:
        rows = owner.execute(
            """select n.nspname || '.' || c.relname, min(a.attname::text)
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
                where n.nspname in ('log', 'access', 'read') and c.relkind in ('r', 'v', 'm', 'p', 'f') and a.attnum > 0
                group by 1"""
        )
        return dict(rows.fetchall())


def statement(verb: str, relation: str, column: str) -> sql.Composed:
    texts = {
        "select": "select * from {relation} limit 0",
        "insert": "insert into {relation} default values",
        "update": "update {relation} set {column} = default",
        "delete": "delete from {relation}",
        "truncate": "truncate {relation}",
    }
    return sql.SQL(texts[verb]).format(relation=sql.Identifier(*relation.split(".")), column=sql.Identifier(column))


def is_allowed(connection: "psycopg.Connection[Any]", tried: sql.Composed) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(tried)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType):
        return False
    except (psycopg.errors.IntegrityError, psycopg.errors.ObjectNotInPrerequisiteState):
        return True  # let through by the rights, and then refused by a constraint
    return True


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_must_and_nothing_else(filled: Database, role: str) -> None:
    found: dict[str, str] = {}
    with filled.connect(role) as connection:
        for relation, column in relations(filled).items():
            verbs = [v for v in EVERYTHING.split() if is_allowed(connection, statement(v, relation, column))]
            if verbs:
                found[relation] = " ".join(verbs)
    assert found == MAY[role]


@pytest.mark.parametrize("table", ["log.events", "access.reads"])
@pytest.mark.parametrize("verb", ["update", "delete", "truncate"])
def test_the_owner_is_told_that_the_log_is_append_only(filled: Database, table: str, verb: str) -> None:
    with filled.connect("owner") as owner, pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        owner.execute(statement(verb, table, relations(filled)[table]))


def test_a_sealer_sees_hashes_and_whose_they_are_and_nothing_else(filled: Database) -> None:
    seen = set()
    with filled.connect("sealer") as sealer:
        for table, column in (("log.events", "leaf_hash"), ("access.leaves", "leaf_hash")):
            for name in columns(filled, table):
                if is_allowed(sealer, sql.SQL(f"select {name} from {table} limit 0").format()):
                    seen.add(f"{table}.{name}")
            assert f"{table}.{column}" in seen
    both = {f"{table}.{name}" for table in ("log.events", "access.leaves") for name in ("position", "leaf_hash")}
    assert seen == both | {"log.events.patient_id", "log.events.patient_seq"}


def columns(database: Database, table: str) -> list[str]:
    with database.connect("owner") as owner:
        cursor = owner.execute(sql.SQL("select * from {} limit 0").format(sql.Identifier(*table.split("."))))
        return [each.name for each in cursor.description or ()]


def test_a_reader_cannot_backdate_an_access(filled: Database) -> None:
    with filled.connect("reader") as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("insert into access.reads (actor, role, purpose, outcome, at) values ('', '', '', '', now())")


@pytest.mark.parametrize("role", SERVICES)
def test_a_role_calls_the_functions_it_needs_and_no_other(database: Database, role: str) -> None:
    with database.connect(role) as connection:
        rows = connection.execute(
            """select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                where n.nspname in ('log', 'access', 'read') and has_function_privilege(p.oid, 'execute')"""
        )
        assert {row[0] for row in rows} == MAY_CALL[role]


@pytest.mark.parametrize("role", SERVICES)
def test_only_the_writer_appends(filled: Database, role: str) -> None:
    call = f"select answer from log.append(3, '{{}}'{', null' * 27})"
    with filled.connect(role) as connection:
        if role == "writer":
            assert connection.execute(call).fetchone() == ("appended",)
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(call)


@pytest.mark.parametrize("role", SERVICES)
def test_a_service_makes_nothing_outside_its_own_schema(database: Database, role: str) -> None:
    things = ("table {}.x (y integer)", "view {}.x as select 1 as y", "function {}.x() returns int return 1")
    made = set()
    with database.connect(role) as connection:
        for schema in ("log", "access", "read", "public"):
            creations = (sql.SQL("create " + thing).format(sql.Identifier(schema)) for thing in things)
            if any(is_allowed(connection, creation) for creation in creations):
                made.add(schema)
    assert made == ({"read"} if role == "projector" else set())


@pytest.mark.parametrize("role", SERVICES)
def test_a_service_cannot_become_another(database: Database, role: str) -> None:
    with database.connect(role) as connection:
        for other in {*ROLES} - {role}:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("set role {}").format(sql.Identifier(other)))
