"""A clock that jumps ahead is not believed at once, and is not doubted for ever."""

from datetime import UTC, datetime, timedelta

from infra.writing.steady import DOUBTED_SECONDS, TOLERANCE, SteadyTime

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Clocks:
    """One that is set, and one that only passes."""

    def __init__(self) -> None:
        self.wall, self.passed = START, 100.0
        self.steady = SteadyTime(lambda: self.wall, lambda: self.passed)

    def after(self, seconds: float, jump: timedelta = timedelta()) -> timedelta:
        """How far beyond the start the last moment is that may be stamped, tolerance left out."""
        self.passed += seconds
        self.wall += timedelta(seconds=seconds) + jump
        return self.steady.latest() - TOLERANCE - START


def test_time_that_passes_is_followed() -> None:
    clocks = Clocks()
    assert [clocks.after(30).total_seconds() for _ in range(3)] == [30, 60, 90]


def test_a_jump_ahead_is_not_carried_along() -> None:
    clocks = Clocks()
    assert clocks.after(1, jump=timedelta(days=30)).total_seconds() == 1
    assert clocks.after(10).total_seconds() == 11


def test_a_jump_that_is_taken_back_leaves_nothing() -> None:
    clocks = Clocks()
    clocks.after(1, jump=timedelta(hours=1))
    assert clocks.after(1, jump=-timedelta(hours=1)).total_seconds() == 2
    assert clocks.after(DOUBTED_SECONDS + 1, jump=timedelta(hours=1)).total_seconds() == DOUBTED_SECONDS + 3


def test_a_clock_that_stays_ahead_is_the_clock() -> None:
    clocks = Clocks()
    clocks.after(1, jump=timedelta(hours=1))
    clocks.after(DOUBTED_SECONDS - 1)
    assert clocks.after(2) == timedelta(hours=1, seconds=DOUBTED_SECONDS + 2)


def test_a_clock_that_goes_back_is_followed() -> None:
    clocks = Clocks()
    assert clocks.after(1, jump=-timedelta(hours=1)) == timedelta(seconds=1, hours=-1)


def test_small_corrections_are_followed() -> None:
    clocks = Clocks()
    assert clocks.after(1, jump=TOLERANCE / 2) == timedelta(seconds=1) + TOLERANCE / 2
