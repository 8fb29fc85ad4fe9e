"""All projections rebuilt while 200 events a second arrive and people read: how long it takes, and that nobody who
reads meets a gap, or an old version after a new one."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

from consumers.messages import RawMessage
from consumers.pipeline import Pipeline
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.rebuild.rebuilding import Terms, rebuild
from tests.benchmarks.figures import Figure, at_most, percentile
from tests.benchmarks.lab import Lab
from tests.benchmarks.p4_rebuild import MANY, Filled, environment, log_of
from tests.benchmarks.traffic import batched, in_rounds, patients, reports
from tests.watching import Watching, meanwhile

A_SECOND, WATCHED = 200, 8
_EACH, _LONGEST_SECONDS = 20, 1_800


def run_large(lab: Lab) -> list[Figure]:
    return measured(lab, MANY)


def measured(lab: Lab, persons: int) -> list[Figure]:
    """`persons` of some hundred events each are there before."""
    filled = log_of(lab, "beside", persons)
    lab.say("rebuild beside load: the documents that are served")
    rebuild(filled.tools, STORED, Terms(processes=2, sample=0), lambda _: None)
    watched = [patient_id for patient_id, _ in islice(patients(filled.database), WATCHED)]
    watching = Watching(filled.database.url("reader"), filled.database.keys, watched, pause_seconds=0.05)
    lab.say(f"rebuild beside load: {filled.events:,} events, {A_SECOND} more a second")
    with _running(lab, filled, "run"), closing(Writer(filled.database.log(), filled.database.keys)) as writer:
        arrivals = Arrivals(writer, Pipeline(filled.database.keys), persons)
        with meanwhile(arrivals.run, watching.run):
            seconds = _rebuilt(lab, filled)
    return [
        at_most(f"Rebuild of {filled.events:,} events beside load", [seconds], None, "s"),
        Figure(
            "Rebuild beside load: events that arrived meanwhile", arrivals.rate, "events/s", A_SECOND, None, None, None
        ),
        at_most("Rebuild beside load: answers that were missing or went back", [len(watching.wrong)], 0, "answers"),
        at_most("Rebuild beside load: answers that were looked at", [watching.answers], None, "answers"),
        at_most("Rebuild beside load: age of what readers lacked, p95", [percentile(watching.behind, 95)], None, "s"),
    ]


class Arrivals:
    """New people's events, at a steady pace; `rate` is what came of it."""

    def __init__(self, writer: Writer, pipeline: Pipeline, persons: int) -> None:
        self._writer = writer
        self._pipeline = pipeline
        self._persons = persons
        self.rate = 0.0

    def run(self, stopping: threading.Event) -> None:
        began, written = time.monotonic(), 0
        for batch in batched(self._messages(), A_SECOND // 10):
            if stopping.wait(max(0.0, began + written / A_SECOND - time.monotonic())):
                break
            self._writer.write([self._pipeline.work(message) for message in batch])
            written += len(batch)
        self.rate = written / (time.monotonic() - began)

    def _messages(self) -> Iterator[RawMessage]:
        for first in range(self._persons, self._persons * 10, _EACH):
            yield from in_rounds(reports(person, _EACH) for person in range(first, first + _EACH))


def _rebuilt(lab: Lab, filled: Filled) -> float:
    """Seconds until the new tables are served."""
    began = time.monotonic()
    with _running(lab, filled, "rebuild", "all", "--processes", "2") as process:
        if process.wait(_LONGEST_SECONDS) != 0:
            raise RuntimeError("the rebuild failed")
    return time.monotonic() - began


@contextmanager
def _running(lab: Lab, filled: Filled, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "projections", *command], env=environment(lab, filled), stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
