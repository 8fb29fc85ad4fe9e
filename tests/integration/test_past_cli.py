"""An auditor's questions from the command line, answered and noted like those over HTTP."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from typer.testing import CliRunner, Result

from domain.care_plan import NeedRaised, NeedResolved
from domain.facts import CARE_PLAN
from domain.times import on
from projections.__main__ import cli
from tests.api_world import World, world_of
from tests.conftest import Database

pytestmark = pytest.mark.postgres


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("DATABASE_URL_AUDITOR", database.url("auditor"))
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "keys.json"))
    monkeypatch.setenv("ENVIRONMENT", "development")
    with world_of(database, tmp_path) as made:
        yield made


def ask(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def answer(*words: object) -> Any:
    asked = ask(*words, "--json")
    assert asked.exit_code == 0, asked.output
    return orjson.loads(asked.stdout)


def test_the_past_is_replayed_compared_and_explained(world: World, maria: UUID) -> None:
    before = world.tell((CARE_PLAN, NeedRaised(need="1", concern="money")))
    after = world.tell((CARE_PLAN, NeedResolved(need="1", outcome="better")), occurred=on(date(2026, 5, 1)))
    assert answer("replay", maria)["needs"][0]["status"]["value"] == "resolved"
    assert answer("replay", maria, "--known-at", before)["needs"][0]["status"]["value"] == "raised"
    assert answer("replay", maria, "--as-of", "2026-04-01")["needs"][0]["status"]["value"] == "raised"
    changed = answer("diff", maria, "--from", before, "--to", after)
    assert {"pointer": "/needs/0/outcome", "before": "not-recorded", "after": "better"} in changed
    why = answer("why", maria, "/needs/0/concern")
    assert (why["answer"], why["event"]["position"]) == ("recorded", before)
    assert answer("steps", maria)[-1]["position"] == after
    for words in (["replay"], ["diff"], ["why", "/needs/0"], ["steps"]):
        shown = ask(words[0], maria, *words[1:])
        assert shown.exit_code == 0, shown.output
        assert "money" in shown.output or "better" in shown.output


def test_each_question_is_in_the_access_log(world: World, maria: UUID) -> None:
    answer("replay", maria)
    answer("why", maria, "/needs")
    assert ask("replay", uuid4()).exit_code == 1
    with world.database.connect("auditor") as connection:
        rows = connection.execute(
            """select projection, role, outcome, purpose from access.reads
                where actor like 'operator/%' order by access_id"""
        ).fetchall()
    assert rows == [
        ("replay", "auditor", "read", "clinical-audit"),
        ("why", "auditor", "read", "clinical-audit"),
        ("replay", "auditor", "refused", "clinical-audit"),
    ]


def test_what_cannot_be_answered_is_said_in_a_line(world: World, maria: UUID) -> None:
    assert "no such patient" in str(ask("replay", uuid4()).exception)
    assert ask("why", maria, "needs").exit_code == 2
    assert ask("replay", maria, "--known-at", "yesterday").exit_code == 2
