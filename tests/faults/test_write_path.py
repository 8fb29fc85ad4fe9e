"""What must hold when acknowledgements, connections, keys of streams or a caller's assumptions go wrong."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.appointment import AppointmentBooked, RequestChange
from domain.care_plan import AcceptSupport, NeedRaised, RaiseNeed, SupportSuggested
from domain.facts import CARE_PLAN, PATIENT, Category, Target
from domain.pathway import AgreeDiagnosis, DiagnosisAgreed
from infra.writing.batch import Batch
from infra.writing.log import Appended, Fenced, Known, Log, Stale
from infra.writing.work import Act, OffsetMove, PartOutcome, Work
from infra.writing.writer import Writer, WriterStopped
from tests.conftest import Database
from tests.works import MARCH, MARIA, PATHWAY, PROVENANCE, called, message, part, work

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

APPOINTMENT = Target(Category.APPOINTMENT, "trust|9")


class FailingLog(Log):
    """The log itself, until the call of `append` whose number is in one of these sets."""

    def __init__(self, database: Database, **calls: set[int]) -> None:
        super().__init__(lambda: database.connect("writer"), database.keys)
        self._database = database
        self._calls = calls
        self._number = 0

    def append(
        self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
    ) -> Appended | Stale | Known:
        self._number += 1
        if self._is_to("seem_stale"):
            return Stale([])
        if self._is_to("time_out"):
            raise psycopg.errors.IdleInTransactionSessionTimeout
        if self._is_to("end_the_thread"):
            raise SystemExit
        answer = super().append(seen, reads, batch, not_after)
        if self._is_to("lose_the_answer"):
            self.connection.close()
            raise psycopg.OperationalError("the connection was lost")
        if self._is_to("kill_before_commit"):
            with psycopg.connect(self._database.server.url(), autocommit=True) as superuser:
                superuser.execute("select pg_terminate_backend(%s)", [self.connection.info.backend_pid])
        return answer

    def _is_to(self, fail: str) -> bool:
        return self._number in self._calls.get(fail, ())


@contextmanager
def failing(database: Database, **calls: set[int]) -> Iterator[Writer]:
    with closing(Writer(FailingLog(database, **calls), database.keys)) as writer:
        yield writer


def query(database: Database, text: str) -> list[Any]:
    with database.connect("auditor") as connection:
        return [row[0] for row in connection.execute(text)]


def types(database: Database) -> list[str]:
    return query(database, "select type from log.events order by position")


def need(key: str) -> tuple[Target, NeedRaised]:
    return CARE_PLAN, NeedRaised(need=key, concern="work")


def read_at(offset: int) -> OffsetMove:
    return OffsetMove("cluster", "topic", 0, offset)


def test_a_lost_acknowledgement_is_answered_by_the_receipt_and_fences_nobody(database: Database) -> None:
    with failing(database, lose_the_answer={1}) as writer:
        writer.owns("cluster", "topic", {0: None})
        works = [message(str(number), [part(need(str(number)))], offset=read_at(number)) for number in range(4)]
        first, second = writer.write(works[:2])
        assert (first.outcome, first.first_position, first.known) == ("recorded", 1, True)
        assert (second.outcome, second.first_position, second.known) == ("recorded", 4, True)
        assert [each.known for each in writer.write(works[2:])] == [False, False]
    assert len(types(database)) == 6
    assert query(database, "select next_offset from log.offsets") == [4]


def test_another_consumer_still_fences(database: Database, writer: Writer) -> None:
    writer.owns("cluster", "topic", {0: None})
    writer.write([message("1", offset=read_at(0)), message("2", offset=read_at(1))])
    with closing(Writer(database.log(), database.keys)) as other:
        other.owns("cluster", "topic", {0: 0})
        with pytest.raises(Fenced):
            other.write([message("3", offset=read_at(2))])


def test_a_commit_that_fails_under_the_lock_is_not_believed(database: Database) -> None:
    with failing(database, seem_stale={1, 2}, kill_before_commit={3}) as writer:
        assert writer.submit(work("1", need("1"))).first_position == 1
        assert writer.submit(work("2", need("2"))).outcome == "recorded"
    assert types(database) == ["patient.registered.v1", "patient.identifier-linked.v1"] + 2 * [
        "care-plan.need-raised.v1"
    ]
    assert len(query(database, "select patient_id from log.keys")) == 1


def test_a_time_out_of_the_server_is_no_fault_of_the_message(database: Database) -> None:
    with failing(database, time_out={1}) as writer:
        assert writer.submit(work("1", need("1"))).outcome == "recorded"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_leaves_nobody_waiting(database: Database) -> None:
    writer = Writer(FailingLog(database, end_the_thread={1}), database.keys)
    for key in ("1", "2"):
        with pytest.raises(WriterStopped):
            writer.submit(work(key, need("1")))
    writer.close()


def test_closing_leaves_nobody_waiting(database: Database) -> None:
    writer = Writer(database.log(), database.keys)
    stopped = Event()

    def submit(caller: int) -> int:
        number = 0
        while not stopped.is_set():
            try:
                writer.submit(work(f"{caller}/{number}", need("1")))
            except WriterStopped:
                break
            number += 1
        return number

    with ThreadPoolExecutor(8) as callers:
        counts = [callers.submit(submit, caller) for caller in range(8)]
        while len(query(database, "select 1 from log.receipts")) < 50:
            pass
        writer.close()
        done = sum(count.result(timeout=20) for count in counts)
    assert done == len(query(database, "select 1 from log.receipts"))


@pytest.mark.parametrize("parts", [[], [part(need("1"))]])
def test_a_writer_far_behind_the_log_catches_up(database: Database, parts: list[Any]) -> None:
    with database.connect("writer") as connection:
        connection.execute(
            """select count(*) from log.append_library_events(
                 array(select gen_random_uuid() from generate_series(1, 20001)), array_fill(1, array[20001]),
                 array_fill('t'::text, array[20001]), array_fill(''::bytea, array[20001]))"""
        )
    with closing(Writer(database.log(), database.keys)) as writer:
        assert writer.submit(message("1", parts)).outcome in ("recorded", "nothing-new")


def test_an_idle_writer_follows_the_log(database: Database, writer: Writer) -> None:
    writer.submit(work("1", need("1")))
    with closing(Writer(database.log(), database.keys)) as other:
        other.submit(work("2", need("2")))
        waiting = Event()
        for _ in range(50):
            if writer._holdings.seen == 4:
                break
            waiting.wait(0.1)
        assert writer._holdings.seen == 4
    assert writer.submit(work("3", (CARE_PLAN, RaiseNeed(need="2", concern="work")))).outcome == "nothing-new"


def test_a_log_that_went_back_is_read_anew(database: Database) -> None:
    """As after a failover to a standby that lacked the last commits."""
    name = f"{database.name}_restored"
    with psycopg.connect(database.server.url(), autocommit=True) as superuser:
        superuser.execute(f'create database "{name}" owner owner template {database.name} strategy file_copy')
    restored = database._replace(name=name)
    current = [database]
    with closing(Writer(Log(lambda: current[0].connect("writer"), database.keys), database.keys)) as writer:
        writer.submit(work("1", need("1")))
        current[0] = restored
        with psycopg.connect(database.server.url(), autocommit=True) as superuser:
            superuser.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'writer'")
        assert writer.submit(work("2", need("1"))).first_position == 1
    assert types(restored).count("patient.registered.v1") == 1
    with psycopg.connect(database.server.url(), autocommit=True) as superuser:
        superuser.execute(f'drop database "{name}" with (force)')


@pytest.mark.parametrize("cached", [True, False])
def test_nobody_acts_on_anothers_stream(database: Database, writer: Writer, cached: bool) -> None:
    writer.submit(work("1", (APPOINTMENT, AppointmentBooked()), patient=called("theirs")))
    writer.submit(work("2", need("1"), patient=called("ours")))
    theirs, ours = query(database, "select patient_id from log.identifiers order by position")
    stream = APPOINTMENT.stream_id(theirs)
    intruding = Act(APPOINTMENT, RequestChange(wish="cancel"), MARCH, PROVENANCE, stream_id=stream)
    rightful = Act(APPOINTMENT, RequestChange(wish="cancel"), MARCH, PROVENANCE, stream_id=stream)
    with closing(writer if cached else Writer(database.log(), database.keys)) as used:
        assert used.submit(message("3", [part(intruding, patient=ours)])).outcome == "rejected"
        # Nor does the attempt keep the stream's own patient from it.
        assert used.submit(message("4", [part(rightful, patient=theirs)])).outcome == "recorded"
    writers = "select patient_id from log.events where type = 'appointment.change-requested-by-patient.v1'"
    assert query(database, writers) == [theirs]


def test_a_batch_for_two_patients_opens_neither_to_the_other(database: Database, writer: Writer) -> None:
    writer.submit(work("1", (APPOINTMENT, AppointmentBooked()), patient=called("theirs")))
    writer.submit(work("2", need("1"), patient=called("ours")))
    theirs, ours = query(database, "select patient_id from log.identifiers order by position")
    act = Act(APPOINTMENT, RequestChange(wish="cancel"), MARCH, PROVENANCE, stream_id=APPOINTMENT.stream_id(theirs))
    with closing(Writer(database.log(), database.keys)) as fresh:
        outcomes = fresh.write(
            [message("3", [part(need("2"), patient=theirs)]), message("4", [part(act, patient=ours)])]
        )
    assert [each.outcome for each in outcomes] == ["recorded", "rejected"]


@pytest.mark.parametrize("cached", [True, False])
def test_a_stream_taken_for_another_kind_is_not_found_and_stays_what_it_is(
    database: Database, writer: Writer, cached: bool
) -> None:
    writer.submit(work("1", (APPOINTMENT, AppointmentBooked())))
    (patient,) = query(database, "select patient_id from log.identifiers")
    mistaken = Act(PATHWAY, AgreeDiagnosis(icd10="C50.9"), MARCH, PROVENANCE, stream_id=APPOINTMENT.stream_id(patient))
    with closing(writer if cached else Writer(database.log(), database.keys)) as used:
        assert used.submit(message("2", [part(mistaken, patient=patient)])).outcome == "rejected"
        assert used.submit(work("3", (APPOINTMENT, RequestChange(wish="cancel")))).outcome == "recorded"


def test_a_stream_named_before_it_exists_is_not_spoilt(database: Database, writer: Writer) -> None:
    writer.submit(work("1", need("1")))
    (patient,) = query(database, "select patient_id from log.identifiers")
    early = Act(PATHWAY, AgreeDiagnosis(icd10="C61"), MARCH, PROVENANCE, stream_id=APPOINTMENT.stream_id(patient))
    assert writer.submit(message("2", [part(early, patient=patient)])).outcome == "rejected"
    assert writer.submit(work("3", (APPOINTMENT, AppointmentBooked()))).outcome == "recorded"


def test_a_stream_taken_for_a_patient_is_not_found_and_stays_what_it_is(database: Database, writer: Writer) -> None:
    writer.submit(work("1", (APPOINTMENT, AppointmentBooked())))
    (patient,) = query(database, "select patient_id from log.identifiers")
    stream = APPOINTMENT.stream_id(patient)
    with closing(Writer(database.log(), database.keys)) as fresh:
        assert fresh.submit(work("2", need("1"), patient=stream)).outcome == "rejected"
        assert fresh.submit(work("3", (APPOINTMENT, RequestChange(wish="cancel")))).outcome == "recorded"


@pytest.mark.parametrize("in_one_message", [True, False])
def test_an_identifier_linked_in_the_same_batch_leads_to_what_is_recorded(
    database: Database, writer: Writer, in_one_message: bool
) -> None:
    suggested = CARE_PLAN, SupportSuggested(support="s", service="choir")
    writer.submit(work("1", suggested, patient=called("old")))
    parts = [
        part((PATHWAY, DiagnosisAgreed(icd10="C61")), patient=called("old", "new")),
        part((CARE_PLAN, AcceptSupport(support="s")), patient=called("new")),
    ]
    with closing(Writer(database.log(), database.keys)) as fresh:
        works = [message("2", parts)] if in_one_message else [message("2", parts[:1]), message("3", parts[1:])]
        assert {each.outcome for each in fresh.write(works)} == {"recorded"}
    assert types(database)[-1] == "care-plan.support-accepted.v1"


def test_a_redelivery_after_its_contradiction_is_known(database: Database, writer: Writer) -> None:
    original = writer.submit(work("1", need("1")))
    outcomes = writer.write([work("1", need("2"), content="other"), work("1", need("1"))])
    assert [each.outcome for each in outcomes] == ["rejected", "recorded"]
    assert outcomes[1] == original._replace(known=True)
    again = writer.write([work("1", need("2"), content="other"), work("1", need("1"))])
    assert [(each.outcome, each.known) for each in again] == [("rejected", True), ("recorded", True)]


def test_contradictions_within_a_batch_that_comes_again_are_known(database: Database, writer: Writer) -> None:
    batch = [work("1", need("1")), work("1", need("2"), content="other"), work("1", need("3"), content="third")]
    first = writer.write(batch)
    assert [each.outcome for each in first] == ["recorded", "rejected", "rejected"]
    assert writer.write(batch) == [each._replace(known=True) for each in first]
    assert len(query(database, "select 1 from log.rejected")) == 2


def unstorable(key: str, offset: int | None = None) -> Work:
    """A message over which something of ours fails, whatever database it meets."""

    def fail(_: list[PartOutcome]) -> Any:
        raise ValueError("made to fail")

    made = message(key, [part(need(key))], offset=read_at(offset) if offset is not None else None)
    return Work(made.source, made.key, made.digest, made.parts, fail, made.raw, made.offset, aside=made.aside)


@pytest.mark.parametrize("bad", [{0}, {3}, {6}, {0, 1, 5}])
def test_what_cannot_be_stored_is_set_aside_and_offsets_go_on(
    database: Database, writer: Writer, bad: set[int]
) -> None:
    writer.owns("cluster", "topic", {0: None})
    works = [
        unstorable(str(at), at) if at in bad else message(str(at), [part(need(str(at)))], offset=read_at(at))
        for at in range(7)
    ]
    outcomes = writer.write(works)
    assert [each.outcome for each in outcomes] == ["rejected" if at in bad else "recorded" for at in range(7)]
    assert query(database, "select next_offset from log.offsets") == [7]
    assert types(database).count("care-plan.need-raised.v1") == 7 - len(bad)
    assert writer.write([message("7", offset=read_at(7))])[0].outcome == "nothing-new"


def test_one_callers_fault_is_not_anothers(database: Database, writer: Writer) -> None:
    def command(number: int) -> Work:
        made = unstorable(str(number)) if number % 5 == 0 else work(str(number), need(str(number)))
        return Work(made.source, made.key, made.digest, made.parts, made.conclude)

    with ThreadPoolExecutor(8) as callers:
        answers = [callers.submit(writer.submit, command(number)) for number in range(40)]
    failed = [number for number, answer in enumerate(answers) if answer.exception() is not None]
    assert failed == list(range(0, 40, 5))
    assert types(database).count("care-plan.need-raised.v1") == 32


def test_undoing_a_part_keeps_the_parts_before_it(database: Database, writer: Writer) -> None:
    refused = part(need("2"), (CARE_PLAN, AcceptSupport(support="none")))
    outcomes = writer.write(
        [
            message("1", [part(need("1")), refused, part(need("3"))]),
            work("2", (CARE_PLAN, RaiseNeed(need="1", concern="work"))),
            work("3", (CARE_PLAN, RaiseNeed(need="2", concern="work"))),
        ]
    )
    assert [each.outcome for each in outcomes] == ["rejected", "nothing-new", "recorded"]
    assert [each.first_position for each in outcomes] == [1, None, 5]
    versions = "select version from log.events where type like 'care-plan%' order by position"
    assert query(database, versions) == [1, 2, 3]


def test_raw_bytes_are_sealed_under_a_key_that_is_kept(database: Database, writer: Writer) -> None:
    """Also where the message registered someone and was then refused."""
    refused = work("1", need("1"), (CARE_PLAN, AcceptSupport(support="none")), patient=called("new"))
    assert writer.submit(refused).outcome == "rejected"
    writer.submit(work("2", need("1"), patient=called("new")))
    with database.connect("auditor") as connection:
        kept = "select key_id from log.keys union all select key_id from log.monthly_keys"
        lost = connection.execute(f"select 1 from log.raw_messages where key_id not in ({kept})").fetchall()
    assert lost == []


def test_a_precondition_sees_what_its_own_batch_wrote(database: Database, writer: Writer) -> None:
    position = writer.submit(work("1", need("1"))).position
    careful = Act(CARE_PLAN, RaiseNeed(need="3", concern="x"), MARCH, PROVENANCE, nothing_after=position)
    outcomes = writer.write([work("2", need("2")), message("3", [part(careful)])])
    assert [each.outcome for each in outcomes] == ["recorded", "rejected"]


def test_an_unknown_patient_is_refused_without_a_trace(database: Database, writer: Writer) -> None:
    stranger = uuid4()
    assert writer.submit(work("1", need("1"), patient=stranger)).outcome == "rejected"
    assert writer._holdings.stream(stranger) is None
    assert writer._holdings.stream(PATIENT.stream_id(stranger)) is None


def test_nothing_to_write_is_no_fault(writer: Writer) -> None:
    assert writer.write([]) == []
    assert writer.submit(work("1", need("1"), patient=MARIA)).outcome == "recorded"


class TooLong(Log):
    """The log itself, but with this message no transaction ends in time."""

    def append(
        self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
    ) -> Appended | Stale | Known:
        if any(row[0] == b"long" for row in batch.receipts):
            raise psycopg.errors.TransactionTimeout
        return super().append(seen, reads, batch, not_after)


def test_a_message_that_takes_too_long_is_set_aside_and_its_neighbours_are_recorded(database: Database) -> None:
    """Tried again for ever, it would stop its partition."""
    works = [message(key, [part((CARE_PLAN, NeedRaised(need=key, concern="work")))]) for key in ("a", "long", "b", "c")]
    store = TooLong(lambda: database.connect("writer"), database.keys)
    with closing(Writer(store, database.keys)) as writer:
        assert [each.outcome for each in writer.write(works)] == ["recorded", "rejected", "recorded", "recorded"]
