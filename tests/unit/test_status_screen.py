"""What the screen of the read side tells an operator to do."""

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from projections.commands.status_screen import FAR_BEHIND, Look, screen
from projections.live.standing import Other, Status

BEGAN = datetime(2026, 6, 1, tzinfo=UTC)


def shown(behind: int, others: list[Other] | None = None) -> str:
    served = Status("plan", "plan_v1", 1, 10, behind, 3.0, BEGAN, "projections vm 7")
    written = StringIO()
    Console(width=80, file=written).print(screen(Look(0.0, [served], others or [], 0, None, 10, {})))
    return " ".join(written.getvalue().split())


def test_far_behind_a_rebuild_is_advised() -> None:
    assert "rebuild all" in shown(FAR_BEHIND)


def test_a_little_behind_or_while_one_is_under_way_it_is_not() -> None:
    building = Other("plan_v2", "plan", 2, "building", 5, 100, 1, BEGAN, 2.0)
    assert "rebuild all" not in shown(FAR_BEHIND - 1)
    assert "rebuild all" not in shown(FAR_BEHIND, [building])
