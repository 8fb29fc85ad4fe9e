"""Documents, positions, moments and the access log over HTTP, against a real database."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN, PATIENT
from domain.pathway import DiagnosisAgreed, InformedOfOutcome, Told
from domain.patient import RestrictionApplied
from tests.api_world import BORN, JOHN, MARIA, PATHWAY, World, now

DOCUMENTS = ("", "/plan", "/record", "/appointments", "/referrals", "/summaries", "/history", "/replay")


def need(key: str) -> NeedRaised:
    return NeedRaised(need=key, concern="work")


def test_a_member_of_the_team_reads_every_document(world: World, maria: UUID) -> None:
    world.tell((CARE_PLAN, need("1")), (PATHWAY, DiagnosisAgreed(icd10="C50.9")))
    world.fold()
    answers = {path: world.get(f"/v1/patients/{maria}{path}", world.staff()) for path in DOCUMENTS}
    assert {path: each.status_code for path, each in answers.items()} == dict.fromkeys(DOCUMENTS, 200)
    assert answers["/plan"].json()["needs"][0]["concern"] == "work"
    assert "C50.9" in answers["/record"].text
    assert answers[""].json()["names"][0]["family"] == "Specimen"


def test_every_answer_says_what_it_holds(world: World, maria: UUID) -> None:
    behind = world.tell((CARE_PLAN, need("1")))
    headers = world.get(f"/v1/patients/{maria}/plan", world.staff()).headers
    assert int(headers["X-Log-Position"]) == behind
    assert int(headers["X-Projection-Position"]) == behind - 1
    assert int(headers["X-Position"]) == behind - 1
    assert headers["Cache-Control"] == "no-store"
    assert headers["Vary"] == "Authorization"


@pytest.mark.parametrize("who", ["staff", "patient"])
def test_what_the_caller_holds_is_not_sent_again_until_it_changes(world: World, maria: UUID, who: str) -> None:
    headers = getattr(world, who)()
    tag = world.get(f"/v1/patients/{maria}/plan", headers).headers["ETag"]
    world.tell((CARE_PLAN, need("1")), nhs_number=JOHN)
    again = world.get(f"/v1/patients/{maria}/plan", {**headers, "If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    world.tell((PATHWAY, InformedOfOutcome(told=(Told(what="diagnosis"),))), (CARE_PLAN, need("1")))
    world.fold()
    changed = world.get(f"/v1/patients/{maria}/plan", {**headers, "If-None-Match": tag})
    assert changed.status_code == 200


def test_min_position_waits_and_then_says_so(world: World, maria: UUID) -> None:
    position = world.tell((CARE_PLAN, need("1")))
    behind = world.get(f"/v1/patients/{maria}/plan", {**world.staff(), "X-Min-Position": str(position)})
    assert (behind.status_code, behind.json()["type"]) == (503, "/problems/behind")
    assert behind.headers["Retry-After"] == "1"
    world.fold()
    assert world.get(f"/v1/patients/{maria}/plan", world.staff(), **{"min-position": position}).status_code == 200


@pytest.mark.parametrize("told", ["-1", "1.5", "", "٣", str(2**62 + 1), "9" * 30])
def test_what_is_no_position_is_refused_with_the_name_of_where_it_stood(world: World, maria: UUID, told: str) -> None:
    by_query = world.get(f"/v1/patients/{maria}/plan", world.staff(), **{"min-position": told})
    assert (by_query.status_code, by_query.json()["errors"][0]["parameter"]) == (400, "min-position")
    if told.isascii():
        by_header = world.get(f"/v1/patients/{maria}/plan", {**world.staff(), "X-Min-Position": told})
        assert (by_header.status_code, by_header.json()["errors"][0]["parameter"]) == (400, "X-Min-Position")


def test_held_back_documents_are_not_served_to_anyone(world: World, maria: UUID) -> None:
    with world.database.connect("projector") as connection:
        connection.execute(
            "insert into read.parked (patient_id, since_position, reason) values (%s, 3, 'Test')", [maria]
        )
    for headers in (world.staff(), world.patient()):
        for path in ("", "/plan", "/history", "/replay"):
            answer = world.get(f"/v1/patients/{maria}{path}", headers)
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/held-back")
            assert answer.json()["since"] == 3
            assert "Retry-After" in answer.headers


def outsiders(world: World) -> list[dict[str, str]]:
    return [world.staff(subject="555000000999", organisation="RZZ"), world.patient(JOHN)]


def test_not_yours_and_not_there_look_alike(world: World, maria: UUID) -> None:
    world.register(JOHN, "Other")
    same = {"X-Correlation-ID": str(uuid4()), "X-Request-ID": str(uuid4())}
    for who in outsiders(world):
        for path in (*DOCUMENTS, "/diff?from=1&to=2"):
            theirs = world.get(f"/v1/patients/{maria}{path}", who | same)
            nobodys = world.get(f"/v1/patients/{uuid4()}{path}", who | same)
            assert theirs.status_code == nobodys.status_code == 404
            assert theirs.content == nobodys.content
            assert dict(theirs.headers) == dict(nobodys.headers)


def test_not_yours_and_not_there_take_as_long(world: World, maria: UUID) -> None:
    world.register(JOHN, "Other")
    who = outsiders(world)[0]

    def taken(patient_id: UUID) -> float:
        began = time.perf_counter()
        world.get(f"/v1/patients/{patient_id}/plan", who)
        return time.perf_counter() - began

    taken(maria)
    pairs = [(taken(maria), taken(uuid4())) for _ in range(60)]  # in turn, so that other load weighs on both
    theirs, nobodys = (statistics.median(each) for each in zip(*pairs, strict=True))
    assert 0.5 < theirs / nobodys < 2


def test_a_patient_nobody_has_told_us_of_has_nothing(world: World, maria: UUID) -> None:
    for who in (world.patient(JOHN), world.patient(MARIA, BORN.replace(year=1961))):
        assert {world.get(f"/v1/me{path}", who).status_code for path in DOCUMENTS} == {404}
    assert world.get("/v1/me", world.patient()).json()["patient_id"] == str(maria)


def test_the_history_comes_in_pages_that_belong_to_one_reader(world: World, maria: UUID) -> None:
    for number in range(5):
        world.tell((CARE_PLAN, need(str(number))))
    world.fold()
    path, lines = f"/v1/patients/{maria}/history?type=care-plan&limit=2", []
    while True:
        answer = world.get(path, world.staff())
        lines += answer.json()["lines"]
        if "Link" not in answer.headers:
            break
        path = answer.headers["Link"].partition("<")[2].partition(">")[0]
    assert [line["kind"] for line in lines] == ["care-plan.need-raised.v1"] * 5
    assert len({line["position"] for line in lines}) == 5
    other = world.register(JOHN, "Other")
    cursor = world.get(f"/v1/patients/{maria}/history?limit=2", world.staff()).json()["next"]
    for elsewhere in (f"/v1/patients/{other}/history?limit=2", f"/v1/patients/{maria}/history?limit=3"):
        stolen = world.get(f"{elsewhere}&cursor={cursor}", world.staff())
        assert (stolen.status_code, stolen.json()["type"]) == (400, "/problems/invalid-cursor")


def test_replay_and_difference_of_two_moments(world: World, maria: UUID) -> None:
    before = now().isoformat()
    position = world.tell((CARE_PLAN, need("1")))
    world.tell((CARE_PLAN, need("2")))
    staff, base = world.staff(), f"/v1/patients/{maria}"
    assert world.get(f"{base}/replay", staff, known_at=before).json()["document"]["needs"] == []
    assert len(world.get(f"{base}/replay", staff, position=position).json()["document"]["needs"]) == 1
    assert len(world.get(f"{base}/replay", staff).json()["document"]["needs"]) == 2
    assert world.get(f"{base}/replay", staff, as_of="2026-02-28").json()["document"]["needs"] == []
    diff = world.get(f"{base}/diff", staff, **{"from": position, "to": now().isoformat()}).json()
    assert [change["pointer"] for change in diff["changes"]] == ["/needs/1"]
    assert world.get(f"{base}/replay", staff, position=1, known_at=before).status_code == 400


def test_patients_see_which_roles_read_and_reviewers_see_who(world: World, maria: UUID) -> None:
    world.get(f"/v1/patients/{maria}/plan", world.staff())
    own = world.get("/v1/me/accesses", world.patient())
    assert own.json()["accesses"][0]["role"] == "clinician"
    assert own.json()["accesses"][0]["organisation"] == "RYY"
    assert "555000000001" not in own.text
    reviewed = world.get(f"/v1/patients/{maria}/accesses", world.staff("privacy-officer", "555000000302"))
    assert ("555000000001", "plan") in [(each["actor"], each["what"]) for each in reviewed.json()["accesses"]]
    assert world.get(f"/v1/patients/{maria}/accesses", world.staff()).status_code == 403


def test_searching_finds_whom_the_reader_may_see_and_notes_it(world: World, maria: UUID) -> None:
    ways = [
        {"nhs_number": "900 000 0009"},
        {"identifiers": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": MARIA}]},
        {"family": "specimen", "birth_date": BORN.isoformat()},
    ]
    stranger = outsiders(world)[0]
    nobody = {"nhs_number": JOHN}
    for way in ways:
        found = world.client.post("/v1/patients/search", headers=world.staff(), json=way)
        assert [each["patient_id"] for each in found.json()["patients"]] == [str(maria)]
        assert world.client.post("/v1/patients/search", headers=stranger, json=way).json() == {"patients": []}
    assert world.client.post("/v1/patients/search", headers=stranger, json=nobody).json() == {"patients": []}
    with world.database.connect("auditor") as connection:
        noted = connection.execute("select count(*) from access.reads where outcome = 'refused'").fetchone()
    assert noted == (4,)


def test_more_requests_than_connections_are_told_to_come_again(world: World, maria: UUID) -> None:
    staff = world.staff()
    with world.database.connect("owner") as owner, ThreadPoolExecutor(14) as callers:
        with owner.transaction():
            owner.execute("lock table access.reads in exclusive mode")
            asked = [callers.submit(world.get, f"/v1/patients/{maria}/plan", staff) for _ in range(14)]
            time.sleep(3)
        answers = [each.result() for each in asked]
    assert {each.status_code for each in answers} == {200, 503}
    refused = [each for each in answers if each.status_code == 503]
    told = {(each.json()["type"], each.headers["Retry-After"]) for each in refused}
    # Those that had a connection wait for the lock as long as the database lets them.
    assert ("/problems/busy", "1") in told
    assert told <= {("/problems/busy", "1"), ("/problems/unavailable", "5")}


def test_restricted_patients_are_not_found_by_name(world: World, maria: UUID) -> None:
    world.tell((PATIENT, RestrictionApplied(code="R")))
    world.fold()
    way = {"family": "Specimen", "birth_date": BORN.isoformat()}
    assert world.client.post("/v1/patients/search", headers=world.staff(), json=way).json() == {"patients": []}


@pytest.mark.parametrize("body", [{}, {"nhs_number": "9000000001"}, {"family": "A"}, {"nhs_number": MARIA, "x": 1}])
def test_searches_that_name_nobody_are_refused_without_an_echo(world: World, body: dict[str, str]) -> None:
    answer = world.client.post("/v1/patients/search", headers=world.staff(), json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["errors"]
    assert "900000000" not in answer.text
