"""One writing process of the race: python -m tests.racer URL KEY_FILE ANSWERS NAME SECONDS.

Each line of ANSWERS is written once the writer has acknowledged: what was acknowledged must be in the log.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid4

import orjson
import psycopg

from domain.appointment import AppointmentBooked, RequestChange
from domain.care_plan import NeedRaised, RaiseNeed
from domain.facts import CARE_PLAN, Category, Target
from domain.pathway import DiagnosisAgreed
from infra.keys import FileKeyProvider, KeyRing
from infra.writing.batch import Batch
from infra.writing.log import Appended, Known, Log, Stale
from infra.writing.work import Part, Work
from infra.writing.writer import Writer
from tests.works import called, message, part

PATIENTS = 6


class CountingLog(Log):
    """Tells how often each answer was given, so that a race without races is noticed."""

    def __init__(self, url: str, keys: KeyRing) -> None:
        super().__init__(lambda: psycopg.connect(url, autocommit=True, application_name="racer"), keys)
        self.counts: Counter[str] = Counter()

    def append(
        self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
    ) -> Appended | Stale | Known:
        answer = super().append(seen, reads, batch, not_after)
        self.counts[type(answer).__name__] += 1
        return answer


def parts(name: str, number: int) -> list[Part]:
    """Something new, something that others may have told already, and sometimes a command that may be refused."""
    someone = called(f"{random.randrange(PATIENTS)}")
    visit = Target(Category.APPOINTMENT, f"{random.randrange(3)}")
    new = part((CARE_PLAN, NeedRaised(need=f"{name}/{number}", concern="c")), patient=someone)
    common = part((CARE_PLAN, RaiseNeed(need=f"{random.randrange(20)}", concern="c")), patient=someone)
    booked = part((visit, AppointmentBooked(place=f"{random.randrange(4)}")), patient=someone)
    refusable = part((visit, RequestChange(wish=random.choice(["cancel", "reschedule"]))), patient=someone)
    linking = part(
        (Target(Category.PATHWAY, "p"), DiagnosisAgreed(icd10=f"C{random.randrange(10, 99)}")),
        patient=called(someone.identifiers[0].value, f"{name}-{number % 7}-{someone.identifiers[0].value}"),
    )
    return [new, *random.sample([common, booked, refusable, linking], random.randrange(4))]


def batch(name: str, number: int, earlier: list[Work]) -> list[Work]:
    works = [message(f"{name}/{number + each}", parts(name, number + each)) for each in range(random.randrange(1, 8))]
    redelivered = random.sample(earlier, min(len(earlier), random.randrange(3)))
    return works + redelivered


def append_and_roll_back(url: str) -> None:
    """Another way in that dies with its transaction open, and sometimes commits after all."""
    with suppress(psycopg.OperationalError, ZeroDivisionError), psycopg.connect(url, application_name="racer") as raw:
        raw.execute("select log.append_library_events(%s, %s, %s, %s)", [[uuid4()], [1], ["raw"], [b""]])
        if random.random() < 0.8:
            raise ZeroDivisionError


def race(url: str, writer: Writer, name: str, seconds: float, answers: TextIO) -> Counter[str]:
    until, number, earlier, counts = time.monotonic() + seconds, 0, list[Work](), Counter[str]()
    while time.monotonic() < until:
        works = batch(name, number, earlier)
        number += len(works)
        try:
            outcomes = writer.write(works)
        except psycopg.Error:
            counts["given up"] += 1
            continue
        for work, outcome in zip(works, outcomes, strict=True):
            told: list[Any] = [work.key.decode(), outcome.outcome, outcome.first_position, outcome.last_position]
            answers.write(orjson.dumps(told).decode() + "\n")
        earlier = [*earlier, *works][-50:]
        if random.random() < 0.2:
            append_and_roll_back(url)
            counts["raw transactions"] += 1
    return counts


def main(url: str, key_file: str, answers: str, name: str, seconds: str) -> None:
    random.seed(name)
    keys = KeyRing(FileKeyProvider(Path(key_file)))
    log = CountingLog(url, keys)
    # So small that streams are forgotten and read again all the time.
    with closing(Writer(log, keys, limit_bytes=200_000)) as writer, Path(answers).open("w", buffering=1) as file:
        counts = race(url, writer, name, float(seconds), file)
    sys.stdout.write(orjson.dumps(counts + log.counts).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
