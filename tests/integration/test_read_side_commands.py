"""`python -m projections`, as operators call it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from projections.__main__ import cli
from projections.tables import parking
from tests.conftest import Database
from tests.rebuilding import Site, site_of

pytestmark = pytest.mark.postgres


class Terminal:
    def __init__(self, site: Site) -> None:
        self.site = site

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, words, env={"COLUMNS": "200"})

    def json(self, *words: str) -> Any:
        return orjson.loads(self.run(*words, "--json").stdout)


@pytest.fixture
def terminal(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    with site_of(database, tmp_path) as site:
        told = {"ENVIRONMENT": "development", "DATA_DIR": str(tmp_path), "KEY_FILE": str(site.key_file)}
        for name, value in (told | {"DATABASE_URL_PROJECTOR": site.tools.database_url}).items():
            monkeypatch.setenv(name, value)
        site.tell(3)
        site.catch_up()
        yield Terminal(site)


def park_all(site: Site, reason: str = "Test") -> None:
    with site.tools.connect() as connection:
        rows = connection.execute("select distinct patient_id from log.events order by 1").fetchall()
        parking.park(connection, [parking.Failure(row[0], 3, reason) for row in rows])


def test_status_tells_how_everything_stands(terminal: Terminal) -> None:
    terminal.site.tell(1)
    told = terminal.json("status")
    plan = next(each for each in told["projections"] if each["projection"] == "plan")
    assert (plan["table"], plan["position"], plan["behind"], plan["leader"]) == ("plan_v1", 9, 1, None)
    assert plan["seconds"] > 0
    shown = terminal.run("status").stdout
    assert "plan_v1" in shown
    assert "nobody" in shown


def test_a_rebuild_its_way_back_and_its_end(terminal: Terminal) -> None:
    report = terminal.json("rebuild", "plan")
    assert report["persons"] == 3
    assert terminal.json("rebuild", "plan", "--back") == {"served_again": ["plan_v1"]}
    assert terminal.json("rebuild", "plan", "--drop-old") == {"dropped": [report["tables"]["plan"]]}
    refused = terminal.run("rebuild", "plan", "--back")
    assert refused.exit_code == 1
    assert "no earlier table of plan is kept" in str(refused.exception)


@pytest.mark.parametrize("whom", [["--all"], ["--reason", "Test"]])
def test_people_are_tried_again_together(terminal: Terminal, whom: list[str]) -> None:
    park_all(terminal.site)
    assert len(terminal.json("parked", "list")) == 3
    assert terminal.json("parked", "retry", *whom) == {"retried": 3, "failed": {}}
    assert terminal.json("parked", "list") == []


def test_another_reason_is_left_alone(terminal: Terminal) -> None:
    park_all(terminal.site)
    assert terminal.json("parked", "retry", "--reason", "Other")["retried"] == 0
    assert terminal.run("parked", "retry").exit_code == 2


def test_whose_fold_still_fails_stays_held_back(terminal: Terminal) -> None:
    park_all(terminal.site)
    with terminal.site.database.connect("owner") as owner:
        first = "select patient_id from log.keys order by 1 limit 1"
        owner.execute(f"update log.keys set wrapped = '\\x00' where patient_id = ({first})")
    retried = terminal.run("parked", "retry", "--all")
    assert retried.exit_code == 1
    assert "Served again: 2; still held back: 1." in retried.stdout
    assert [each["attempts"] for each in terminal.json("parked", "list")] == [2]
