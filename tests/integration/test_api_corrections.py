"""Correcting over HTTP: who may, what is refused, and that documents follow."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from tests.api_world import JOHN, MARIA, World

pytestmark = pytest.mark.postgres

NEED_RAISED = NeedRaised.stored
WHY = {"reason": "Sent under the wrong number"}


@pytest.fixture
def need(world: World, maria: UUID) -> str:
    """The path of an event of Maria's plan."""
    world.tell((CARE_PLAN, NeedRaised(need="n-1", concern="work")))
    world.fold()
    return f"/v1/patients/{maria}/events/{CARE_PLAN.stream_id(maria)}/1"


def keeper(world: World) -> dict[str, str]:
    return world.staff("privacy-officer")


def needs(world: World, patient: UUID) -> list[Any]:
    world.fold()
    plan = world.get(f"/v1/patients/{patient}/plan", world.staff("auditor")).json()
    return [(each["need"], each["concern"]) for each in plan["needs"]]


def test_an_event_is_corrected_and_then_marked_in_error(world: World, maria: UUID, need: str) -> None:
    other = {"fact": {"need": "n-1", "concern": "food"}, "reason": "misheard"}
    assert world.command(f"{need}/correction", world.staff(), other).status_code == 201
    assert world.command(f"{need}/correction", world.staff(), other).status_code == 200
    assert needs(world, maria) == [("n-1", "food")]
    assert world.command(f"{need}/error", world.staff(), WHY).status_code == 201
    assert needs(world, maria) == []
    assert world.command(f"{need}/error", world.staff(), WHY).status_code == 404


def test_what_a_correction_lacks_is_said_without_its_values(world: World, need: str) -> None:
    staff = world.staff()
    assert world.command(f"{need}/correction", staff, WHY).status_code == 400
    wrong = world.command(f"{need}/correction", staff, {"fact": {"need": "n-1", "concern": {"x": "Jane"}}, **WHY})
    assert (wrong.status_code, "concern" in wrong.json()["detail"], "Jane" in wrong.text) == (409, True, False)
    assert world.command(f"{need}/correction", staff, {"occurred": "soon", **WHY}).status_code == 409
    assert world.command(f"{need}/error", staff, {"reason": ""}).status_code == 400


def test_an_event_moves_to_whom_it_belongs(world: World, maria: UUID, john: UUID, need: str) -> None:
    moved = world.command(f"{need}/move", keeper(world), {"to": str(john), **WHY})
    assert moved.status_code == 201
    assert {each["type"] for each in moved.json()["events"]} == {
        "annotation.moved-away.v1", "annotation.moved-in.v1",
    }  # fmt: skip
    assert needs(world, maria) == []
    assert needs(world, john) == [("n-1", "work")]
    trail = world.get(f"/v1/patients/{maria}/history", world.staff("auditor")).json()["lines"]
    assert "moved-away" in {line["standing"] for line in trail}


def test_who_may_not_correct_and_what_is_not_there(world: World, maria: UUID, john: UUID, need: str) -> None:
    assert world.command(f"{need}/move", world.staff(), {"to": str(john), **WHY}).status_code == 403
    assert world.command(f"{need}/error", world.staff("auditor"), WHY).status_code == 403
    stranger = world.staff(subject="555000000009")
    assert world.command(f"{need}/error", stranger, WHY).status_code == 404
    assert world.command(f"{need}/move", keeper(world), {"to": str(uuid4()), **WHY}).status_code == 404
    elsewhere = need.replace(str(maria), str(john))
    assert world.command(f"{elsewhere}/error", world.staff(), WHY).status_code == 404


def test_records_are_previewed_merged_and_parted(world: World, maria: UUID, john: UUID, need: str) -> None:
    base = f"/v1/patients/{john}/merges"
    seen = world.get(f"{base}/preview", keeper(world), patient=str(maria)).json()
    assert seen["joins"]["care-plan"] == 1
    assert [each["what"] for each in seen["differs"]] == ["nhs_number"]

    body = {"patient": str(maria), "reason": "Registered twice"}
    assert world.command(base, world.staff(), body).status_code == 403
    assert world.command(base, keeper(world), {**body, "patient": str(john)}).status_code == 409
    assert world.command(base, keeper(world), {**body, "patient": str(uuid4())}).status_code == 404
    merged = world.command(base, keeper(world), body, key="merge-them-once")
    assert merged.status_code == 201
    assert world.command(base, keeper(world), body, key="merge-them-once").content == merged.content
    assert world.command(base, keeper(world), body).status_code == 200

    assert world.command(f"{base}/{maria}/reversal", keeper(world), WHY).status_code == 201
    assert world.command(f"{base}/{maria}/reversal", keeper(world), WHY).status_code == 409


def test_either_id_and_either_number_answer_for_the_merged_person(
    world: World, maria: UUID, john: UUID, need: str
) -> None:
    base, body = f"/v1/patients/{john}/merges", {"patient": str(maria), "reason": "Registered twice"}
    assert world.command(base, keeper(world), body).status_code == 201
    assert needs(world, john) == needs(world, maria) == [("n-1", "work")]
    for number in (JOHN, MARIA):
        mine = world.get("/v1/me", world.patient(number))
        assert (mine.status_code, mine.json()["patient_id"]) == (200, str(john))
    raised = world.command("/v1/me/plan/needs", world.patient(MARIA), {"concern": "sleep"})
    assert raised.status_code == 201
    assert len(needs(world, john)) == 2
    assert {"patient.merged.v1", "patient.merge-received.v1"} <= {line["kind"] for line in history_of(world, maria)}

    assert world.command(f"{base}/{maria}/reversal", keeper(world), WHY).status_code == 201
    assert (needs(world, john), needs(world, maria)) == ([], [("n-1", "work")])
    meanwhile = world.get(f"{base}/{maria}/accesses", keeper(world)).json()["accesses"]
    assert {"read", "command"} <= {each["outcome"] for each in meanwhile}
    assert "patient" in {each["role"] for each in meanwhile}
    assert world.get(f"{base}/{uuid4()}/accesses", keeper(world)).json() == {"accesses": []}
    written = next(line for line in history_of(world, john) if "merged_with" in line and line["kind"] == NEED_RAISED)
    event = f"/v1/patients/{john}/events/{written['event']}"
    assert world.command(f"{event}/assignment", keeper(world), WHY).status_code == 201
    assert [concern for _, concern in needs(world, john)] == ["sleep"]


def history_of(world: World, patient: UUID) -> list[Any]:
    lines: list[Any] = world.get(f"/v1/patients/{patient}/history", world.staff("auditor")).json()["lines"]
    return lines
