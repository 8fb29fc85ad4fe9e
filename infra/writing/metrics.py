"""What operators see of the write path, for Prometheus. No label comes from a caller."""

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

log = structlog.get_logger(__name__)

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 400)
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)


class WriteMetrics:
    """Without a registry they are kept and shown to nobody."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._waited = Histogram(
            "append_lock_wait_seconds", "Waiting for the append lock", buckets=_SECONDS, registry=registry
        )
        self._works = Histogram("append_works", "Works in one transaction", buckets=_SIZES, registry=registry)
        self._events = Histogram("append_events", "Events in one transaction", buckets=(0, *_SIZES), registry=registry)
        self._seconds = Histogram(
            "append_seconds", "Deciding and appending one transaction", buckets=_SECONDS, registry=registry
        )
        self.answers = Counter("append_answers", "Calls of append by their answer", ["answer"], registry=registry)
        self._ahead = Gauge(
            "append_clock_ahead_seconds",
            "How far the database's clock, or the log itself, is beyond steady time; 0 when it is not",
            registry=registry,
        )
        self._is_ahead = False

    def answered(self, works: int, seconds: float) -> None:
        self._works.observe(works)
        self._seconds.observe(seconds)

    def appended(self, events: int, waited: float, ahead: float | None) -> None:
        """`ahead` as `append` tells it. Its beginning and its end are an alarm in the log."""
        self._events.observe(events)
        self._waited.observe(waited)
        seconds = max(0.0, ahead or 0.0)
        self._ahead.set(seconds)
        if (seconds > 0) is not self._is_ahead:
            self._is_ahead = seconds > 0
            log.error("clock_ahead" if self._is_ahead else "clock_steady_again", seconds=round(seconds, 1))
