"""P5: an auditor replays a person's 200 events and sees what each of them changed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from statistics import median
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline
from infra.garbage import spare_what_is_held
from infra.payloads import COLUMNS
from infra.writing.writer import Writer
from projections.catalogue import PROJECTIONS, STORED
from projections.past.replay import steps
from projections.reading.reads import Reader, Reading
from projections.tables import generations
from tests.benchmarks.ballast import grow
from tests.benchmarks.figures import Figure, at_most, times_at_most
from tests.benchmarks.lab import Lab
from tests.benchmarks.stock_replay import StockAuditor
from tests.benchmarks.traffic import fill, in_rounds, patients, reports
from tests.conftest import Database

EVENTS = 200
WATCHED = 20
OTHERS, OTHERS_EVENTS = 350, 40
SIZES = (20_000, 100_000)
TURNS = 3
AUDITOR = Reader(actor="auditor", role="auditor", any_patient=True, purpose="clinical-audit")
MOST_MS, MOST_OF_FLOOR, MOST_GROWTH = 12.0, 7.0, 1.2
_ROWS = f"select {COLUMNS} from log.events where patient_id = %b order by patient_seq"


def run(lab: Lab, sizes: Sequence[int] = SIZES) -> list[Figure]:
    """The figures are those of the second size; how they grow is told of each."""
    logs: dict[int, tuple[Database, list[UUID]]] = {}
    for size in sizes:
        lab.say(f"P5: a log of {size:,} events")
        logs[size] = _log(lab, size)
    with closing(StockAuditor(lab, "p5_stock", [reports(person, EVENTS) for person in range(WATCHED)])) as stock:
        lab.say("P5: replaying")
        spare_what_is_held()  # as the process does that serves replays
        return _figures(asyncio.run(_measure(logs, stock)), sizes)


def _log(lab: Lab, size: int) -> tuple[Database, list[UUID]]:
    """Persons to watch, of exactly 200 events, among others in a log of `size` events."""
    database = lab.database(f"p5_{size}")
    writer, pipeline = Writer(database.log(), database.keys), Pipeline(database.keys)
    watched = [reports(person, EVENTS * 2) for person in range(WATCHED)]
    others = [reports(person, OTHERS_EVENTS) for person in range(WATCHED, WATCHED + OTHERS)]
    fill(writer, pipeline, in_rounds([*(told[: EVENTS - 40] for told in watched), *others]))
    with database.connect("auditor") as reading:
        for told in watched:
            _complete(reading, writer, pipeline, told[EVENTS - 40 :])
    writer.close()
    persons = [patient_id for patient_id, events in patients(database) if events == EVENTS]
    with database.connect("projector") as projector:
        generations.ensure(projector, STORED)
    grow(database, size)
    return database, persons


def _complete(reading: "psycopg.Connection[Any]", writer: Writer, pipeline: Pipeline, told: list[RawMessage]) -> None:
    """One message after the other until the person has as many events as are wanted."""
    for message in told:
        outcome = writer.submit(pipeline.work(message))
        row = reading.execute(
            "select patient_seq from log.events where position = %s", [outcome.last_position]
        ).fetchone()
        if row is not None and row[0] >= EVENTS:
            return
    raise ValueError("the person's messages did not suffice")


class Auditor:
    """One log, read as the API reads it: the access noted in the same statement, keys and connection warm."""

    def __init__(self, database: Database, watched: list[UUID]) -> None:
        self.watched = watched
        self.pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            database.url("reader"), open=False, min_size=1, max_size=1, kwargs={"autocommit": True}
        )
        self._reading = Reading(self.pool, database.keys)

    async def replay(self, patient_id: UUID) -> None:
        past = await self._reading.past(patient_id, AUDITOR, "replay")
        if len(steps(PROJECTIONS, past)) != EVENTS:
            raise ValueError("not every event was replayed")

    async def select(self, patient_id: UUID) -> None:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(_ROWS, [patient_id], binary=True)
            await cursor.fetchall()


async def _measure(logs: Mapping[int, tuple[Database, list[UUID]]], stock: StockAuditor) -> dict[str, list[float]]:
    """Median milliseconds by what was done, for each turn."""
    measured: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        auditors = {size: Auditor(*log) for size, log in logs.items()}
        for auditor in auditors.values():
            await stack.enter_async_context(auditor.pool)
        for turn in range(TURNS + 1):
            for size, auditor in auditors.items():
                replayed = await _median_ms(auditor.replay, auditor.watched)
                selected = await _median_ms(auditor.select, auditor.watched)
                if turn > 0:  # the first turn warms the server's and the process's caches
                    measured.setdefault(f"replay {size}", []).append(replayed)
                    measured.setdefault(f"select {size}", []).append(selected)
            if turn > 0:
                measured.setdefault("stock", []).append(median(_ms_of(stock, person) for person in stock.persons))
    return measured


def _ms_of(stock: StockAuditor, person: list[UUID]) -> float:
    began = time.perf_counter()
    if not stock.replay(person):
        raise ValueError("nothing was replayed")
    return (time.perf_counter() - began) * 1000


async def _median_ms(once: Callable[[UUID], Awaitable[None]], watched: list[UUID]) -> float:
    taken = []
    for patient_id in watched:
        began = time.perf_counter()
        await once(patient_id)
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)


def _figures(measured: Mapping[str, list[float]], sizes: Sequence[int]) -> list[Figure]:
    small, usual, *_ = sizes
    ours, floor = measured[f"replay {usual}"], measured[f"select {usual}"]
    return [
        times_at_most("P5 replay against stock", ours, measured["stock"], None),
        at_most("P5 replay of 200 events with every difference, p50", ours, MOST_MS),
        times_at_most("P5 replay against select of the rows", ours, floor, MOST_OF_FLOOR),
        *(
            times_at_most(
                f"P5 replay in {size:,} against {small:,} events in the log",
                measured[f"replay {size}"],
                measured[f"replay {small}"],
                MOST_GROWTH,
            )
            for size in sizes[1:]
        ),
    ]
