"""Someone whose key was destroyed, over HTTP: to auditors a trail of tombstones, to everyone else nobody."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from tests.api_world import BORN, MARIA, World
from tests.custody import REASON, destroyed

pytestmark = pytest.mark.postgres


@pytest.fixture
def gone(world: World, tmp_path: Path) -> UUID:
    maria = world.register(MARIA, "Specimen")
    world.tell((CARE_PLAN, NeedRaised(need="1", concern="budgerigars")))
    world.fold()
    assert world.get(f"/v1/patients/{maria}/plan", world.staff()).status_code == 200
    destroyed(world.database, tmp_path, maria)
    return maria


@pytest.mark.parametrize("is_folded", [False, True])
def test_nobody_reads_a_document(world: World, gone: UUID, is_folded: bool) -> None:
    """At once, whether or not the read side has come so far."""
    if is_folded:
        world.fold()
    for who in (world.staff(), world.patient(), world.staff("auditor")):
        for path in ("", "/plan", "/record"):
            answer = world.get(f"/v1/patients/{gone}{path}", who)
            assert answer.status_code == 404
            assert answer.content == world.get(f"/v1/patients/{uuid4()}{path}", who).content
    found = world.client.post("/v1/patients/search", headers=world.staff(), json={"nhs_number": MARIA})
    assert found.json() == {"patients": []}
    by_name = {"family": "Specimen", "birth_date": BORN.isoformat()}
    assert world.client.post("/v1/patients/search", headers=world.staff(), json=by_name).json() == {"patients": []}


def test_an_auditor_sees_that_there_was_something_and_who_ended_it(world: World, gone: UUID) -> None:
    lines = world.get(f"/v1/patients/{gone}/history", world.staff("auditor")).json()["lines"]
    assert {line["standing"] for line in lines[:-1]} == {"destroyed"}
    assert "care-plan.need-raised.v1" in {line["kind"] for line in lines}
    assert REASON in lines[-1]["text"]
    assert "budgerigars" not in str(lines)
    assert world.get(f"/v1/patients/{gone}/history", world.staff()).status_code == 404


def test_going_back_in_time_brings_nothing_back(world: World, gone: UUID) -> None:
    auditor = world.staff("auditor")
    told = world.get(f"/v1/patients/{gone}/replay", auditor, projection="plan", position=4)
    assert told.status_code == 200
    assert "budgerigars" not in told.text
    assert told.json()["document"]["needs"] == []


def test_what_is_empty_since_it_was_destroyed_does_not_look_as_if_nobody_had_recorded_it(
    world: World, gone: UUID
) -> None:
    auditor, path = world.staff("auditor"), f"/v1/patients/{gone}"
    trail = world.get(f"{path}/history", auditor).json()["lines"]
    lost = [line["position"] for line in trail if line["standing"] == "destroyed"]
    assert world.get(f"{path}/replay", auditor).json()["destroyed"] == len(lost)
    assert world.get(f"{path}/replay", auditor, position=lost[0]).json()["destroyed"] == 1
    assert world.get(f"{path}/diff", auditor, **{"from": 0, "to": lost[1]}).json()["destroyed"] == 2
    for field in ("/needs", "/needs/0/concern", "/contingency_plan"):
        why = world.get(f"{path}/why", auditor, field=field).json()
        assert (why["answer"], why["value"], why["event"]) == ("destroyed", "destroyed", "not-recorded")


def test_of_whom_nothing_was_destroyed_it_says_so(world: World, gone: UUID) -> None:
    other = world.register("9990000018", "Instance")
    auditor, path = world.staff("auditor"), f"/v1/patients/{other}"
    assert world.get(f"{path}/replay", auditor).json()["destroyed"] == 0
    assert world.get(f"{path}/why", auditor, field="/contingency_plan").json()["answer"] == "not-recorded"


def test_commands_find_nobody(world: World, tmp_path: Path) -> None:
    maria = world.register(MARIA, "Specimen")
    path, need = f"/v1/patients/{maria}/plan/needs", {"concern": "work"}
    assert world.command(path, world.staff(), need).status_code == 201
    destroyed(world.database, tmp_path, maria)
    assert world.command(path, world.staff(), need).status_code == 404
