"""Whose turn it is: small jobs of many callers share a transaction, large ones are cut and overtaken by small ones."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty
from typing import NamedTuple

from infra.writing.work import Outcome, Work

# Jobs with more works than this give way: they come from a batch, behind which a person must not wait.
SMALL = 16
# How long those who were answered together are waited for when they come again, since an append of many costs little
# more than an append of one.
GATHER_SECONDS = 0.001


class Job:
    """Works of one caller, who waits in `result` until all are answered."""

    __slots__ = ("_answered", "_error", "outcomes", "works")

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self.outcomes: list[Outcome] = []
        self._error: Exception | None = None
        self._answered = threading.Lock()  # held until then: several times cheaper than a future
        self._answered.acquire()

    def result(self) -> list[Outcome]:
        """Raises what the job failed with."""
        with self._answered:
            if self._error is not None:
                raise self._error
            return self.outcomes

    def wait(self, seconds: float) -> bool:
        """Whether it was answered or failed within that time."""
        if self._answered.acquire(timeout=seconds):
            self._answered.release()
            return True
        return False

    @property
    def is_done(self) -> bool:
        return self._error is not None or len(self.outcomes) == len(self.works)

    def answer(self, outcomes: Sequence[Outcome]) -> None:
        """Of the works not answered yet, in their order."""
        self.outcomes += outcomes
        if self.is_done:
            self._answered.release()

    def fail(self, error: Exception) -> None:
        """The works not answered yet have not been recorded."""
        self._error = error
        self._answered.release()


class Turn(NamedTuple):
    """Works that share a transaction, so many of each job."""

    jobs: list[tuple[Job, Sequence[Work]]]

    @property
    def works(self) -> list[Work]:
        return [work for _, works in self.jobs for work in works]


class _Arrivals:
    """Jobs from any thread; the one thread that takes them is woken only when enough are there. Waking it for each took
    two changes of thread for every command."""

    def __init__(self) -> None:
        self._jobs: deque[Job | None] = deque()
        self._enough = 1
        self._bell = threading.Lock()  # held until it is rung
        self._bell.acquire()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job | None) -> None:
        self._jobs.append(job)
        if len(self._jobs) >= self._enough:
            with suppress(RuntimeError):  # another has rung
                self._bell.release()

    def wait(self, enough: int, seconds: float) -> bool:
        """Whether so many are there within that time."""
        deadline = time.monotonic() + seconds
        self._enough = enough
        while len(self._jobs) < enough:
            if not self._bell.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
        return True

    def take(self) -> Iterator[Job | None]:
        while self._jobs:
            yield self._jobs.popleft()


class Turns:
    """`put` and `close` from any thread, the rest from one. A turn has at most `most` works, unless one small job
    has more."""

    def __init__(self, most: int, gather_seconds: float = GATHER_SECONDS) -> None:
        self._most = most
        self._gather_seconds = gather_seconds
        self._arriving = _Arrivals()
        self._small: deque[Job] = deque()
        self._large: deque[Job] = deque()
        self._is_closing = False
        self._last_was_small = False
        self._together = 0

    def put(self, job: Job) -> None:
        self._arriving.put(job)

    def close(self) -> None:
        """What was put before is still served."""
        self._arriving.put(None)

    def next(self, patience: float) -> Turn | None:
        """None when closed and empty. Raises Empty when nothing comes for `patience` seconds."""
        self._take_in()
        while self._large and self._large[0].is_done:  # it has failed, and what is left of it is not tried
            self._large.popleft()
        while not self._small and not self._large:
            if self._is_closing:
                return None
            if not self._arriving.wait(1, patience):
                raise Empty
            self._take_in()
        if self._large and (self._last_was_small or not self._small):
            return self._cut()
        self._gather()
        return self._shared()

    def left(self) -> list[Job]:
        """Jobs that are not done, when nobody will serve them any more."""
        self._take_in()
        return [*self._small, *self._large]

    def _gather(self) -> None:
        if len(self._small) < self._together:
            self._arriving.wait(self._together - len(self._small), self._gather_seconds)
            self._take_in()

    def _take_in(self) -> None:
        for job in self._arriving.take():
            self._sort(job)

    def _sort(self, job: Job | None) -> None:
        if job is None:
            self._is_closing = True
        elif len(job.works) > SMALL:
            self._large.append(job)
        else:
            self._small.append(job)

    def _cut(self) -> Turn:
        """The next part of the first large job."""
        self._last_was_small = False
        job = self._large[0]
        done = len(job.outcomes)
        part = job.works[done : done + self._most]
        if done + len(part) == len(job.works):
            self._large.popleft()
        return Turn([(job, part)])

    def _shared(self) -> Turn:
        """Small jobs in order; one whose work must be alone is alone."""
        self._last_was_small = True
        jobs = [self._small.popleft()]
        count = len(jobs[0].works)
        while self._small and not _is_alone(jobs[-1]) and not _is_alone(self._small[0]) and count < self._most:
            jobs.append(self._small.popleft())
            count += len(jobs[-1].works)
        self._together = len(jobs)
        return Turn([(job, job.works) for job in jobs])


def _is_alone(job: Job) -> bool:
    return any(work.alone for work in job.works)
