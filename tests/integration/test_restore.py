"""A base backup from before a destruction, restored: nothing is served until the ledger was applied to it, and then
nothing of that person can be read in the files of the database."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from consumers.pipeline import Pipeline, ingest
from domain.annotation import Destroyed
from infra.children import run_as, unprivileged_account
from infra.custody.agreement import Unapplied, refuse_unapplied
from infra.custody.reapplying import reapply
from infra.custody.renewal import renew
from infra.custody.rotation import rotate
from infra.foundations import prepare_database
from infra.keys import DataKey, FileKeyProvider, KeyRing, KeyUnusable
from infra.payloads import COLUMNS, recorded
from infra.postgres import EmbeddedPostgres
from infra.postgres_places import give, installed_wheel, reachable_programs
from infra.settings import DATABASE
from infra.writing.log import Log
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.live.engine import Engine
from tests.conftest import Database
from tests.custody import agreed, carried_out, ledger_in, unheard
from tests.events import NHS_NUMBER, binary, nhs_number

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

FAMILY, GIVEN, BORN, HOSPITAL_NUMBER = "Canaryvale", "Zephyrine", "1961-04-30", "HX7719305"
WORDS = "keeps seventeen budgerigars in Thornaby"
CANARIES = (FAMILY, GIVEN, BORN, BORN.replace("-", ""), NHS_NUMBER, HOSPITAL_NUMBER, WORDS, "budgerigars", "Thornaby")
OTHER = nhs_number(2)


def person(number: str | None, born: str = BORN) -> dict[str, object]:
    return {
        "nhs_number": number,
        "identifiers": [{"system": "mrn", "value": HOSPITAL_NUMBER if number == NHS_NUMBER else "HX0000001"}],
        "name": {"family": FAMILY if number == NHS_NUMBER else "Other", "given": [GIVEN]},
        "birth_date": born,
    }


def demographics(number: str | None) -> dict[str, object]:
    told = person(number)
    return {"patient": told, "fact": {"name": told["name"], "birth_date": BORN}}


class Site(NamedTuple):
    """A server of its own with its key file, and what stands outside both: the ledger."""

    database: Database
    key_file: Path
    folder: Path

    @property
    def data(self) -> Path:
        return self.database.server.folder / "cluster" / "data"


@pytest.fixture
def site(server_folder: Path) -> Iterator[Site]:
    server = EmbeddedPostgres(server_folder / "first", durable=False)
    with server:
        prepare_database(server)
        key_file = server_folder / "keys.json"
        FileKeyProvider.generate(key_file)
        yield Site(Database(server, DATABASE, KeyRing(FileKeyProvider(key_file))), key_file, server_folder)


def tell(database: Database) -> None:
    """She, someone else, and messages about her that are set aside; all folded."""
    words = {"heading": "what is important to me", "words": WORDS}
    unreadable = {"patient": person(NHS_NUMBER), "fact": {"heading": {"wrong": WORDS}}}
    messages = [
        binary("1", demographics(NHS_NUMBER), "patient.demographics-recorded.v1"),
        binary("2", {"patient": person(NHS_NUMBER), "fact": words}, "patient.about-me-written.v1"),
        binary("3", demographics(OTHER), "patient.demographics-recorded.v1"),
        binary("4", {"patient": person(NHS_NUMBER, "1950-01-01"), "fact": words}, "patient.about-me-written.v1"),
        binary("5", unreadable, "patient.about-me-written.v1"),
    ]
    with closing(Writer(Log(lambda: database.connect("writer"), database.keys), database.keys)) as writer:
        outcomes = [each.outcome for each in ingest(writer, Pipeline(database.keys), messages)]
    assert outcomes == ["recorded", "recorded", "recorded", "rejected", "rejected"]
    with closing(Engine(lambda: database.connect("projector"), database.keys, STORED)) as engine:
        engine.catch_up()


def base_backup(site: Site) -> Path:
    """A new DATA_DIR whose server starts from a base backup of this one."""
    account = unprivileged_account()
    programs = reachable_programs(installed_wheel(), account, Path("/var/lib/personalised-cancer-plan"))
    cluster = site.folder / "second" / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    for folder in (site.folder / "second", cluster.parent, cluster):
        folder.chmod(0o755)
        give(folder, account)
    url, target = site.database.server.url(), str(cluster / "data")
    made = run_as(
        account, [str(programs / "pg_basebackup"), f"--dbname={url}", f"--pgdata={target}", "--checkpoint=fast"]
    )
    assert made.returncode == 0, made.stderr
    (site.folder / "second" / "secrets").symlink_to(site.folder / "first" / "secrets")
    return site.folder / "second"


def readable(folder: Path) -> dict[str, set[str]]:
    """Which canaries stand in which files, in whatever case."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            for canary in CANARIES:
                if canary.lower().encode() in content:
                    found.setdefault(canary, set()).add(path.name)
    return found


def in_columns(database: Database) -> dict[str, str]:
    """The same in the values of all columns, which files may hold compressed."""
    found = {}
    with psycopg.connect(database.server.url(database=database.name)) as superuser:
        tables = superuser.execute(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            for (row,) in superuser.execute(sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))):
                for canary in CANARIES:
                    if canary.lower() in row.lower() or canary.encode().hex() in row:
                        found[canary] = f"{schema}.{table}"
    return found


def patient_of(database: Database, keys: KeyRing) -> tuple[UUID, UUID, bytes]:
    """Her id, her key's and her wrapped key."""
    with database.connect("auditor") as auditor:
        row = auditor.execute(
            """select k.patient_id, k.key_id, k.wrapped from log.keys k join log.events e using (patient_id)
                where e.type = 'patient.about-me-written.v1' limit 1""",
            binary=True,
        ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def events_of(database: Database, patient_id: UUID, key: Any) -> list[Any]:
    with database.connect("auditor") as auditor:
        rows = auditor.execute(
            f"select {COLUMNS} from log.events where patient_id = %b order by position", [patient_id], binary=True
        )
        return [type(recorded(row, key).fact) for row in rows]


def test_nothing_of_her_can_be_read_after_a_restore(site: Site) -> None:
    tell(site.database)
    patient_id, key_id, wrapped = patient_of(site.database, site.database.keys)
    second = base_backup(site)
    ledger = ledger_in(site.folder, site.database)
    agreed(site.database, patient_id)
    carried_out(site.database, ledger, patient_id)
    site.database.server.stop()
    assert readable(site.data) == {}

    with EmbeddedPostgres(second, durable=False) as server:
        keys = KeyRing(FileKeyProvider(site.key_file))
        restored = Database(server, DATABASE, keys)
        came_back, _, again = patient_of(restored, keys)
        assert (came_back, again) == (patient_id, wrapped), "the backup is not from before the destruction"
        for role in ("reader", "writer", "projector", "custodian"):
            with restored.connect(role) as connection, pytest.raises(Unapplied, match="reapply"):
                refuse_unapplied(connection, ledger)

        with restored.connect("owner") as owner:
            assert [each.was_here for each in reapply(owner, keys, ledger, unheard)] == [True]
            assert reapply(owner, keys, ledger, unheard) == []
        with restored.connect("reader") as reader:
            refuse_unapplied(reader, ledger)
        assert set(events_of(restored, patient_id, None)[:-1]) == {Destroyed}
        later = binary("6", demographics(NHS_NUMBER), "patient.demographics-recorded.v1")
        with closing(Writer(Log(lambda: restored.connect("writer"), keys), keys)) as writer:
            assert [each.outcome for each in ingest(writer, Pipeline(keys), [later])] == ["rejected"]
        assert in_columns(restored) == {}
        with restored.connect("custodian") as custodian:
            rotate(custodian, FileKeyProvider(site.key_file), unheard)

    data = second / "postgres" / "cluster" / "data"
    assert readable(data) == {}
    assert readable(second) == {}
    # Files may still hold the wrapped key; nothing is left that opens it.
    with pytest.raises(KeyUnusable, match="was retired"):
        FileKeyProvider(site.key_file).unwrap(wrapped, key_id.bytes)


def opened(raws: list[tuple[bytes, bytes]], keys: list[DataKey]) -> set[bytes]:
    """Receipts of the messages that one of these keys opens."""
    found = set()
    for receipt, sealed in raws:
        for key in keys:
            with suppress(KeyUnusable):
                key.open(sealed, receipt)
                found.add(receipt)
    return found


def keys_in(database: Database, provider: FileKeyProvider) -> list[DataKey]:
    """All that can be unwrapped of what a database holds."""
    ring, found = KeyRing(provider), []
    with database.connect("auditor") as auditor:
        rows = auditor.execute(
            "select key_id, wrapped from log.keys union all select key_id, wrapped from log.monthly_keys"
        )
        for key_id, wrapped in rows:
            with suppress(KeyUnusable):
                found.append(ring.unwrap(key_id, wrapped))
    return found


def raws_in(database: Database) -> list[tuple[bytes, bytes]]:
    with database.connect("auditor") as auditor:
        return auditor.execute("select receipt_key, sealed from log.raw_messages", binary=True).fetchall()


def test_messages_that_were_set_aside_cannot_be_read_in_a_backup_either(site: Site) -> None:
    """With all keys of today and the key file of today: by then nothing opens what came of her, whatever it was sealed
    under; other people's messages open, as a proof that the attempt is a good one."""
    tell(site.database)
    patient_id, _, _ = patient_of(site.database, site.database.keys)
    second, provider = base_backup(site), FileKeyProvider(site.key_file)
    before = raws_in(site.database)
    assert len(opened(before, keys_in(site.database, provider))) == 5
    agreed(site.database, patient_id)
    carried_out(site.database, ledger_in(site.folder, site.database), patient_id)
    with site.database.connect("custodian") as custodian:
        assert len(opened(before, keys_in(site.database, provider))) == 3, "the month's key still opens its two"
        renew(custodian, KeyRing(provider), unheard)
        today = keys_in(site.database, provider)
        rotate(custodian, provider, unheard)
    (others,) = [receipt for receipt, _ in raws_in(site.database)]
    site.database.server.stop()

    with EmbeddedPostgres(second, durable=False) as server:
        restored = Database(server, DATABASE, KeyRing(provider))
        raws = raws_in(restored)
        assert sorted(raws) == sorted(before), "the backup is not from before the destruction"
        assert opened(raws, today) == {others}
        assert keys_in(restored, provider) == [], "the rotation retired what wrapped the keys in the backup"


def test_the_search_finds_what_is_written_in_clear(site: Site) -> None:
    with site.database.connect("owner") as owner:
        owner.execute("create table public.note (words text)")
        owner.execute("insert into public.note values (%s)", [f"She {WORDS.upper()}, born {BORN}"])
    assert {"budgerigars", BORN} <= in_columns(site.database).keys()
    site.database.server.stop()
    assert {WORDS, BORN} <= readable(site.data).keys()
    assert FAMILY not in readable(site.data)
