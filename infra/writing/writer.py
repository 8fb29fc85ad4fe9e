"""The one write path: one thread per process takes works in turn, decides them in memory and appends them together.

A stale answer is decided again, the third time under the lock. A lost connection is tried again: what was stored
meanwhile answers by its receipt. A database error that stays, like a transaction that takes too long, is narrowed down
to the one work that causes it.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from queue import Empty
from uuid import UUID, uuid4

import psycopg
import structlog
from psycopg.errors import TransactionTimeout

from domain.stream import Stream
from infra.custody.heeding import Destructions
from infra.keys import KeyRing
from infra.writing.attempt import Attempt, aside_of
from infra.writing.desk import Desk, MonthlyKey
from infra.writing.holdings import Holdings
from infra.writing.log import Appended, Fenced, Known, Log, Stale, may_pass
from infra.writing.metrics import WriteMetrics
from infra.writing.prefetch import Prefetch
from infra.writing.steady import SteadyTime
from infra.writing.turns import Job, Turn, Turns
from infra.writing.work import NOT_STORABLE, Outcome, Work

log = structlog.get_logger(__name__)

_ATTEMPTS_BEFORE_LOCK = 2
_TRIES = 5
_FOLLOW_SECONDS = 1.0
# So many works at once are first looked up among the receipts while some of them come again, as they do after a start:
# deciding all of them twice because one was known costs far more.
_LOOK_UP_FIRST = 32


class WriterStopped(Exception):
    """The writer is shutting down or has failed; nothing of this work was recorded."""


class Writer:
    """`begin` and `write` for a caller that has a batch of its own (the consumer); `submit` for many callers at once
    (the API).

    Everything runs on one thread, so all three are safe from any thread. `most`: works in one transaction,
    which others wait for. `steady` bounds what events are stamped with.
    """

    def __init__(
        self,
        store: Log,
        keys: KeyRing,
        limit_bytes: int = 64_000_000,
        most: int = 250,
        metrics: WriteMetrics | None = None,
        steady: SteadyTime | None = None,
    ) -> None:
        self._log = store
        self._keys = keys
        self._holdings = Holdings(limit_bytes)
        self._prefetch = Prefetch(store, keys, self._holdings)
        self._destructions = Destructions(store, self._holdings, keys)
        self._metrics = metrics or WriteMetrics()
        self._steady = steady or SteadyTime()
        # Streams with decisions of which we do not know yet that they are durable.
        self._unsettled: dict[int, Stream] = {}
        self._expects_known = True
        self._monthly: MonthlyKey | None = None
        self._offsets: dict[tuple[str, str, int], int | None] = {}
        self._turns = Turns(most)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._door = threading.Lock()
        self._stopped = False
        self._thread.start()

    def submit(self, work: Work) -> Outcome:
        """Waits until the work is durable or refused. Raises WriterStopped, psycopg.Error."""
        return self.write([work])[0]

    def write(self, works: Sequence[Work]) -> list[Outcome]:
        """In order; a large batch in several transactions, between which others have their turn. What was recorded
        before an error stays and is known by its receipts. Raises Fenced, WriterStopped, psycopg.Error."""
        return self.begin(works).result() if works else []

    def begin(self, works: Sequence[Work]) -> Job:
        """The same without waiting; the job's `result` returns or raises. At least one work. Raises WriterStopped."""
        job = Job(works)
        with self._door:
            if self._stopped:
                raise WriterStopped("the writer has stopped")
            self._turns.put(job)
        return job

    def owns(self, cluster_id: str, topic_id: str, offsets: dict[int, int | None]) -> None:
        """From now on these partitions are ours, from the offsets given (None: never read)."""
        for partition, offset in offsets.items():
            self._offsets[cluster_id, topic_id, partition] = offset

    def heed_destructions_for(self, ring: KeyRing) -> None:
        """Another ring of this process, which is rid of destroyed keys together with ours."""
        self._destructions.rings.append(ring)

    def close(self) -> None:
        """Finishes what was submitted, then stops."""
        with self._door:
            self._stopped = True
            self._turns.close()
        self._thread.join()
        self._log.close()

    def _run(self) -> None:
        jobs: list[Job] = []
        try:
            while (turn := self._next()) is not None:
                jobs = [job for job, _ in turn.jobs]
                self._destructions.heed()
                self._answer(turn)
        finally:
            self._refuse(jobs)

    def _next(self) -> Turn | None:
        while True:
            try:
                return self._turns.next(_FOLLOW_SECONDS)
            except Empty:
                self._follow()

    def _follow(self) -> None:
        """An idle writer would fall so far behind the log that it had to forget everything it holds."""
        try:
            self._destructions.heed()
            self._prefetch.prepare([], afresh=True)
        except psycopg.Error as error:
            log.warning("follow_failed", error=type(error).__name__)
            self._start_again()

    def _refuse(self, jobs: list[Job]) -> None:
        """However the thread ends, nobody may wait for it for ever."""
        with self._door:
            self._stopped = True
        for job in {*jobs, *self._turns.left()}:
            if not job.is_done:
                job.fail(WriterStopped("the writer has stopped"))

    def _answer(self, turn: Turn) -> None:
        began = time.perf_counter()
        try:
            outcomes = self._write(turn.works)
        except Exception as error:  # noqa: BLE001 whoever waits must hear of it; the thread serves the next
            self._answer_separately(turn, error)
            return
        self._metrics.answered(len(outcomes), time.perf_counter() - began)
        for job, works in turn.jobs:
            job.answer(outcomes[: len(works)])
            outcomes = outcomes[len(works) :]

    def _answer_separately(self, turn: Turn, error: Exception) -> None:
        """One caller's fault must not be another's; a database that is away is everyone's."""
        if len(turn.jobs) > 1 and not may_pass(error):
            for each in turn.jobs:
                self._answer(Turn([each]))
            return
        for job, _ in turn.jobs:
            job.fail(error)
        log.warning("write_failed", error=type(error).__name__)

    def _write(self, works: list[Work]) -> list[Outcome]:
        try:
            return self._persistently(works)
        except Exception as error:
            if isinstance(error, Fenced) or (may_pass(error) and not isinstance(error, TransactionTimeout)):
                raise
            if len(works) > 1:
                middle = len(works) // 2
                return self._write(works[:middle]) + self._write(works[middle:])
            if works[0].aside is None:
                raise
            log.error("work_set_aside", error=type(error).__name__)  # noqa: TRY400 a traceback may quote a patient
            return self._persistently([aside_of(works[0], NOT_STORABLE)])

    def _persistently(self, works: list[Work]) -> list[Outcome]:
        tried = 0
        while True:
            try:
                return self._batch(works)
            except psycopg.Error as error:
                if not may_pass(error):
                    raise
                self._start_again()
                tried += 1
                if tried == _TRIES or (len(works) > 1 and isinstance(error, TransactionTimeout)):
                    raise
                log.warning("write_retried", error=type(error).__name__, tried=tried)
            time.sleep(0.05 * 2**tried)

    def _start_again(self) -> None:
        """On a new connection, and believing nothing that an unknown end may have made untrue."""
        self._log.close()
        self._holdings.clear()  # the new connection may lead to a database that was restored
        self._destructions.forget()
        self._monthly = None

    def _batch(self, works: list[Work]) -> list[Outcome]:
        attempt, monthly, turn = Attempt(list(works)), self._monthly_key(), 0
        if self._expects_known and len(works) >= _LOOK_UP_FIRST:
            receipts = self._log.receipts([work.key for work in works])
            attempt.answer_known(receipts)
            self._expects_known = bool(receipts)
        answer: Appended | Known | Stale | None = None
        while True:
            locked = turn >= _ATTEMPTS_BEFORE_LOCK
            with self._log.alone() if locked else nullcontext():
                self._holdings.forget([stream.stream_id for stream in self._unsettled.values()])
                ready = self._prefetch.prepare(attempt.open_works(), locked, afresh=isinstance(answer, Stale))
                desk, answer = self._decide(attempt, Desk(self._holdings, self._keys, monthly, ready))
            turn += 1
            # Under the lock, an answer is true only now that the transaction has ended.
            match answer:
                case Appended():
                    self._settle(desk, answer)
                    return attempt.outcomes(answer.base, self._holdings.seen)
                case Known(keys):
                    self._take_back(desk)
                    self._expects_known = True
                    attempt.answer_known(self._log.receipts(keys))
                case Stale(streams):
                    self._take_back(desk)
                    self._forget_stale(streams, desk)

    def _decide(self, attempt: Attempt, desk: Desk) -> tuple[Desk, Appended | Known | Stale]:
        self._unsettled = desk.touched
        attempt.decide(desk)
        desk.draft.seal()
        desk.draft.batch.offsets = [self._move(place, offset) for place, offset in desk.draft.offsets.items()]
        answer = self._log.append(self._holdings.seen, desk.reads(), desk.draft.batch, self._steady.latest())
        self._metrics.answers.labels(type(answer).__name__.lower()).inc()
        return desk, answer

    def _settle(self, desk: Desk, appended: Appended) -> None:
        holdings = self._holdings
        shift = appended.base - holdings.seen
        for stream in dict.fromkeys(desk.draft.grown):
            stream.settle(holdings.seen, shift, appended.at)
            holdings.hold(stream)
        holdings.forget(appended.written_by_others)
        holdings.patients.update(desk.draft.batch.links)
        holdings.seen = appended.base + len(desk.draft.batch.events)
        if not appended.merged_by_others:
            holdings.join(desk.draft.merges(appended.base), holdings.seen)
        self._unsettled = {}
        self._offsets.update(desk.draft.offsets)
        holdings.trim()
        self._metrics.appended(len(desk.draft.batch.events), appended.waited, appended.ahead)

    def _take_back(self, desk: Desk) -> None:
        """Nothing of this was recorded: what we hold stands as it did before. New patients' streams never were."""
        for stream in set(desk.draft.grown):
            stream.undo(self._holdings.seen)
        self._holdings.forget([stream.stream_id for stream in desk.touched.values() if stream.is_empty])
        self._unsettled = {}

    def _forget_stale(self, streams: list[UUID] | None, desk: Desk) -> None:
        self._holdings.forget(streams)
        for digest, _ in desk.draft.batch.links:  # an identifier may have been taken: look it up again
            self._holdings.patients.pop(digest, None)

    def _move(self, place: tuple[str, str, int], offset: int) -> dict[str, object]:
        if place not in self._offsets:
            raise Fenced("this partition is not ours")
        cluster_id, topic_id, partition = place
        expected = self._offsets[place]
        return {
            "cluster_id": cluster_id, "topic_id": topic_id, "partition": partition,
            "expected": expected, "next": offset,
        }  # fmt: skip

    def _monthly_key(self) -> MonthlyKey:
        month = datetime.now(UTC).date().replace(day=1)
        held = self._monthly is not None and self._keys.held(self._monthly.key_id) is not None
        if self._monthly is None or self._monthly.month != month or not held:
            candidate = uuid4()
            _, wrapped = self._keys.generate(candidate)
            key_id, wrapped = self._log.monthly_key(candidate, month, wrapped)
            self._monthly = MonthlyKey(key_id, month, self._keys.unwrap(key_id, wrapped))
        return self._monthly
