"""Evidence over HTTP: who is given it, with which words, and what it says when there is none."""

import io
import zipfile
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from tests.api_world import DOCTOR, MARIA, World
from tests.outsider import Outsider
from tests.sealed_world import KEY
from tests.sealed_world import seal_world as seal

pytestmark = pytest.mark.postgres


@pytest.fixture
def maria(world: World) -> UUID:
    patient_id = world.register(MARIA, "Specimen")
    world.tell((CARE_PLAN, NeedRaised(need="1", concern="work")))
    return patient_id


def path(patient_id: object) -> str:
    return f"/v1/patients/{patient_id}/evidence"


def names(content: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return set(archive.namelist())


def test_an_auditor_is_given_what_an_outsider_can_check(
    world: World, maria: UUID, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    size = seal(world, tmp_path)
    answer = world.get(path(maria), world.staff("auditor"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-position"] == str(size)
    assert str(maria) not in answer.headers["content-disposition"]
    export = tmp_path / "export.zip"
    export.write_bytes(answer.content)
    found = Outsider(tmp_path_factory.mktemp("packages")).run(str(export), "--key", KEY)
    assert found.code == 0, found.told


def test_words_are_for_those_who_may_read_them(world: World, maria: UUID, tmp_path: Path) -> None:
    seal(world, tmp_path)
    for role, has_words in (("auditor", True), ("clinician", True), ("privacy-officer", False)):
        answer = world.get(path(maria), world.staff(role))
        assert answer.status_code == 200, role
        assert any(name.startswith("payloads/") for name in names(answer.content)) == has_words


def test_somebody_elses_patient_and_nobody_answer_alike(world: World, maria: UUID, tmp_path: Path) -> None:
    seal(world, tmp_path)
    stranger = world.staff("clinician", subject="555000000099", organisation="RZZ")
    answers = [world.get(path(each), stranger) for each in (maria, uuid4(), "nobody")]
    assert [each.status_code for each in answers] == [404, 404, 404]
    assert len({each.content for each in answers}) == 1
    assert world.get(path(maria), world.staff("clinician", subject=DOCTOR)).status_code == 200


@pytest.mark.parametrize("role", ["operator", "publisher"])
def test_others_are_refused(world: World, maria: UUID, role: str) -> None:
    answer = world.get(path(maria), world.staff(role))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


def test_patients_are_told_why_they_are_refused(world: World, maria: UUID, tmp_path: Path) -> None:
    seal(world, tmp_path)
    for patient_id in (maria, uuid4()):
        answer = world.get(path(patient_id), world.patient())
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/evidence-withheld")


def test_it_is_in_the_access_log(world: World, maria: UUID, tmp_path: Path) -> None:
    seal(world, tmp_path)
    world.get(path(maria), world.staff("auditor"))
    newest = world.get(f"/v1/patients/{maria}/accesses", world.staff("auditor")).json()["accesses"][0]
    assert (newest["what"], newest["outcome"], newest["role"]) == ("evidence", "export", "auditor")


def test_what_is_not_signed_yet_comes_later(world: World, maria: UUID, tmp_path: Path) -> None:
    auditor = world.staff("auditor")
    answer = world.get(path(maria), auditor)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unsealed")
    assert answer.headers["retry-after"] == "5"
    size = seal(world, tmp_path)
    assert world.get(path(maria), auditor, **{"min-position": size}).status_code == 200
    later = world.get(path(maria), auditor, **{"min-position": size + 1})
    assert (later.status_code, later.json()["type"]) == (503, "/problems/behind")


def test_growth_is_shown_from_a_checkpoint_that_was_signed(world: World, maria: UUID, tmp_path: Path) -> None:
    size = seal(world, tmp_path)
    world.tell((CARE_PLAN, NeedRaised(need="2", concern="sleep")))
    seal(world, tmp_path)
    auditor = world.staff("auditor")
    assert "checkpoint.old" in names(world.get(path(maria), auditor, since=size).content)
    refused = world.get(path(maria), auditor, since=size - 1)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["parameter"] == "since"


def test_nothing_is_given_away_that_does_not_hold(world: World, maria: UUID, tmp_path: Path) -> None:
    seal(world, tmp_path)
    with world.database.connect("owner") as owner:
        owner.execute("alter table log.events disable trigger user")
        owner.execute("update log.events set occurred_at = occurred_at + interval '1 day' where position = 1")
    answer = world.get(path(maria), world.staff("auditor"))
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/evidence-broken")
