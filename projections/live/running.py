"""What the processes of the read side have in common, and what Prometheus sees of them."""

import signal
import threading
from collections.abc import Callable

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from projections.keeping.keeper import Advance


def until_told_to_stop() -> Callable[[], bool]:
    """True from the first SIGTERM or Ctrl-C on."""
    stopping = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopping.set())
    return stopping.is_set


class EngineMetrics:
    """Of one runner. How far everything is, who is held back and what is being built is told by the API's."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._events = Counter("projections_events", "Events folded", registry=registry)
        self._position = Gauge("projections_position", "Checkpoint after the last batch", registry=registry)
        self._failures = Counter("projections_parked", "Folds that failed and parked their person", registry=registry)
        self._led = Gauge("projections_led", "Projections that this runner leads", registry=registry)
        self._log = structlog.get_logger("projections")

    def watch(self, led: Callable[[], int]) -> None:
        self._led.set_function(led)

    def advanced(self, advance: Advance) -> None:
        self._events.inc(advance.events)
        self._position.set(advance.through)
        self._failures.inc(advance.parked)
        self._log.info("folded", events=advance.events, persons=advance.persons, position=advance.through)


class SignalMetrics:
    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._sent = Counter("signals_sent", "Signals that the broker has acknowledged", ["kind"], registry=registry)
        self._log = structlog.get_logger("signals")

    def sent(self, kinds: dict[str, int], position: int) -> None:
        for kind, number in kinds.items():
            self._sent.labels(kind).inc(number)
        self._log.info("signalled", signals=sum(kinds.values()), position=position)
