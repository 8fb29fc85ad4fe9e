"""P2: one command through the write path, sixteen callers at once; alone, and beside ingest by another process."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import chain, cycle, islice
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline, ingest
from domain.care_plan import NeedRaised, RaiseNeed
from domain.facts import CARE_PLAN, Agent, Provenance
from domain.times import at
from infra.keys import FileKeyProvider, KeyRing
from infra.writing.log import Log
from infra.writing.work import Act, Conclusion, Part, PartOutcome, Work
from infra.writing.writer import Writer
from tests.benchmarks import stock
from tests.benchmarks.figures import Figure, against, at_most, percentile
from tests.benchmarks.lab import Lab
from tests.benchmarks.traffic import BATCH, batched, fill, in_rounds, patients, reports
from tests.conftest import Database

CALLERS = 16
SECONDS = 2.5
TURNS = 3
PERSONS, EVENTS = 500, 50
INGESTED_A_SECOND = 2_000
_INGEST_BATCH = 100
_NURSE = Agent(kind="professional", identifier="nurse", name="Made Up")

# The library's ways: an aggregate for each patient, or one for each care plan.
LONG, SHORT = "patients of 50 events", "care plans"
Command = Callable[[UUID], None]


class Callers(NamedTuple):
    """What is called, and with whose id."""

    command: Command
    persons: Sequence[UUID]


def run(lab: Lab) -> list[Figure]:
    rates: dict[str, list[float]] = {}
    slowest: dict[str, list[float]] = {}
    with ExitStack() as stack:
        lab.say("P2: persons to command for")
        database = lab.database("p2")
        writer = stack.enter_context(_writing(database))
        fill(writer, Pipeline(database.keys), _history())
        ours = Callers(_submit(writer, database.keys), [patient_id for patient_id, _ in patients(database)])
        stock_ways = {
            LONG: _stock(stack, lab, "p2_long", stock.read_as_of_patient),
            SHORT: _stock(stack, lab, "p2_short", stock.read),
        }
        beside = stack.enter_context(_ingest(database.url("writer"), lab.key_file))
        for _ in range(TURNS):
            lab.say("P2: taking turns")
            _turn("alone", ours, rates, slowest)
            with beside.running():
                _turn("beside", ours, rates, slowest)
            for name, theirs in stock_ways.items():
                _turn(name, theirs, rates, slowest)
    return [
        against(f"P2 commands of 16 callers against stock, {LONG}", rates, "alone", LONG, 20, "commands/s"),
        against(f"P2 commands of 16 callers against stock, {SHORT}", rates, "alone", SHORT, None, "commands/s"),
        at_most("P2 commands of 16 callers, p99", slowest["alone"], 12),
        against(f"P2 commands beside ingest against stock, {LONG}", rates, "beside", LONG, 12, "commands/s"),
        at_most("P2 commands beside ingest, p99", slowest["beside"], 25),
        Figure("P2 ingest kept up beside commands", beside.rate(), "messages/s", INGESTED_A_SECOND, None, None, None),
    ]


def _turn(name: str, callers: Callers, rates: dict[str, list[float]], slowest: dict[str, list[float]]) -> None:
    """Every caller commands for one person after the other until the time is over."""
    deadline = time.perf_counter() + SECONDS

    def call(number: int) -> list[float]:
        taken = []
        for patient_id in cycle(callers.persons[number::CALLERS]):
            began = time.perf_counter()
            if began > deadline:
                break
            callers.command(patient_id)
            taken.append(time.perf_counter() - began)
        return taken

    began = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as threads:
        taken = list(chain.from_iterable(threads.map(call, range(CALLERS))))
    rates.setdefault(name, []).append(len(taken) / (time.perf_counter() - began))
    slowest.setdefault(name, []).append(percentile(taken, 99) * 1000)


def _submit(writer: Writer, keys: KeyRing) -> Command:
    def command(patient_id: UUID) -> None:
        outcome = writer.submit(_work(keys, patient_id, str(uuid4())))
        if outcome.outcome != "recorded":
            raise ValueError(f"a command of the benchmark ended as {outcome.outcome}")

    return command


def _work(keys: KeyRing, patient_id: UUID, key: str) -> Work:
    occurred = at(datetime.now(UTC))
    provenance = Provenance(source="/api", source_event_id=key, author=_NURSE).model_dump_json(exclude_none=True)
    raised = RaiseNeed(need=key, concern="sleep")
    act = Act(CARE_PLAN, raised, occurred, provenance.encode())
    return Work(
        source="/api",
        key=keys.digest("receipt", "/api", key),
        digest=hashlib.sha256(raised.model_dump_json().encode()).digest(),
        parts=(Part(patient_id, (act,), provenance.encode(), occurred),),
        conclude=_conclude,
    )


def _conclude(outcomes: list[PartOutcome]) -> Conclusion:
    return Conclusion("rejected" if outcomes[0].refusal else "recorded", b"{}")


def _stock(stack: ExitStack, lab: Lab, name: str, read: Callable[[RawMessage], stock.Report]) -> Callers:
    """Commands for the aggregates that have the care plans in them, as `read` cuts them."""
    cases = stock.Cases(env=stock.environment(lab, lab.empty(name), connections=CALLERS))
    stack.callback(cases.close)
    held: dict[UUID, stock.Case] = {}
    plans: dict[UUID, stock.Report] = {}
    for batch in batched(_history(), BATCH):
        told = list(map(read, batch))
        cases.save_together(held, told)
        plans.update((report.case_id, report) for report in told if "care-plan" in report.kind)

    def command(case_id: UUID) -> None:
        raised = NeedRaised(need=str(uuid4()), concern="sleep")
        now = datetime.now(UTC).isoformat()
        cases.load_and_save(plans[case_id]._replace(kind=raised.stored, occurred=now, fact=raised.model_dump()))

    return Callers(command, list(plans))


def _history() -> list[RawMessage]:
    return in_rounds(reports(person, EVENTS) for person in range(PERSONS))


@contextmanager
def _writing(database: Database) -> Iterator[Writer]:
    writer = Writer(database.log(), database.keys)
    try:
        yield writer
    finally:
        writer.close()


class Beside:
    """Another process, the consumer's part, that ingests at a steady pace while it may."""

    def __init__(self, may: Event, done: "Synchronized[int]") -> None:
        self._may = may
        self._done = done
        self._seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.perf_counter()
        self._may.set()
        try:
            yield
        finally:
            self._may.clear()
            self._seconds += time.perf_counter() - began

    def rate(self) -> float:
        return self._done.value / self._seconds


@contextmanager
def _ingest(url: str, key_file: Path) -> Iterator[Beside]:
    context = get_context("spawn")
    may, ready, over = context.Event(), context.Event(), context.Event()
    done: Synchronized[int] = context.Value("i", 0)
    process = context.Process(target=_ingest_at_pace, args=[url, key_file, may, ready, over, done], daemon=True)
    process.start()
    try:
        if not ready.wait(120):
            raise TimeoutError("the ingesting process did not start")
        yield Beside(may, done)
    finally:
        over.set()
        may.set()
        process.join(30)
        process.terminate()


def _ingest_at_pace(url: str, key_file: Path, may: Event, ready: Event, over: Event, done: "Synchronized[int]") -> None:
    keys = KeyRing(FileKeyProvider(key_file))
    writer, pipeline = Writer(Log(lambda: psycopg.connect(url, autocommit=True), keys), keys), Pipeline(keys)
    others = in_rounds(reports(person, 40) for person in range(PERSONS, PERSONS + _persons_needed()))
    batches = batched(others, _INGEST_BATCH)
    fill(writer, pipeline, chain.from_iterable(islice(batches, 5)))
    ready.set()
    due = 0.0
    for batch in batches:
        if not may.is_set():
            may.wait()
            due = time.perf_counter()
        if over.is_set():
            break
        ingest(writer, pipeline, batch)
        done.value += len(batch)
        due += _INGEST_BATCH / INGESTED_A_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
    writer.close()


def _persons_needed() -> int:
    """With the messages of a turn to spare."""
    return int(INGESTED_A_SECOND * SECONDS * (TURNS + 1)) // 35
