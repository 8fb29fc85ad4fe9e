"""After the log was opened anew, what a client holds of before is refused: tags, cursors, positions."""

from uuid import uuid4

import pytest
from starlette.responses import Response

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from tests.api_world import MARIA, World
from tests.signing import tampering

pytestmark = pytest.mark.postgres


def open_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with tampering(world.database) as superuser:
        superuser.execute("update log.epoch set epoch = gen_random_uuid()")
    monkeypatch.setattr("api.epochs._ASK_SECONDS", -1.0)


def kind(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"]  # type: ignore[attr-defined]  # the client's answer has it


def test_each_answer_says_of_which_epoch_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    maria = world.register(MARIA, "Specimen")
    answers = [world.client.get(f"/v1/patients/{maria}/plan", headers=world.staff()) for _ in range(2)]
    (mark,) = {each.headers["X-Log-Epoch"] for each in answers}
    assert all(each.headers["ETag"].endswith(f'.e{mark}"') for each in answers)
    open_anew(world, monkeypatch)
    later = world.client.get(f"/v1/patients/{maria}/plan", headers=world.staff())
    assert later.headers["X-Log-Epoch"] != mark
    assert "X-Log-Epoch" not in world.client.get("/healthz").headers


def test_a_tag_of_before_matches_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path, headers = f"/v1/patients/{world.register(MARIA, 'Specimen')}/plan", world.staff()
    tag = world.client.get(path, headers=headers).headers["ETag"]
    held = headers | {"If-None-Match": tag}
    assert world.client.get(path, headers=held).status_code == 304
    open_anew(world, monkeypatch)
    assert world.client.get(path, headers=held).status_code == 200


def test_a_command_that_rests_on_before_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path, headers = f"/v1/patients/{world.register(MARIA, 'Specimen')}/plan", world.staff()
    tag = world.client.get(path, headers=headers).headers["ETag"]

    def raised() -> Response:
        told = headers | {"If-Match": tag, "Idempotency-Key": uuid4().hex}
        answer: Response = world.client.post(f"{path}/needs", headers=told, json={"concern": "work"})  # type: ignore[assignment]  # the client's own class
        return answer

    assert raised().status_code == 201
    tag = world.client.get(path, headers=headers).headers["ETag"]
    open_anew(world, monkeypatch)
    assert kind(raised()) == (412, "/problems/another-epoch")


def test_a_position_sent_with_its_epoch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    path, headers = f"/v1/patients/{world.register(MARIA, 'Specimen')}/plan", world.staff()
    first = world.client.get(path, headers=headers)
    told = headers | {"X-Log-Epoch": first.headers["X-Log-Epoch"], "X-Min-Position": first.headers["X-Position"]}
    assert world.client.get(path, headers=told).status_code == 200
    open_anew(world, monkeypatch)
    assert kind(world.client.get(path, headers=told)) == (412, "/problems/another-epoch")  # type: ignore[arg-type]


def test_a_cursor_of_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    maria = world.register(MARIA, "Specimen")
    world.tell((CARE_PLAN, NeedRaised(need="1", concern="work")))
    path, headers = f"/v1/patients/{maria}/history?limit=1", world.staff()
    cursor = world.client.get(path, headers=headers).json()["next"]
    assert world.client.get(f"{path}&cursor={cursor}", headers=headers).status_code == 200
    open_anew(world, monkeypatch)
    assert kind(world.client.get(f"{path}&cursor={cursor}", headers=headers)) == (400, "/problems/invalid-cursor")  # type: ignore[arg-type]


def test_an_epoch_is_remembered_while_the_database_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.client.get("/v1/projections", headers=world.staff("operator"))
    monkeypatch.setattr("api.epochs._ASK_SECONDS", -1.0)
    with tampering(world.database) as superuser:
        superuser.execute("alter table log.epoch rename to hidden")
        again = world.client.get("/v1/projections", headers=world.staff("operator"))
        superuser.execute("alter table log.hidden rename to epoch")
    assert again.status_code == 200
    assert again.headers["X-Log-Epoch"] == first.headers["X-Log-Epoch"]
