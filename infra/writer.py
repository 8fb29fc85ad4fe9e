"""The one write path: one thread per process takes works in turn, decides them in memory and appends them together.

A stale answer is decided again, the third time under the lock. A lost connection is tried again: what was stored
meanwhile answers by its receipt. A database error that stays is narrowed down to the one work that causes it.
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
import structlog

from domain.facts import Category
from domain.identity import PatientReference
from domain.stream import Stream
from infra.attempt import Attempt, set_aside
from infra.desk import Desk, MonthlyKey
from infra.holdings import Holdings
from infra.keys import KeyRing
from infra.log import Appended, Fenced, Known, Log, Stale
from infra.work import Outcome, Part, Work

log = structlog.get_logger(__name__)

_ATTEMPTS_BEFORE_LOCK = 2
_RECONNECTS = 5


class WriterStopped(Exception):
    """The writer is shutting down or has failed; nothing of this work was recorded."""


class _Job(NamedTuple):
    works: Sequence[Work]
    future: "Future[list[Outcome]]"


class Writer:
    """`write` for a caller that has a batch of its own (the consumer); `submit` for many callers at once (the API).

    Everything runs on one thread, so `write` and `submit` are safe from any thread.
    """

    def __init__(self, store: Log, keys: KeyRing, limit_bytes: int = 96_000_000, most: int = 400) -> None:
        self._log = store
        self._keys = keys
        self._holdings = Holdings(limit_bytes)
        self._most = most
        self._monthly: MonthlyKey | None = None
        self._offsets: dict[tuple[str, str, int], int | None] = {}
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._stopped = False
        self._thread.start()

    def submit(self, work: Work) -> Outcome:
        """Waits until the work is durable or refused. Raises WriterStopped, psycopg.Error."""
        return self.write([work])[0]

    def write(self, works: Sequence[Work]) -> list[Outcome]:
        """All in one transaction, in order. Raises Fenced, WriterStopped, psycopg.Error."""
        if self._stopped:
            raise WriterStopped("the writer has stopped")
        future: Future[list[Outcome]] = Future()
        self._jobs.put(_Job(works, future))
        return future.result()

    def owns(self, cluster_id: str, topic_id: str, offsets: dict[int, int | None]) -> None:
        """From now on these partitions are ours, from the offsets given (None: never read)."""
        for partition, offset in offsets.items():
            self._offsets[cluster_id, topic_id, partition] = offset

    def close(self) -> None:
        """Finishes what was submitted, then stops."""
        self._stopped = True
        self._jobs.put(None)
        self._thread.join()
        self._log.close()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job, *self._waiting(len(job.works))]
            self._answer(jobs)

    def _waiting(self, taken: int) -> list[_Job]:
        """Whatever else has been submitted meanwhile shares the transaction, up to a bound."""
        jobs: list[_Job] = []
        while taken < self._most:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
            taken += len(job.works)
        return jobs

    def _answer(self, jobs: list[_Job]) -> None:
        works = [work for job in jobs for work in job.works]
        try:
            outcomes = self._write(works)
        except Exception as error:  # noqa: BLE001 whoever waits must hear of it; the thread serves the next
            self._answer_separately(jobs, error)
            return
        for job in jobs:
            job.future.set_result(outcomes[: len(job.works)])
            outcomes = outcomes[len(job.works) :]

    def _answer_separately(self, jobs: list[_Job], error: Exception) -> None:
        """One caller's fault must not be another's."""
        if len(jobs) == 1:
            log.warning("write_failed", error=type(error).__name__)
            jobs[0].future.set_exception(error)
            return
        for job in jobs:
            self._answer([job])

    def _write(self, works: list[Work]) -> list[Outcome]:
        try:
            return self._persistently(works)
        except (psycopg.OperationalError, Fenced, WriterStopped):
            raise
        except Exception as error:
            if len(works) > 1:
                middle = len(works) // 2
                return self._write(works[:middle]) + self._write(works[middle:])
            aside = set_aside(works[0])
            if aside is None:
                raise
            log.error("work_set_aside", error=type(error).__name__)  # noqa: TRY400 a traceback may quote a patient
            return self._persistently([aside])

    def _persistently(self, works: list[Work]) -> list[Outcome]:
        for attempt in range(_RECONNECTS):
            try:
                return self._batch(works)
            except psycopg.OperationalError as error:
                self._log.close()
                self._holdings.forget(None)
                log.warning("write_retried", error=type(error).__name__, attempt=attempt)
                failure = error
            time.sleep(0.1 * 2**attempt)
        raise failure

    def _batch(self, works: list[Work]) -> list[Outcome]:
        attempt = Attempt(list(works))
        for _ in range(_ATTEMPTS_BEFORE_LOCK):
            outcomes = self._try(attempt, locked=False)
            if outcomes is not None:
                return outcomes
        connection = self._log.connection
        while True:
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(7305550312)")
                outcomes = self._try(attempt, locked=True)
            if outcomes is not None:
                return outcomes

    def _try(self, attempt: Attempt, locked: bool) -> list[Outcome] | None:
        """None: decide again, having forgotten what was stale or learnt what was known."""
        self._prefetch(attempt.open_works(), locked)
        desk = Desk(self._holdings, self._keys, self._monthly_key())
        answer: Appended | Stale | Known | None = None
        try:
            attempt.decide(desk)
            desk.batch.offsets = [self._move(place, offset) for place, offset in desk.offsets().items()]
            answer = self._log.append(self._holdings.seen, list(desk.touched), desk.batch)
        finally:
            if not isinstance(answer, Appended):
                self._holdings.forget(list(desk.touched))
        match answer:
            case Appended():
                self._settle(desk, answer)
                return attempt.outcomes(answer.base, self._holdings.seen)
            case Known(keys):
                attempt.answer_known(self._log.receipts(keys))
            case Stale(streams):
                self._forget_stale(streams, desk)
        return None

    def _settle(self, desk: Desk, appended: Appended) -> None:
        holdings = self._holdings
        shift = appended.base - holdings.seen
        for stream in desk.touched.values():
            stream.settle(holdings.seen, shift, appended.at)
            holdings.hold(stream)
        holdings.forget(appended.written_by_others)
        holdings.patients.update(zip(desk.batch.digests, desk.batch.digest_patients, strict=True))
        holdings.seen = appended.base + len(desk.batch.versions)
        self._offsets.update(desk.offsets())
        holdings.trim()

    def _forget_stale(self, streams: list[UUID] | None, desk: Desk) -> None:
        self._holdings.forget(streams)
        for digest in desk.batch.digests:  # an identifier may have been taken: look it up again
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

    def _prefetch(self, works: list[Work], locked: bool) -> None:
        """Loads in one snapshot whatever these works need and we do not hold; often nothing.

        A load also shows what others wrote since; what we held of that is forgotten, and loaded in the next turn.
        """
        parts = [part for work in works for part in work.parts]
        digests = self._digests(parts)
        absent: set[bytes | UUID] = set()
        while True:
            unknown = [each for each in digests if each not in self._holdings.patients and each not in absent]
            streams, patients = self._missing(parts, {})
            if not unknown and not streams and patients <= absent:
                return
            self._load(parts, unknown, locked)
            absent |= {*unknown, *patients}

    def _load(self, parts: list[Part], unknown: list[bytes], locked: bool) -> None:
        holdings = self._holdings
        wanted: dict[UUID, Category] = {}

        def missing(found: dict[bytes, UUID]) -> tuple[Iterable[UUID], Iterable[UUID]]:
            streams, patients = self._missing(parts, found)
            wanted.update(streams)
            return streams, patients

        loaded = self._log.load(holdings.seen, unknown, missing, locked)
        holdings.forget(loaded.written)
        holdings.seen = loaded.position
        holdings.patients.update(loaded.patients)
        holdings.keys.update(loaded.keys)
        for stream_id, events in loaded.streams.items():
            holdings.hold(Stream(stream_id, wanted[stream_id], events))

    def _missing(self, parts: list[Part], found: dict[bytes, UUID]) -> tuple[dict[UUID, Category], set[UUID]]:
        """Streams not held, and the patients whose keys open them or are needed to write."""
        streams: dict[UUID, Category] = {}
        patients: set[UUID] = set()
        for part in parts:
            for patient_id in self._patients(part, found):
                lacking = {
                    stream_id: category
                    for stream_id, category in _streams(part, patient_id)
                    if self._holdings.stream(stream_id) is None
                }
                streams |= lacking
                if lacking or patient_id not in self._holdings.keys:
                    patients.add(patient_id)
        return streams, patients

    def _patients(self, part: Part, found: dict[bytes, UUID]) -> set[UUID]:
        if isinstance(part.patient, UUID):
            return {part.patient}
        digests = self._digests([part])
        named = (found.get(each) or self._holdings.patients.get(each) for each in digests)
        return {each for each in named if each is not None}

    def _digests(self, parts: list[Part]) -> set[bytes]:
        return {
            self._keys.identifier_digest(each)
            for part in parts
            if isinstance(part.patient, PatientReference)
            for each in part.patient.identifiers
        }

    def _monthly_key(self) -> MonthlyKey:
        month = datetime.now(UTC).date().replace(day=1)
        if self._monthly is None or self._monthly.month != month:
            candidate = uuid4()
            _, wrapped = self._keys.generate(candidate)
            key_id, wrapped = self._log.monthly_key(candidate, month, wrapped)
            self._monthly = MonthlyKey(key_id, month, self._keys.unwrap(key_id, wrapped))
        return self._monthly


def _streams(part: Part, patient_id: UUID) -> Iterator[tuple[UUID, Category]]:
    yield patient_id, Category.PATIENT
    for act in part.acts:
        yield act.stream_id or act.target.stream_id(patient_id), act.target.category
