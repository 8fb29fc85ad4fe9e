"""Commands over HTTP: once each, on what was read, by whom it concerns."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.appointment import AppointmentBooked
from domain.pathway import DiagnosisAgreed
from tests.api_world import APPOINTMENT, BORN, JOHN, MARIA, PATHWAY, World

LEAD = {"role": "cancer-nurse-specialist", "professional": "555000000002", "name": "Nurse Made Up"}
NEED = {"concern": "sleep", "score": 7}


def told(answer: Any) -> tuple[Any, ...]:
    return answer.status_code, answer.headers["Location"], answer.headers["X-Position"], answer.content


def test_a_need_becomes_part_of_the_plan_that_its_position_names(world: World, maria: UUID) -> None:
    raised = world.command("/v1/me/plan/needs", world.patient(), NEED)
    assert raised.status_code == 201
    assert raised.json()["events"][0]["type"] == "care-plan.need-raised.v1"
    assert raised.headers["Location"] == f"/v1/me/plan#{raised.json()['id']}"
    world.fold()
    plan = world.get("/v1/me/plan", world.patient(), **{"min-position": raised.json()["position"]}).json()
    assert [each["need"] for each in plan["needs"]] == [raised.json()["id"]]


def test_a_retry_has_the_same_answer_and_writes_nothing(world: World, maria: UUID) -> None:
    path = f"/v1/patients/{maria}/plan/needs"
    first = world.command(path, world.staff(), NEED, key="retried-key")
    world.command(path, world.staff(), {"concern": "work"})
    assert told(world.command(path, world.staff(), NEED, key="retried-key")) == told(first)
    mine = world.command("/v1/me/plan/needs", world.patient(), NEED, key="retried-key")
    assert (mine.status_code, mine.json()["id"] != first.json()["id"]) == (201, True)


def test_a_retry_with_a_precondition_has_the_first_answer(world: World, maria: UUID) -> None:
    tag = world.get("/v1/me/plan", world.patient()).headers["ETag"]
    asked = {"key": "with-precondition", "If_Match": tag}
    first = world.command("/v1/me/plan/needs", world.patient(), NEED, **asked)
    assert first.status_code == 201
    assert told(world.command("/v1/me/plan/needs", world.patient(), NEED, **asked)) == told(first)


def test_a_key_stands_for_one_request(world: World, maria: UUID) -> None:
    world.command("/v1/me/plan/needs", world.patient(), NEED, key="one-request")
    for path, body in (("/v1/me/plan/needs", {"concern": "work"}), (f"/v1/patients/{maria}/plan/needs", NEED)):
        answer = world.command(path, world.patient(), body, key="one-request")
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize("key", [None, "short", "with blanks in it", "x" * 256])
def test_a_command_needs_a_key(world: World, maria: UUID, key: str | None) -> None:
    headers = world.patient() | ({"Idempotency-Key": key} if key else {})
    answer = world.client.post("/v1/me/plan/needs", headers=headers, json=NEED)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/idempotency-key-missing")


@pytest.mark.parametrize("who", ["staff", "patient"])
def test_if_match_refuses_what_was_decided_on_an_older_plan(world: World, maria: UUID, who: str) -> None:
    path, headers = f"/v1/patients/{maria}", getattr(world, who)()
    tag = world.get(f"{path}/plan", headers).headers["ETag"]
    about = world.command(f"{path}/about-me", headers, {"heading": "family", "words": "two children"}, If_Match=tag)
    assert about.status_code == 201
    first = world.command(f"{path}/plan/needs", headers, NEED, If_Match=tag)
    assert first.status_code == 201
    second = world.command(f"{path}/plan/needs", headers, {"concern": "work"}, If_Match=tag)
    assert (second.status_code, second.json()["type"]) == (412, "/problems/precondition-failed")
    later = world.command(f"{path}/plan/needs", headers, {"concern": "work"}, If_Match=first.headers["ETag"])
    assert later.status_code == 201
    wrong = world.command(f"{path}/plan/needs", headers, NEED, If_Match='"not-ours"')
    assert wrong.status_code == 400


def test_the_whole_of_a_plan(world: World, maria: UUID) -> None:
    base, staff, patient = f"/v1/patients/{maria}", world.staff(), world.patient()
    assert world.command(f"{base}/care-leads", staff, LEAD).status_code == 201
    assert world.command(f"{base}/care-leads", staff, LEAD).status_code == 200
    assert world.command(f"{base}/care-leads/{LEAD['role']}/told", staff).status_code == 201
    need = world.command("/v1/me/plan/needs", patient, NEED).json()["id"]
    goal = world.command("/v1/me/plan/goals", patient, {"words": "sleep well", "needs": [need]}).json()["id"]
    action = world.command(f"{base}/plan/actions", staff, {"what": "see the nurse", "goal": goal}).json()["id"]
    support = world.command(f"{base}/plan/support", staff, {"service": "Sleep group", "need": need}).json()["id"]
    accepted = world.command(f"{base}/plan/support/{support}/acceptance", staff)
    assert accepted.status_code == 201
    assert world.command(f"{base}/plan/support/{support}/declination", staff).status_code == 201
    assert world.command(f"{base}/plan/actions/{action}/completion", staff, {"outcome": "done"}).status_code == 201
    assert world.command(f"{base}/plan/needs/{need}/resolution", staff, {}).status_code == 201
    form = {"point": "diagnosis", "form_version": "2026-1"}
    assert world.command("/v1/me/plan/assessments", patient, form).status_code == 201
    world.fold()
    plan = world.get(f"{base}/plan", staff).json()
    assert plan["needs"][0]["goals"][0]["actions"][0]["status"]["value"] == "finished"


def test_refusals_are_in_the_words_of_the_rule(world: World, maria: UUID) -> None:
    base, staff = f"/v1/patients/{maria}", world.staff()
    refused = world.command(f"{base}/care-leads/key-worker/told", staff)
    assert (refused.status_code, refused.json()["detail"]) == (409, "no care lead holds this role; name one first")
    absent = world.command(f"{base}/plan/needs/none/resolution", staff, {})
    assert (absent.status_code, absent.json()["detail"]) == (404, "the plan has no such need")


def test_a_stream_of_the_record(world: World, maria: UUID) -> None:
    base, staff = f"/v1/patients/{maria}", world.staff()
    world.tell((PATHWAY, DiagnosisAgreed(icd10="C50.9")), (APPOINTMENT, AppointmentBooked()))
    world.fold()
    appointment, pathway = APPOINTMENT.stream_id(maria), PATHWAY.stream_id(maria)
    informed = {"told": [{"what": "diagnosis"}], "professional": "555000000001"}
    assert world.command(f"{base}/pathways/{pathway}/informed", staff, informed).status_code == 201
    change = {"wish": "reschedule", "words": "the bus is late"}
    asked = world.command(f"/v1/me/appointments/{appointment}/change-requests", world.patient(), change)
    assert asked.status_code == 201
    assert world.command(f"{base}/pathways/{appointment}/informed", staff, informed).status_code == 404


def test_another_patients_stream_is_not_there(world: World, maria: UUID) -> None:
    john = world.register(JOHN, "Other")
    world.tell((APPOINTMENT, AppointmentBooked()), nhs_number=JOHN)
    theirs = APPOINTMENT.stream_id(john)
    world.command(f"/v1/patients/{john}/appointments/{theirs}/change-requests", world.staff(), {"wish": "cancel"})
    for who in (world.staff(), world.patient()):
        path = f"/v1/patients/{maria}/appointments/{theirs}/change-requests"
        assert world.command(path, who, {"wish": "cancel"}).status_code == 404


def test_not_yours_and_not_there_look_alike(world: World, maria: UUID) -> None:
    same = {"X-Correlation-ID": str(uuid4()), "X-Request-ID": str(uuid4())}
    world.register(JOHN, "Other")
    for who in (world.staff(subject="555000000999", organisation="RZZ") | same, world.patient(JOHN) | same):
        for path, body in (("plan/needs", NEED), ("about-me", {"heading": "a", "words": "b"})):
            answers = [world.command(f"/v1/patients/{each}/{path}", who, body) for each in (maria, uuid4())]
            assert [each.status_code for each in answers] == [404, 404]
            assert answers[0].content == answers[1].content
            assert dict(answers[0].headers) == dict(answers[1].headers)


def test_only_clinicians_do_what_is_theirs(world: World, maria: UUID) -> None:
    for who in (world.patient(), world.staff("auditor")):
        assert world.command(f"/v1/patients/{maria}/care-leads", who, LEAD).status_code == 403
    assert world.command(f"/v1/patients/{maria}/plan/needs", world.staff("auditor"), NEED).status_code == 403
    assert world.command("/v1/me/plan/needs", world.staff(), NEED).status_code == 403
    assert world.command("/v1/me/plan/needs", world.patient(), {**NEED, "need": "mine"}).status_code == 403
    assert world.command("/v1/me/plan/needs", world.patient(MARIA, BORN.replace(year=1961)), NEED).status_code == 404


def test_commands_are_in_the_access_log(world: World, maria: UUID) -> None:
    world.command(f"/v1/patients/{maria}/plan/needs", world.staff(), NEED)
    world.command("/v1/me/plan/needs", world.patient(), NEED)
    rows = world.get(f"/v1/patients/{maria}/accesses", world.staff("auditor")).json()["accesses"]
    noted = [(each["role"], each["outcome"], each["what"]) for each in rows]
    assert noted == [("patient", "command", "RaiseNeed"), ("clinician", "command", "RaiseNeed")]


def test_what_a_body_says_wrongly_is_not_repeated(world: World, maria: UUID) -> None:
    body = {"concern": "sleep", "score": 77, "Maria Specimen": "secret"}
    answer = world.command("/v1/me/plan/needs", world.patient(), body)
    assert answer.status_code == 400
    assert {each["code"] for each in answer.json()["errors"]} == {"less_than_equal", "extra_forbidden"}
    assert "Specimen" not in answer.text
    assert "77" not in answer.text
