"""An auditor's questions from the command line, answered and noted like those over HTTP."""

import sys
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
from infra.keys import FileKeyProvider
from projections.__main__ import cli, main
from tests.api_world import World, world_of
from tests.conftest import Database
from tests.custody import destroyed

pytestmark = pytest.mark.postgres
AS_OF = ["--as-of", "2026-04-01"]
AWAY = "postgresql://someone@127.0.0.1:1/nowhere"


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


def need_of(told: Any) -> tuple[object, ...]:
    status = told["document"]["needs"][0]["status"]["value"]
    return told["projection"], told["position"], told["as_of"], told["destroyed"], status


def test_the_past_is_replayed_compared_and_explained(world: World, maria: UUID) -> None:
    before = world.tell((CARE_PLAN, NeedRaised(need="1", concern="money")))
    after = world.tell((CARE_PLAN, NeedResolved(need="1", outcome="better")), occurred=on(date(2026, 5, 1)))
    assert [need_of(answer("replay", maria, *moment)) for moment in ([], ["--known-at", before], AS_OF)] == [
        ("plan", after, None, 0, "resolved"),
        ("plan", before, None, 0, "raised"),
        ("plan", after, "2026-04-01", 0, "raised"),
    ]
    told = answer("diff", maria, "--from", before, "--to", after)
    assert (told["from"]["position"], told["to"]["position"]) == (before, after)
    assert {"pointer": "/needs/0/outcome", "before": "not-recorded", "after": "better"} in told["changes"]
    why = answer("why", maria, "/needs/0/concern")
    assert (why["position"], why["answer"], why["event"]["position"]) == (after, "recorded", before)
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


def test_what_was_destroyed_does_not_look_as_if_nobody_had_recorded_it(
    world: World, maria: UUID, tmp_path: Path
) -> None:
    world.tell((CARE_PLAN, NeedRaised(need="1", concern="budgerigars")))
    assert "destroyed" not in ask("replay", maria).output
    destroyed(world.database, tmp_path, maria)
    for words in (["replay"], ["diff"], ["why", "/needs/0/concern"]):
        shown = " ".join(ask(words[0], maria, *words[1:]).output.split())
        assert "events were destroyed with their key" in shown
        assert "budgerigars" not in shown
    assert "/needs/0/concern: destroyed" in ask("why", maria, "/needs/0/concern").output
    assert answer("replay", maria)["destroyed"] == answer("diff", maria)["destroyed"] > 0


def test_a_field_that_there_is_not_is_told_from_one_that_nobody_recorded(world: World, maria: UUID) -> None:
    assert "no-such-field" in ask("why", maria, "/contingency").output
    assert "not-recorded" in ask("why", maria, "/contingency_plan").output


@pytest.mark.parametrize("words", [["status"], ["parked", "list"], ["verify", "plan"], ["replay", str(uuid4())]])
@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ENVIRONMENT": "production"}, "must be set"),
        ({"ENVIRONMENT": "development"}, "nothing runs on"),
        ({"DATABASE_URL_PROJECTOR": AWAY, "DATABASE_URL_AUDITOR": AWAY}, "PostgreSQL does not answer"),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], told: str, words: list[str]
) -> None:
    FileKeyProvider.generate(tmp_path / "keys.json")
    for name, value in {"DATA_DIR": str(tmp_path), "KEY_FILE": str(tmp_path / "keys.json"), **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["projections", *words])
    with pytest.raises(SystemExit, match=f"^error: .*{told}"):
        main()


def test_what_cannot_be_answered_is_said_in_a_line(world: World, maria: UUID) -> None:
    assert "no such patient" in str(ask("replay", uuid4()).exception)
    assert ask("why", maria, "needs").exit_code == 2
    assert ask("replay", maria, "--known-at", "yesterday").exit_code == 2
