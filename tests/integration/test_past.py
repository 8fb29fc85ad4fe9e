"""Going back in time over HTTP never shows more: what is open was open then and is open now."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from domain.care_plan import NeedRaised, NeedResolved
from domain.facts import CARE_PLAN, PATIENT
from domain.pathway import DiagnosisAgreed, InformedOfOutcome, Told
from domain.patient import Address, DemographicsRecorded, RestrictionApplied
from domain.times import on
from tests.api_world import JOHN, PATHWAY, World

pytestmark = pytest.mark.postgres
WHY = {"reason": "Belongs to another"}
STREET = "1 Made-Up Street"


def need(key: str, concern: str = "work") -> NeedRaised:
    return NeedRaised(need=key, concern=concern)


def told_of(outcome: str) -> InformedOfOutcome:
    return InformedOfOutcome(told=(Told(what=outcome),))


def plan_at(world: World, patient: UUID, position: int, headers: dict[str, str], **parameters: Any) -> Any:
    answer = world.get(f"/v1/patients/{patient}/replay", headers, position=position, **parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["document"]


def needs_at(world: World, patient: UUID, position: int, headers: dict[str, str]) -> set[str]:
    return {each["need"] for each in plan_at(world, patient, position, headers)["needs"]}


def test_what_was_moved_away_is_shown_to_auditors_alone(world: World, maria: UUID, john: UUID) -> None:
    position = world.tell((PATHWAY, told_of("diagnosis")), (CARE_PLAN, need("1")), (CARE_PLAN, need("2")))
    moved = f"/v1/patients/{maria}/events/{CARE_PLAN.stream_id(maria)}/1/move"
    assert needs_at(world, maria, position, world.patient()) == {"1", "2"}
    assert world.command(moved, world.staff("privacy-officer"), {"to": str(john), **WHY}).status_code == 201
    world.fold()
    assert needs_at(world, maria, position, world.patient()) == {"2"}
    assert needs_at(world, maria, position, world.staff()) == {"2"}
    assert needs_at(world, maria, position, world.staff("auditor")) == {"1", "2"}
    assert needs_at(world, john, position, world.staff("auditor")) == set()
    assert needs_at(world, john, 2**60, world.staff("auditor")) == {"1"}
    trail = world.get(f"/v1/patients/{maria}/history", world.staff()).json()["lines"]
    assert sum(line["kind"] == NeedRaised.stored for line in trail) == 1


def test_records_are_one_only_at_the_moments_when_they_were(world: World, maria: UUID, john: UUID) -> None:
    base, body = f"/v1/patients/{john}/merges", {"patient": str(maria), "reason": "Registered twice"}
    apart = world.tell((PATHWAY, told_of("diagnosis")), (CARE_PLAN, need("1")))
    apart = max(apart, world.tell((CARE_PLAN, need("2")), nhs_number=JOHN))
    assert world.command(base, world.staff("privacy-officer"), body).status_code == 201
    joined = world.tell((CARE_PLAN, need("3")))
    world.fold()
    for asked in (maria, john):
        assert needs_at(world, asked, joined, world.staff()) == {"1", "2", "3"}
    assert needs_at(world, maria, apart, world.staff()) == {"1"}
    assert needs_at(world, john, apart, world.staff()) == {"2"}
    steps = world.get(f"/v1/patients/{john}/steps", world.staff("auditor")).json()["steps"]
    appearing = [step for step in steps if any(each["pointer"].startswith("/plan/needs/") for each in step["changes"])]
    assert [step["kind"] for step in appearing][-1] == NeedRaised.stored
    assert "patient.merge" in " ".join(step["kind"] for step in appearing)

    reversal = f"{base}/{maria}/reversal"
    assert world.command(reversal, world.staff("privacy-officer"), {"reason": "Two people"}).status_code == 201
    world.fold()
    assert needs_at(world, john, joined, world.staff()) == {"2"}
    assert needs_at(world, maria, joined, world.staff()) == {"1", "3"}
    assert needs_at(world, maria, joined, world.patient()) == {"1", "3"}
    assert needs_at(world, maria, joined, world.staff("auditor")) == {"1", "2", "3"}
    assert needs_at(world, maria, 2**60, world.staff("auditor")) == {"1", "3"}


def test_an_address_that_is_withheld_now_is_withheld_then(world: World, maria: UUID) -> None:
    living = DemographicsRecorded(addresses=(Address(lines=(STREET,)),), registered_practice="A81001")
    open_then = world.tell((PATIENT, living), (PATHWAY, told_of("diagnosis")))
    assert STREET in str(plan_at(world, maria, open_then, world.staff()))
    world.tell((PATIENT, RestrictionApplied(code="R")))
    world.fold()
    for headers in (world.staff(), world.staff("auditor"), world.patient()):
        document = plan_at(world, maria, open_then, headers)
        assert document["patient"]["addresses"]["value"] == "withheld"
        for projection in ("plan", "summaries"):
            asked = {"projection": projection, "from": 0, "to": open_then}
            texts = [world.get(f"/v1/patients/{maria}/diff", headers, **asked).text]
            texts.append(
                world.get(f"/v1/patients/{maria}/replay", headers, projection=projection, position=open_then).text
            )
            assert all(STREET not in text and "A81001" not in text for text in texts)
    field = {"field": "/patient/addresses", "position": open_then}
    assert world.get(f"/v1/patients/{maria}/why", world.staff(), **field).json()["answer"] == "withheld"
    steps = world.get(f"/v1/patients/{maria}/steps", world.staff("auditor"))
    assert STREET not in steps.text


def test_what_closed_again_is_closed_at_every_earlier_moment(world: World, maria: UUID) -> None:
    told = world.tell(
        (PATHWAY, DiagnosisAgreed(icd10="C50.9")), (PATHWAY, told_of("diagnosis")), occurred=on(date(2026, 2, 1))
    )
    path = f"/v1/patients/{maria}/replay"
    shown = {"projection": "record", "position": told}
    assert "C50.9" in world.get(path, world.patient(), **shown).text
    stream = PATHWAY.stream_id(maria)
    wrong = {"reason": "She was not told"}
    assert world.command(f"/v1/patients/{maria}/events/{stream}/2/error", world.staff(), wrong).status_code == 201
    world.fold()
    assert "C50.9" not in world.get(path, world.patient(), **shown).text
    assert "C50.9" in world.get(path, world.staff(), **shown).text


def test_why_names_who_said_it_and_when(world: World, maria: UUID) -> None:
    raised = world.tell((PATHWAY, told_of("diagnosis")), (CARE_PLAN, need("1", "money")))
    world.tell((CARE_PLAN, NeedResolved(need="1", outcome="better")), occurred=on(date(2026, 4, 1)))
    path = f"/v1/patients/{maria}/why"

    def why(headers: dict[str, str], field: str, **moment: Any) -> Any:
        answer = world.get(path, headers, field=field, **moment)
        assert answer.status_code == 200, answer.text
        return answer.json()

    for headers in (world.staff(), world.patient()):
        concern = why(headers, "/needs/0/concern")
        assert (concern["answer"], concern["value"]) == ("recorded", "money")
        assert concern["event"]["kind"] == NeedRaised.stored
        assert concern["event"]["source"] == "/nhs/england/RXX/pas/test"
        assert "money" in concern["event"]["text"]
        assert why(headers, "/needs/0/outcome")["event"]["kind"] == NeedResolved.stored
    assert why(world.staff(), "/needs/0/concern")["event"]["position"] == raised
    earlier = why(world.staff(), "/needs/0/outcome", as_of="2026-03-31")
    assert (earlier["answer"], earlier["value"]) == ("not-recorded", "not-recorded")
    assert earlier["event"]["kind"] == NeedRaised.stored
    nothing = why(world.staff(), "/contingency_plan", position=raised)
    assert (nothing["answer"], nothing["event"]) == ("not-recorded", "not-recorded")
    assert why(world.staff(), "/needs/7/concern")["answer"] == "no-such-field"
    bad = world.get(path, world.staff(), field="needs")
    assert (bad.status_code, bad.json()["type"]) == (400, "/problems/invalid-request")


def test_a_difference_lies_between_any_two_moments(world: World, maria: UUID) -> None:
    world.tell((PATHWAY, told_of("diagnosis")), (CARE_PLAN, need("1", "money")))
    head = world.tell((CARE_PLAN, need("2", "food")), occurred=on(date(2026, 5, 1)))
    path = f"/v1/patients/{maria}/diff"
    sides = {"from": head, "to": head, "from_as_of": "2026-04-01", "to_as_of": "2026-05-01"}
    for headers in (world.staff(), world.patient()):
        changes = world.get(path, headers, **sides).json()["changes"]
        assert [(each["pointer"], each["before"]) for each in changes] == [("/needs/1", None)]
    assert world.get(path, world.staff(), **{"from": head, "to": head}).json()["changes"] == []


def test_only_auditors_see_what_each_event_changed(world: World, maria: UUID) -> None:
    world.tell((CARE_PLAN, need("1")))
    path = f"/v1/patients/{maria}/steps"
    assert world.get(path, world.staff()).status_code == 403
    first = world.get(path, world.staff("auditor"), limit=2).json()
    rest = world.get(path, world.staff("auditor"), after=first["next"]).json()
    positions = [step["position"] for page in (first, rest) for step in page["steps"]]
    assert positions == sorted(set(positions))
    assert rest["next"] is None
    last = rest["steps"][-1]
    assert last["kind"] == NeedRaised.stored
    assert "work" in last["text"]
    assert "/plan/needs/0" in {each["pointer"] for each in last["changes"]}
