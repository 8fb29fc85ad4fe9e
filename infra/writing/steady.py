"""Time that a jump forward does not carry along at once.

Every event is stamped by the database's clock. Where that clock jumps ahead, the log would stand in the future for as
long as the jump was far, since its times never go back. So a writer says after which moment nothing may be stamped: its
own clock, if that has gone no further than a second one that nobody sets.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# Servers kept in time differ by milliseconds; this leaves room for a neglected one.
TOLERANCE = timedelta(seconds=10)
# A clock that has stood ahead for so long is the right one: a machine was asleep, or its clock was mended.
DOUBTED_SECONDS = 600.0


def _now() -> datetime:
    return datetime.now(UTC)


class SteadyTime:
    """`wall` can be set by anyone; `passed` are seconds of a clock that cannot. Not thread-safe."""

    def __init__(self, wall: Callable[[], datetime] = _now, passed: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._passed = passed
        self._anchor, self._since = wall(), passed()
        self._doubted_since: float | None = None

    def latest(self) -> datetime:
        """The moment after which nothing may be stamped now."""
        wall, now = self._wall(), self._passed()
        steady = self._anchor + timedelta(seconds=now - self._since)
        if wall - steady <= TOLERANCE or self._is_believed(now):
            self._anchor, self._since, self._doubted_since = wall, now, None
            steady = wall
        return steady + TOLERANCE

    def _is_believed(self, now: float) -> bool:
        if self._doubted_since is None:
            self._doubted_since = now
        return now - self._doubted_since >= DOUBTED_SECONDS
