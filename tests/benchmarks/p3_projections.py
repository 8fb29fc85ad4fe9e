"""P3: live projections by refold, all that are stored, with a fifth of the events late."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from uuid import UUID

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline, ingest
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.keeping.keeper import Advance
from projections.live.engine import Engine
from tests.benchmarks import stock
from tests.benchmarks.figures import Figure, against, at_most, in_turns, percentile
from tests.benchmarks.lab import Lab
from tests.benchmarks.traffic import BATCH, batched, in_rounds, reports
from tests.conftest import Database

PERSONS = 120
LATE = 0.2
TURNS = 3
TURN = 1_000
SAMPLE = 200
# Persons' events before measuring, and the ratio to reach.
BARS = {50: 6.0, 200: 3.0}
PACE = 200
PACED_SECONDS = 5

Turn = Callable[[], float]


class Source:
    """A log of some persons that grows by their later reports."""

    def __init__(self, database: Database, persons: int, events: int, more: int) -> None:
        self.database = database
        self._pipeline = Pipeline(database.keys)
        self._writer = Writer(database.log(), database.keys)
        told = [reports(person, events + more // persons + 1, LATE) for person in range(persons)]
        self.before = in_rounds(each[:events] for each in told)
        self.later = iter(in_rounds(each[events:] for each in told))
        self.write(self.before)

    def write(self, messages: list[RawMessage]) -> int:
        """Returns the last position written."""
        last = 0
        for batch in batched(messages, BATCH):
            for outcome in ingest(self._writer, self._pipeline, batch):
                last = outcome.last_position or last
        return last

    def close(self) -> None:
        self._writer.close()


def run(lab: Lab) -> list[Figure]:
    figures = []
    for events, bar in BARS.items():
        figures += _refold(lab, events, bar)
    return [*figures, *_visibility(lab)]


def _refold(lab: Lab, events: int, bar: float) -> list[Figure]:
    with ExitStack() as stack:
        lab.say(f"P3: persons of {events} events")
        kept, anew = (
            stack.enter_context(closing(Source(lab.database(f"p3_{events}_{name}"), PERSONS, events, TURN * TURNS)))
            for name in ("kept", "anew")
        )
        contestants = {
            "kept": _ours(stack, lab, kept, None),
            "read anew": _ours(stack, lab, anew, 0),
            "stock": _stock(stack, lab, f"p3_stock_{events}", kept),
        }
        rates = in_turns(contestants, TURNS)
    name = f"P3 live projections against stock, persons of {events} events"
    return [
        against(name, rates, "kept", "stock", bar, "events/s"),
        against(f"{name}, every history read anew", rates, "read anew", "stock", bar, "events/s"),
    ]


def _ours(stack: ExitStack, lab: Lab, source: Source, limit_bytes: int | None) -> Turn:
    """Rate of the engine over events that are already written; `limit_bytes` 0 keeps no decoded history."""
    bound = {} if limit_bytes is None else {"limit_bytes": limit_bytes}
    engine = Engine(lambda: source.database.connect("projector"), lab.keys(), STORED, **bound)
    stack.callback(engine.close)
    engine.catch_up()

    def once() -> float:
        before = engine.catch_up()
        source.write(list(islice(source.later, TURN)))
        began = time.perf_counter()
        return (engine.catch_up() - before) / (time.perf_counter() - began)

    return once


def _stock(stack: ExitStack, lab: Lab, name: str, source: Source) -> Turn:
    environment = stock.environment(lab, lab.empty(name))
    cases = stock.Cases(env=environment)
    stack.callback(cases.close)
    held: dict[UUID, stock.Case] = {}
    parts = batched(map(stock.read, source.before[: SAMPLE * (TURNS + 1)]), SAMPLE)

    def once() -> float:
        cases.save_together(held, next(parts))
        return stock.project(environment, cases.recorder.max_notification_id() or 0)

    return once


def _visibility(lab: Lab) -> list[Figure]:
    """From the moment a command is durable until its documents are, at a steady pace; engine and writer as they run
    in production, here in threads of one process."""
    lab.say(f"P3: from durable to visible at {PACE} events/s")
    with ExitStack() as stack:
        source = stack.enter_context(closing(Source(lab.database("p3_visible"), PERSONS, 20, PACE * PACED_SECONDS)))
        engine = Engine(lambda: source.database.connect("projector"), lab.keys(), STORED)
        engine.catch_up()
        waits = _paced(source, engine)
    return [
        at_most(f"P3 durable to visible at {PACE} events/s, p95", [percentile(waits, 95)], 250),
        at_most(f"P3 durable to visible at {PACE} events/s, p99", [percentile(waits, 99)], 1000),
    ]


def _paced(source: Source, engine: Engine) -> list[float]:
    written: list[tuple[int, float]] = []
    visible: list[tuple[int, float]] = []
    stopping = threading.Event()

    def advanced(advance: Advance) -> None:
        visible.append((advance.through, time.perf_counter()))

    runner = threading.Thread(target=engine.run, args=[stopping.is_set, advanced])
    runner.start()
    began = time.perf_counter()
    for number, message in enumerate(islice(source.later, PACE * PACED_SECONDS)):
        time.sleep(max(0.0, began + number / PACE - time.perf_counter()))
        if last := source.write([message]):
            written.append((last, time.perf_counter()))
    _until(lambda: bool(visible) and visible[-1][0] >= written[-1][0])
    stopping.set()
    runner.join()
    engine.close()
    return list(_waits(written, visible))


def _waits(written: list[tuple[int, float]], visible: list[tuple[int, float]]) -> Iterator[float]:
    """Milliseconds from each event's being durable to the end of the batch that holds it."""
    steps = iter(visible)
    through, at = next(steps)
    for position, durable in written:
        while through < position:
            through, at = next(steps)
        yield (at - durable) * 1000


def _until(reached: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError("the projections did not catch up")
        time.sleep(0.02)
