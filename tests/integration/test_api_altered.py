"""A stored event that was altered under the service: nothing is read from it, and whoever operates it hears so."""

from uuid import UUID

import pytest
from structlog.testing import capture_logs

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from tests.api_world import World

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("path", ["replay", "history", "why?field=/needs", "diff?from=0&to=9"])
def test_what_does_not_open_is_not_answered_and_is_an_alarm(world: World, maria: UUID, path: str) -> None:
    world.tell((CARE_PLAN, NeedRaised(need="1", concern="budgerigars")))
    address = f"/v1/patients/{maria}/{path}"
    assert world.get(address, world.staff()).status_code == 200
    with world.database.connect("postgres") as superuser:
        superuser.execute("set session_replication_role = replica")
        superuser.execute("update log.events set payload = set_byte(payload, 20, get_byte(payload, 20) # 1)")
    with capture_logs() as logs:
        answer = world.get(address, world.staff())
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert [(each["event"], each["log_level"]) for each in logs] == [("key_unusable", "critical")]
