"""The list of records that a source says are of one person: who sees it, what stands on it, and how it empties."""

from typing import Any
from uuid import UUID

import pytest

from domain.facts import PATIENT
from domain.linking import LinkKind, LinkReported
from domain.patient import NHS_NUMBER, Identifier, RestrictionApplied
from tests.api_world import JOHN, MARIA, World

pytestmark = pytest.mark.postgres

WHY = {"reason": "the same person, registered twice"}


def keeper(world: World) -> dict[str, str]:
    return world.staff("privacy-officer")


def linked(world: World, kind: LinkKind, value: str, system: str = NHS_NUMBER) -> None:
    """Maria's source says so of another record."""
    told = LinkReported(kind=kind, identifiers=(Identifier(system=system, value=value),))
    world.tell((PATIENT, told))
    world.fold()


def listed(world: World) -> list[Any]:
    answer = world.get("/v1/worklists/links", keeper(world))
    assert answer.status_code == 200, answer.text
    assert answer.json()["is_whole"] is True
    found: list[Any] = answer.json()["links"]
    return found


@pytest.mark.parametrize("kind", list(LinkKind))
def test_a_link_stands_on_the_list_until_the_records_are_joined(
    world: World, maria: UUID, john: UUID, kind: LinkKind
) -> None:
    assert listed(world) == []
    linked(world, kind, JOHN)
    (told,) = listed(world)
    survivor, retired = (john, maria) if kind is LinkKind.REPLACED_BY else (maria, john)
    assert (told["patient_id"], told["other"], told["kind"]) == (str(maria), str(john), kind.value)
    assert told["because"].startswith(f"{maria}/")
    assert told["preview"] == f"/v1/patients/{survivor}/merges/preview?patient={retired}"
    assert JOHN not in world.get("/v1/worklists/links", keeper(world)).text
    assert world.client.get(told["preview"], headers=keeper(world)).status_code == 200
    merged = world.command(f"/v1/patients/{survivor}/merges", keeper(world), {"patient": str(retired), **WHY})
    assert merged.status_code == 201
    world.fold()
    assert listed(world) == []


def test_a_statement_that_is_wrong_is_marked_in_error(world: World, maria: UUID, john: UUID) -> None:
    linked(world, LinkKind.REPLACES, JOHN)
    (told,) = listed(world)
    stream, version = told["because"].rsplit("/", 1)
    marked = world.command(f"/v1/patients/{maria}/events/{stream}/{version}/error", keeper(world), WHY)
    assert marked.status_code == 201, marked.text
    world.fold()
    assert listed(world) == []


def test_another_record_that_is_not_known_and_a_restricted_one(world: World, maria: UUID) -> None:
    linked(world, LinkKind.REPLACES, "unheard-of", "mrn")
    world.tell((PATIENT, RestrictionApplied(code="R")))
    world.fold()
    (told,) = listed(world)
    assert (told["patient_id"], told["other"], told["preview"]) == (str(maria), None, None)


def test_nobody_else_sees_of_it(world: World, maria: UUID, john: UUID) -> None:
    linked(world, LinkKind.REPLACES, JOHN)
    for role in ("clinician", "auditor", "operator"):
        assert world.get("/v1/worklists/links", world.staff(role)).status_code == 403
    for headers, base in ((world.staff(), f"/v1/patients/{maria}"), (world.patient(MARIA), "/v1/me")):
        answer = world.get(base, headers)
        assert answer.status_code == 200
        assert "reported_links" not in answer.json()
        assert JOHN not in answer.text
    history = world.get("/v1/me/history", world.patient(MARIA))
    assert LinkReported.stored not in history.text


def test_whose_link_was_read_is_in_the_log_of_accesses(world: World, maria: UUID, john: UUID) -> None:
    linked(world, LinkKind.REPLACES, JOHN)
    listed(world)
    accesses = world.get(f"/v1/patients/{maria}/accesses", keeper(world)).json()["accesses"]
    assert any(each["role"] == "privacy-officer" and each["what"] == "patient_index" for each in accesses)
