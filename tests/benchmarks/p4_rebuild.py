"""P4: all projections rebuilt from encrypted events, by one process and by two, against the library and a floor."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import NamedTuple

import psycopg
from psycopg import sql

from consumers.pipeline import Pipeline
from infra.keys import FileKeyProvider
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.rebuild import bulk, rebuilding
from projections.rebuild.rebuilding import EVENTS_A_RANGE, Progress, Terms, rebuild
from projections.tables import generations
from projections.tables.tools import Tools
from tests.benchmarks import stock
from tests.benchmarks.figures import Figure, against, in_turns
from tests.benchmarks.lab import Lab
from tests.benchmarks.traffic import batched, fill, in_rounds, reports
from tests.conftest import Database
from tests.processes import ROOT

EVENTS = 100
PERSONS = 300
MANY = 10_000
TURNS = 3
SAMPLE = 300
_OUT = """copy (select * from log.events where patient_id >= {first} and patient_id <= {last}
                order by patient_id, patient_seq) to stdout (format binary)"""


class Filled(NamedTuple):
    """A log of so many events, and what its documents are as bytes: by table, for the floor."""

    database: Database
    tools: Tools
    events: int


def run(lab: Lab) -> list[Figure]:
    return _measured(lab, PERSONS)


def run_large(lab: Lab) -> list[Figure]:
    """A million events."""
    return _measured(lab, MANY)


def _measured(lab: Lab, persons: int) -> list[Figure]:
    with ExitStack() as stack:
        filled = log_of(lab, "p4", persons)
        rebuild(filled.tools, STORED, Terms(sample=0), lambda _: None)
        contestants = {
            "two": lambda: _rate(filled, 2),
            "one": lambda: _rate(filled, 1),
            "floor": _floor(stack, filled),
            "stock": _stock(stack, lab),
        }
        lab.say("P4: rebuilding")
        rates = in_turns(contestants, TURNS)
    return [
        against("P4 rebuild in one process against stock", rates, "one", "stock", 100, "events/s"),
        against("P4 rebuild in one process against the floor", rates, "one", "floor", 0.3, "events/s"),
        against("P4 rebuild in two processes against one", rates, "two", "one", 1.7, "events/s"),
    ]


def log_of(lab: Lab, name: str, persons: int) -> Filled:
    """People of about EVENTS events each, told in turns as in a running system. A log of MANY is made once and copied
    for each who asks."""
    if persons != MANY:
        return _log_of(lab, name, persons)
    made: Filled = lab.once("million", lambda: _log_of(lab, "million", persons))
    database = lab.copy(name, made.database)
    return made._replace(database=database, tools=_tools(lab, database))


def _log_of(lab: Lab, name: str, persons: int) -> Filled:
    lab.say(f"{name}: writing {persons * EVENTS:,} events")
    database = lab.database(name)
    pipeline = Pipeline(database.keys)
    with closing(Writer(database.log(), database.keys)) as writer:
        for some in batched(range(persons), 1_000):
            fill(writer, pipeline, in_rounds(reports(person, EVENTS) for person in some))
    with database.connect("owner") as owner:
        owner.execute("vacuum analyze log.events")
        row = owner.execute("select max(position) from log.events").fetchone()
    return Filled(database, _tools(lab, database), row[0] if row else 0)


def _tools(lab: Lab, database: Database) -> Tools:
    return Tools(database.url("projector"), partial(FileKeyProvider, lab.key_file))


def environment(lab: Lab, filled: Filled) -> dict[str, str]:
    """What our processes find in theirs."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ENVIRONMENT": "development",
        "DATA_DIR": str(lab.folder),
        "DATABASE_URL_PROJECTOR": filled.tools.database_url,
        "DATABASE_URL_READER": filled.database.url("reader"),
        "DATABASE_URL_WRITER": filled.database.url("writer"),
        "KEY_FILE": str(lab.key_file),
        "LOG_LEVEL": "ERROR",
    }


def _rate(filled: Filled, processes: int) -> float:
    """Events a second from the first range done to the last, so that starting Python does not count."""
    times: list[tuple[float, int]] = []

    def told(at: Progress) -> None:
        if at.phase == "filling":
            times.append((time.perf_counter(), at.done))

    rebuild(filled.tools, STORED, Terms(processes=processes, sample=0), told)
    for each in STORED:
        rebuilding.drop_old(filled.tools, each)
    (began, first), (ended, last) = times[processes - 1], times[-1]
    return (last - first) / (ended - began)


def _floor(stack: ExitStack, filled: Filled) -> Callable[[], float]:
    """The same rows out in the same order and ranges, looked at by nobody; the same documents in."""
    connection = stack.enter_context(filled.tools.connect())
    ranges = bulk.ranges(connection, filled.events, EVENTS_A_RANGE)
    documents = {each.name: _taken(connection, each.name) for each in STORED}

    def once() -> float:
        began = time.perf_counter()
        for among in ranges:
            _read(connection, sql.SQL(_OUT).format(first=among.first, last=among.last))
        for name, taken in documents.items():
            _written(connection, f"floor_{name}", taken)
        seconds = time.perf_counter() - began
        for name in documents:
            connection.execute(f"drop table read.floor_{name}")
        return filled.events / seconds

    return once


def _taken(connection: "psycopg.Connection[None]", projection: str) -> bytes:
    columns = "patient_id, through_position, key_id, body, clear"
    query = f"copy (select {columns} from read.{projection}) to stdout (format binary)"
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(bytes(data) for data in copy)


def _read(connection: "psycopg.Connection[None]", query: sql.Composed) -> None:
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for _ in copy:
            pass


def _written(connection: "psycopg.Connection[None]", table: str, taken: bytes) -> None:
    generations.create(connection, table)
    with connection.cursor() as cursor, cursor.copy(f"copy read.{table} from stdin (format binary)") as copy:
        for start in range(0, len(taken), 1_000_000):
            copy.write(taken[start : start + 1_000_000])
    generations.index(connection, table)


def _stock(stack: ExitStack, lab: Lab) -> Callable[[], float]:
    environment = stock.environment(lab, lab.empty("p4_stock"))
    cases = stock.Cases(env=environment)
    stack.callback(cases.close)
    told = in_rounds(reports(person, 20) for person in range(100))
    parts = batched(map(stock.read, told), SAMPLE)
    held: dict[object, stock.Case] = {}

    def once() -> float:
        cases.save_together(held, next(parts))  # type: ignore[arg-type]
        return stock.project(environment, cases.recorder.max_notification_id() or 0)

    return once
