"""Readers who ask for the same people again and again: what they get is never missing and never goes back."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from infra.keys import KeyRing
from projections.folds.plan import PLAN
from projections.reading.reads import Reader, Reading, Served

AUDITOR = Reader(actor="555000000009", role="auditor", any_patient=True, purpose="clinical-audit")


class Watching:
    """Of patients whose plan was folded before. `behind`: for how many seconds, at each answer, the oldest event that
    the projection lacked had waited; `wrong`: in words, each answer that should not have been."""

    def __init__(self, url: str, keys: KeyRing, patients: Sequence[UUID], pause_seconds: float = 0.02) -> None:
        self._url = url
        self._keys = keys
        self._patients = patients
        self._pause = pause_seconds
        self.answers = 0
        self.behind: list[float] = []
        self.wrong: list[str] = []

    def run(self, stopping: threading.Event) -> None:
        asyncio.run(self._run(stopping))

    async def _run(self, stopping: threading.Event) -> None:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            self._url, open=False, min_size=2, kwargs={"autocommit": True}
        )
        async with pool:
            reading = Reading(pool, self._keys)
            await asyncio.gather(*(self._poll(reading, each, stopping) for each in self._patients))

    async def _poll(self, reading: Reading, patient: UUID, stopping: threading.Event) -> None:
        before: Served | None = None
        while not stopping.is_set():
            served = await reading.document(PLAN, patient, AUDITOR)
            self.answers += 1
            self.behind.append(served.standing.seconds_behind)
            self.wrong.extend(wrongs(before, served))
            if served.document is not None:
                before = served
            await asyncio.sleep(self._pause)


def wrongs(before: Served | None, served: Served) -> Iterator[str]:
    """What is amiss with an answer after another one of the same patient."""
    if served.document is None:
        yield "nothing was served"
        return
    if before is None or before.document is None:
        return
    if served.standing.checkpoint < before.standing.checkpoint:
        yield f"position {served.standing.checkpoint} after {before.standing.checkpoint}"
    if served.standing.through < before.standing.through:
        yield f"a document through {served.standing.through} after one through {before.standing.through}"
    if len(served.document["needs"]) < len(before.document["needs"]):
        yield "an older document after a newer one"


@contextmanager
def meanwhile(*jobs: Callable[[threading.Event], None]) -> Iterator[None]:
    stopping = threading.Event()
    threads = [threading.Thread(target=job, args=[stopping]) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
