"""The process that carries out what is due: what it does in a round, what it refuses, and what it tells."""

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from domain.retention import LiftRetentionHold, PlaceRetentionHold
from infra.__main__ import cli
from infra.custody import destruction, holds
from infra.custody.agreement import Unapplied, refuse_unapplied
from infra.custody.ledger import Destruction, Ledger, LedgerBroken
from infra.custody.rotation import CustodyRefused
from infra.custody.running import Custody, Measurements
from infra.keys import FileKeyProvider, KeyRing
from infra.settings import Role
from infra.writing.log import Log
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.custody import REASON, agreed, carried_out, ledger_in
from tests.works import CARE_PLAN_NEED, aside, called, work

pytestmark = pytest.mark.postgres

NUMBERS = ("111111", "222222", "333333")
A_WEEK = timedelta(days=7)


def one(database: Database, query: str, *given: Any) -> Any:
    with database.connect("auditor") as auditor:
        row = auditor.execute(query, given).fetchone()
    return row[0] if row else None


@pytest.fixture
def people(database: Database, writer: Writer) -> list[UUID]:
    """Three, each named by a message that was set aside."""
    found = []
    for number in NUMBERS:
        writer.submit(work(number, CARE_PLAN_NEED, patient=called(number)))
        writer.submit(aside(number, "", "held")._replace(key=f"aside-{number}".encode(), raw=number.encode()))
        digest = database.keys.identifier_digest(called(number).identifiers[0])
        found.append(one(database, "select patient_id from log.identifiers where digest = %s", digest))
    return found


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def custody(database: Database, tmp_path: Path, registry: CollectorRegistry) -> Custody:
    ledger = ledger_in(tmp_path, database)
    return Custody(lambda: database.connect("shredder"), database.keys, ledger, Measurements(registry), 0.05)


def left(database: Database) -> int:
    found = one(database, "select count(*) from log.keys")
    assert isinstance(found, int)
    return found


def runs(custody: Custody) -> None:
    """As the process does, until its first round is over."""
    stops = iter((False, False))
    custody.run(lambda: next(stops, True))


def test_what_is_due_is_carried_out_and_nothing_else(
    database: Database, people: list[UUID], custody: Custody, registry: CollectorRegistry
) -> None:
    first, second, third = people
    agreed(database, first)
    agreed(database, second, A_WEEK)
    with database.connect("custodian") as custodian:
        destruction.request(custodian, database.keys, third, REASON, "records.officer")
    with closing(custody.connect()) as connection:
        done = custody.round(connection)
        assert ([each.patient_id for each in done.done], done.refused, done.renewed) == ([first], [], (1, 2))
        again = custody.round(connection)
    assert (again.done, again.refused, again.renewed) == ([], [], (0, 0))
    assert left(database) == 2
    assert one(database, "select count(*) from log.monthly_keys where state <> 'open'") == 0
    told = {name: registry.get_sample_value(name) for name in ("destructions_open", "destructions_due")}
    assert told == {"destructions_open": 2, "destructions_due": 0}
    assert registry.get_sample_value("destructions_carried_out_total") == 1
    assert registry.get_sample_value("custody_round_timestamp_seconds") is not None


def test_what_is_refused_is_overdue_and_keeps_nothing_else_back(
    database: Database, people: list[UUID], custody: Custody, writer: Writer, registry: CollectorRegistry
) -> None:
    """A hold was placed after two people had agreed."""
    agreed(database, people[0])
    agreed(database, people[1])
    holds.note(writer, people[0], PlaceRetentionHold(hold="claim"), "records.officer")
    with closing(custody.connect()) as connection:
        found = custody.round(connection)
        assert [each.patient_id for each in found.done] == [people[1]]
        assert [(each.patient_id, each.reason) for each in found.refused] == [
            (people[0], "a retention hold stands; lift it first")
        ]
        assert registry.get_sample_value("destructions_due") == 1
        assert (registry.get_sample_value("destructions_overdue_seconds") or 0) > 0
        holds.note(writer, people[0], LiftRetentionHold(hold="claim"), "records.officer")
        assert [each.patient_id for each in custody.round(connection).done] == [people[0]]
    assert registry.get_sample_value("destructions_overdue_seconds") == 0


def test_the_process_goes_on_until_it_is_told_to_stop(database: Database, people: list[UUID], custody: Custody) -> None:
    for each in people:
        agreed(database, each)
    runs(custody)
    assert left(database) == 0


def test_one_leads_and_another_takes_over(database: Database, people: list[UUID], custody: Custody) -> None:
    agreed(database, people[0])
    with closing(custody.connect()) as leader:
        leader.execute("select pg_advisory_lock(7305550319)")
        stops = iter((False, False))
        custody.run(lambda: next(stops, True))
        assert left(database) == 3
    runs(custody)
    assert left(database) == 2


class Cut(Exception):
    """As when the process ends."""


class CutLedger(Ledger):
    """Of a process that ends when the line is written and nothing is committed."""

    def add(self, told: Destruction) -> None:
        super().add(told)
        raise Cut


def test_cut_short_between_ledger_and_database_it_goes_on(
    database: Database, people: list[UUID], custody: Custody
) -> None:
    agreed(database, people[0])
    agreed(database, people[1])
    custody.ledger = CutLedger(custody.ledger.path, database.keys.provider)
    with closing(custody.connect()) as connection, pytest.raises(Cut):
        custody.round(connection)
    assert left(database) == 3
    with database.connect("reader") as reader, pytest.raises(Unapplied):
        refuse_unapplied(reader, custody.ledger)
    custody.ledger = Ledger(custody.ledger.path, database.keys.provider)
    with closing(custody.connect()) as connection:
        assert {each.patient_id for each in custody.round(connection).done} == {*people[:2]}
    assert sorted(each.patient_id for each in custody.ledger.destructions()) == sorted(map(str, people[:2]))
    with database.connect("reader") as reader:
        refuse_unapplied(reader, custody.ledger)


def test_a_ledger_that_is_behind_is_not_written_to(
    database: Database, people: list[UUID], custody: Custody, registry: CollectorRegistry
) -> None:
    """Someone has put an old copy in its place."""
    ledger = custody.ledger
    old = b""
    for each in people[:2]:
        old = ledger.path.read_bytes() if ledger.path.exists() else b""
        agreed(database, each)
        carried_out(database, ledger, each)
    newest = ledger.path.read_bytes()
    agreed(database, people[2])
    ledger.path.write_bytes(old)
    runs(custody)
    assert registry.get_sample_value("custody_refused") == 1
    assert registry.get_sample_value("destructions_due") == 1
    assert (left(database), ledger.path.read_bytes()) == (1, old)
    with pytest.raises(LedgerBroken, match="lacks 1 destructions"):
        carried_out(database, ledger, people[2])
    ledger.path.write_bytes(newest)
    runs(custody)
    assert registry.get_sample_value("custody_refused") == 0
    assert left(database) == 0


def test_a_database_that_is_behind_is_not_destroyed_in(
    database: Database, people: list[UUID], custody: Custody
) -> None:
    agreed(database, people[0])
    agreed(database, people[1])
    carried_out(database, custody.ledger, people[0])
    with database.connect("owner") as owner:
        owner.execute("delete from log.destructions where patient_id = %s", [people[0]])
    with closing(custody.connect()) as connection, pytest.raises(Unapplied):
        custody.round(connection)


@pytest.mark.parametrize("column", ["patient_id", "key_id"])
def test_a_ledger_that_tells_otherwise_is_refused(
    database: Database, people: list[UUID], custody: Custody, column: str
) -> None:
    agreed(database, people[0])
    carried_out(database, custody.ledger, people[0])
    with database.connect("reader") as reader:
        refuse_unapplied(reader, custody.ledger)
        with database.connect("owner") as owner:
            owner.execute(f"update log.destructions set {column} = %s", [uuid4()])
        with pytest.raises(LedgerBroken, match="tells otherwise"):
            refuse_unapplied(reader, custody.ledger)


def test_the_role_can_ask_for_nothing_and_confirm_nothing(database: Database, people: list[UUID]) -> None:
    with database.connect("shredder") as shredder, pytest.raises(Exception, match="permission denied"):
        destruction.request(shredder, database.keys, people[0], REASON, "ann")


@pytest.fixture
def site(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Database, UUID]:
    """A development system whose settings the commands will find, with one destruction that is due."""
    key_file = tmp_path / "keys.json"
    FileKeyProvider.generate(key_file)
    keys = KeyRing(FileKeyProvider(key_file))
    ours = database._replace(keys=keys)
    given = {"ENVIRONMENT": "development", "DATA_DIR": str(tmp_path), "KEY_FILE": str(key_file)}
    urls = {f"DATABASE_URL_{role.upper()}": database.url(role) for role in Role}
    for name, value in (given | urls).items():
        monkeypatch.setenv(name, value)
    with closing(Writer(Log(lambda: database.connect("writer"), keys), keys)) as writer:
        writer.submit(work("1", CARE_PLAN_NEED))
    patient_id = one(database, "select patient_id from log.keys")
    agreed(ours, patient_id)
    return ours, patient_id


def test_the_command_carries_out_once(site: tuple[Database, UUID]) -> None:
    database, patient_id = site
    done = CliRunner().invoke(cli, ["keys", "run", "--once", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert ([each["patient_id"] for each in told["done"]], told["refused"]) == ([str(patient_id)], [])
    assert told["renewed"] == {"months": 0, "messages": 0}
    again = CliRunner().invoke(cli, ["keys", "run", "--once"], catch_exceptions=False)
    assert "0 destructions were carried out; 0 are due and refused." in again.output
    assert left(database) == 0


def test_the_command_says_what_is_refused(site: tuple[Database, UUID]) -> None:
    database, patient_id = site
    with closing(Writer(database.log(), database.keys)) as writer:
        holds.note(writer, patient_id, PlaceRetentionHold(hold="claim"), "records.officer")
    done = CliRunner().invoke(cli, ["keys", "run", "--once"], catch_exceptions=False)
    assert done.exit_code == 1
    assert f"{patient_id}: a retention hold stands; lift it first" in " ".join(done.output.split())


def test_nobody_asks_while_the_ledger_is_behind(site: tuple[Database, UUID], tmp_path: Path) -> None:
    CliRunner().invoke(cli, ["keys", "run", "--once"], catch_exceptions=False)
    (tmp_path / "destructions.jsonl").unlink()
    with pytest.raises((LedgerBroken, CustodyRefused), match="lacks 1 destructions"):
        CliRunner().invoke(cli, ["keys", "destroy", str(uuid4()), "--reason", "x"], catch_exceptions=False)
