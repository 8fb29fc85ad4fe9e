"""`python -m infra keys`: what operators type, and what they are told."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from domain.facts import PATIENT
from domain.patient import DemographicsRecorded, Name
from infra.__main__ import cli
from infra.custody.providers import ledger
from infra.custody.rotation import CustodyRefused
from infra.keys import FileKeyProvider, KeyRing
from infra.settings import Role, load_settings
from infra.writing.log import Log
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.works import CARE_PLAN_NEED, work

pytestmark = pytest.mark.postgres

BORN = DemographicsRecorded(name=Name(family="Specimen"), birth_date="1960-05-01")
WHY = "retention ended"


@pytest.fixture
def patient(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """One patient in a development system whose settings the commands will find."""
    key_file = tmp_path / "keys.json"
    FileKeyProvider.generate(key_file)
    given = {"ENVIRONMENT": "development", "DATA_DIR": str(tmp_path), "KEY_FILE": str(key_file)}
    urls = {f"DATABASE_URL_{role.upper()}": database.url(role) for role in Role}
    for name, value in (given | urls | {"DESTRUCTION_DELAY_HOURS": "0"}).items():
        monkeypatch.setenv(name, value)
    keys = KeyRing(FileKeyProvider(key_file))
    with closing(Writer(Log(lambda: database.connect("writer"), keys), keys)) as writer:
        writer.submit(work("1", (PATIENT, BORN), CARE_PLAN_NEED))
    with database.connect("auditor") as auditor:
        row = auditor.execute("select patient_id from log.keys").fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def said(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["keys", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def status() -> Any:
    return json.loads(said("status", "--json"))


def test_rotation_is_told_and_shown(patient: UUID) -> None:
    assert "Version 2 wraps all keys; 2 were wrapped anew. Retired: 1." in said("rotate")
    assert [(each["version"], each["state"], each["patients"], each["months"]) for each in status()["versions"]] == [
        ("2", "current", 1, 1),
        ("1", "retired", 0, 0),
    ]
    assert json.loads(said("rotate", "--json")) == {"version": "3", "rewrapped": 2, "retired": ["2"]}
    assert "retired" in said("status")


def test_two_people_destroy_a_key(patient: UUID) -> None:
    assert "Another person confirms" in said("destroy", patient, "--reason", WHY, "--by", "ann")
    with pytest.raises(CustodyRefused, match="another than the one who asked"):
        said("destroy", patient, "--confirm", "--by", "ann")
    assert status()["destructions"][0]["state"] == "waits for a second person"
    assert "Confirmed" in said("destroy", patient, "--confirm", "--by", "bob")
    assert "due" in said("status")
    assert "Destroyed, at position" in said("destroy", patient, "--carry-out")
    (done,) = status()["destructions"]
    assert (done["patient_id"], done["state"], done["requested_by"], done["confirmed_by"]) == (
        str(patient),
        "done",
        "ann",
        "bob",
    )
    assert [each.patient_id for each in ledger(load_settings()).destructions()] == [str(patient)]


def test_a_hold_is_placed_and_lifted(patient: UUID) -> None:
    assert "Recorded at position" in said("hold", patient, "inquiry-7", "--reason", "coroner")
    assert status()["held"] == 1
    assert said("hold", patient, "inquiry-7") == "It was so already."
    with pytest.raises(CustodyRefused, match="hold stands"):
        said("destroy", patient, "--reason", WHY)
    said("hold", patient, "inquiry-7", "--lift")
    assert status()["held"] == 0


@pytest.mark.parametrize("what", [[], ["--confirm", "--carry-out"], ["--reason", WHY, "--withdraw"]])
def test_one_thing_at_a_time(patient: UUID, what: list[str]) -> None:
    with pytest.raises(CustodyRefused, match="give one of"):
        said("destroy", patient, *what)


def test_migrating_applies_again_what_a_restore_brought_back(patient: UUID, database: Database) -> None:
    """As if the database were of before, with a ledger that knows more."""
    with database.connect("owner") as owner:
        owner.execute("create table public.before as select * from log.keys")
        owner.execute("create table public.named as select * from log.identifiers")
    said("destroy", patient, "--reason", WHY, "--by", "ann")
    said("destroy", patient, "--confirm", "--by", "bob")
    said("destroy", patient, "--carry-out")
    with database.connect("owner") as owner:
        owner.execute("delete from log.destructions")
        owner.execute("delete from log.suppressed")
        owner.execute("insert into log.keys select * from public.before")
        owner.execute("insert into log.identifiers select * from public.named")
    assert status()["unapplied"] == 1
    checked = CliRunner().invoke(cli, ["check", "--json"])
    found = {each["what"]: each["passed"] for each in json.loads(checked.output)}
    assert (found["destroyed keys"], found["retired keys"]) == (False, True)
    migrated = CliRunner().invoke(cli, ["migrate"], catch_exceptions=False)
    assert f"applied the destruction of key of patient {patient} again" in " ".join(migrated.output.split())
    assert status()["unapplied"] == 0
    with database.connect("auditor") as auditor:
        assert auditor.execute("select count(*) from log.keys").fetchone() == (0,)
        assert auditor.execute("select count(*) from log.suppressed").fetchone() == (1,)
    assert said("reapply", "--json") == "[]"


def test_keys_that_are_gone_or_do_not_open_are_told_from_those_that_were_destroyed(
    patient: UUID, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def checked() -> tuple[bool, str]:
        found = json.loads(CliRunner().invoke(cli, ["check", "--json"]).output)
        return next((each["passed"], each["detail"]) for each in found if each["what"] == "patients' keys")

    with database.connect("owner") as owner:
        owner.execute("insert into log.patient_heads values (%s, 1, %s)", [patient, bytes(32)])
        assert checked() == (True, "of 1 people, none missing")
        owner.execute("create table public.before as select * from log.keys")
        owner.execute("delete from log.keys")
        assert checked()[0] is False
        assert "nobody destroyed them" in checked()[1]
        owner.execute("insert into log.keys select * from public.before")
    with monkeypatch.context() as wrong:
        FileKeyProvider.generate(tmp_path / "of another installation")
        wrong.setenv("KEY_FILE", str(tmp_path / "of another installation"))
        assert checked() == (False, "a sealed value does not open: wrong key, wrong place, or altered")
    said("destroy", patient, "--reason", WHY, "--by", "ann")
    said("destroy", patient, "--confirm", "--by", "bob")
    said("destroy", patient, "--carry-out")
    assert checked() == (True, "of 0 people, none missing")


def test_keys_of_months_end_as_a_whole(patient: UUID, database: Database) -> None:
    aside = "insert into log.raw_messages (receipt_key, key_id, sealed) select %s, key_id, '' from log.monthly_keys"
    rejected = """insert into log.rejected (rejected_id, receipt_key, coordinates, reasons)
                  values (gen_random_uuid(), 'old', '', '[]')"""
    with database.connect("owner") as owner:
        owner.execute(aside, [b"now"])
        owner.execute("insert into log.monthly_keys values (gen_random_uuid(), '2020-02-01', 'x')")
        owner.execute(aside + " where month = '2020-02-01'", [b"old"])
        owner.execute(rejected)
    for too_soon in ("2999-01", "later"):
        with pytest.raises(CustodyRefused, match=r"this month|such as"):
            said("expire", "--before", too_soon)
    assert json.loads(said("expire", "--before", "2020-02", "--json")) == {"months": 0, "messages": 0}
    with pytest.raises(CustodyRefused, match="1 messages of those months wait"):
        said("expire", "--before", "2020-03")
    with database.connect("owner") as owner:
        owner.execute("update log.rejected set state = 'discarded'")
    assert said("expire", "--before", "2020-03") == "1 months' keys ended, and 1 messages with them."
    with database.connect("auditor") as auditor:
        kept = auditor.execute(
            "select receipt_key from log.raw_messages where key_id in (select key_id from log.monthly_keys)"
        )
        assert [row[0] for row in kept] == [b"now"]


def test_in_production_the_owners_delay_is_the_least(
    database: Database, patient: UUID, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever confirms asks for none, as the other tests do in development."""
    with monkeypatch.context() as owners:
        owners.setenv("ENVIRONMENT", "production")
        owners.setenv("DESTRUCTIONS_FILE", str(tmp_path / "destructions.jsonl"))
        owners.setenv("DESTRUCTION_DELAY_HOURS", "48")
        assert CliRunner().invoke(cli, ["migrate"], catch_exceptions=False).exit_code == 0
    said("destroy", patient, "--reason", WHY, "--by", "anna")
    assert "It may be carried out from" in said("destroy", patient, "--confirm", "--by", "bert")
    [asked] = status()["destructions"]
    assert datetime.fromisoformat(asked["due_at"]) > datetime.now(UTC) + timedelta(hours=47)
    with database.connect("auditor") as auditor:
        assert auditor.execute("select least_delay from log.custody_rules").fetchone() == (timedelta(hours=48),)
