"""Messages and their rejections over HTTP, and what operators see."""

from typing import Any
from uuid import uuid4

import orjson
import pytest

from tests.api_world import World
from tests.events import attributes, diagnosis

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
STORED = "pathway.diagnosis-agreed.v1"
ORGANISATION = "RXX"  # as in the source of the events


def event(event_id: str, icd10: str = "C50.9") -> dict[str, Any]:
    return attributes(event_id, STORED) | {"datacontenttype": "application/json", "data": diagnosis(icd10)}


def publish(world: World, content: Any, content_type: str, **headers: str) -> Any:
    who = world.staff("publisher", organisation=ORGANISATION)
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return world.client.post("/v1/events", headers={**who, "Content-Type": content_type, **headers}, content=body)


def test_one_event_in_structured_mode_and_again(world: World) -> None:
    first = publish(world, event("1"), STRUCTURED)
    assert first.status_code == 202
    result = first.json()["results"][0]
    assert (result["id"], result["outcome"], result["known"], result["reasons"]) == ("1", "recorded", False, [])
    again = publish(world, event("1"), STRUCTURED).json()["results"][0]
    assert again == result | {"known": True}


def test_one_event_in_binary_mode(world: World) -> None:
    headers = {f"ce-{name}": value for name, value in attributes("1", STORED).items()}
    answer = publish(world, diagnosis(), "application/json", **headers)
    assert (answer.status_code, answer.json()["results"][0]["outcome"]) == (202, "recorded")


def test_a_publisher_of_one_organisation_cannot_speak_for_another(world: World) -> None:
    who = {**world.staff("publisher", organisation="RZZ"), "Content-Type": BATCH}
    answer = world.client.post("/v1/events", headers=who, content=orjson.dumps([event("1")]))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert publish(world, event("1"), STRUCTURED).json()["results"][0]["known"] is False, "nothing was kept"


def test_a_batch_is_partly_good(world: World) -> None:
    answer = publish(world, [event("1"), event("2", icd10="nonsense"), event("3", icd10="C61")], BATCH)
    assert answer.status_code == 202
    assert [each["outcome"] for each in answer.json()["results"]] == ["recorded", "rejected", "recorded"]
    assert publish(world, [], BATCH).json() == {"results": []}


def test_a_rejected_event_says_why_and_waits_for_an_operator(world: World) -> None:
    answer = publish(world, event("1", icd10="nonsense"), STRUCTURED)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/rejected")
    assert answer.json()["results"][0]["reasons"][0]["code"]
    assert "nonsense" not in answer.text
    operator = world.staff("operator", "555000000303")
    [rejected] = world.get("/v1/rejected", operator).json()["rejected"]
    path = f"/v1/rejected/{rejected['rejected_id']}"
    assert world.get(path, operator).json()["attempts"] == 1
    retried = world.client.post(f"{path}/retry", headers=operator)
    assert (retried.status_code, retried.json()["outcome"]) == (200, "rejected")
    assert world.get(path, operator).json()["attempts"] == 2
    discarded = world.client.post(f"{path}/discard", headers=operator, json={"reason": "sent by mistake"})
    assert discarded.json()["state"] == "discarded"
    assert world.client.post(f"{path}/retry", headers=operator).status_code == 409
    assert world.get(f"/v1/rejected/{uuid4()}", operator).status_code == 404


def test_what_is_no_event_is_not_kept(world: World) -> None:
    answer = publish(world, {"a": 1}, "application/json")
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    assert world.get("/v1/rejected", world.staff("operator")).json() == {"rejected": []}


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[" * 100_000, b"null"])
def test_what_cannot_be_read_is_rejected_with_a_reason(world: World, body: bytes) -> None:
    for content_type in (STRUCTURED, BATCH):
        answer = publish(world, body, content_type)
        results = answer.json()["results"]
        assert [each["outcome"] for each in results] == ["rejected"]
        assert results[0]["reasons"]


def test_messages_have_eight_megabytes_and_other_requests_less(world: World) -> None:
    large = event("1") | {"padding": "x" * 7_000_000}
    assert publish(world, large, STRUCTURED).status_code in (202, 422)
    too_large = publish(world, b"x" * 8_000_001, STRUCTURED)
    assert (too_large.status_code, too_large.json()["type"]) == (413, "/problems/too-large")
    chunks = (b"x" * 100_000 for _ in range(100))
    headers = {**world.staff("publisher"), "Content-Type": STRUCTURED}
    assert world.client.post("/v1/events", headers=headers, content=chunks).status_code == 413
    search = world.client.post("/v1/patients/search", headers=world.staff(), content=b"x" * 65_000)
    assert search.status_code == 413


def test_only_publishers_publish_and_only_operators_operate(world: World) -> None:
    for who in (world.staff(), world.staff("operator"), world.patient()):
        headers = {**who, "Content-Type": STRUCTURED}
        assert world.client.post("/v1/events", headers=headers, content=b"{}").status_code == 403
    for path in ("/v1/rejected", "/v1/projections"):
        assert world.get(path, world.staff("publisher")).status_code == 403


def test_the_state_of_the_read_side(world: World) -> None:
    position = publish(world, event("1"), STRUCTURED).json()["results"][0]["position"]
    assert world.client.get("/readyz").json() == {"status": "ready", "position": position, "lag": position}
    state = world.get("/v1/projections", world.staff("operator")).json()
    assert state["head"] == position
    assert {each["behind"] for each in state["projections"]} == {position}
    world.fold()
    assert world.client.get("/readyz").json()["lag"] == 0
    metrics = world.client.get("/metrics").text
    assert f"log_position {float(position)}" in metrics
    assert 'route="/v1/events"' in metrics


def test_a_read_side_that_has_not_begun_is_not_ready(world: World) -> None:
    with world.database.connect("projector") as connection:
        connection.execute("delete from read.checkpoints where projection = 'plan_v1'")
    answer = world.client.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["plan"])


def test_ids_of_a_request_come_back_when_they_can_carry_nobody(world: World) -> None:
    mine = str(uuid4())
    answer = world.client.get("/healthz", headers={"X-Correlation-ID": mine, "X-Request-ID": "9000000009"})
    assert answer.headers["X-Correlation-ID"] == mine
    assert "9000000009" not in answer.headers["X-Request-ID"]


def test_what_nobody_foresaw_tells_nothing(world: World) -> None:
    maria = world.register("9000000009", "Specimen")
    with world.database.connect("owner") as owner:
        owner.execute("drop table read.plan_v1 cascade")
    answer = world.get(f"/v1/patients/{maria}/plan", world.staff())
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert set(answer.json()) == {"type", "title", "status"}
    assert answer.headers["X-Correlation-ID"]


def test_published_schemas_and_descriptions(world: World) -> None:
    path = world.client.get("/schemas").json()["schemas"][0]
    assert world.client.get(path).json()["$id"] == path
    assert world.client.get("/schemas/none.v1.json").status_code == 404
    assert world.client.get("/asyncapi.json").json()["asyncapi"] == "3.1.0"
    landing = world.client.get("/")
    assert "<h1>Personalised Cancer Plan</h1>" in landing.text
    assert "default-src 'none'" in landing.headers["Content-Security-Policy"]
    assert "<script" not in landing.text
    assert world.client.get("/nothing").json()["type"] == "/problems/not-found"
    refused = world.client.put("/healthz")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")
