"""What the log answers to a writer that is behind, stale or wrong, and what becomes of its works."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.appointment import AppointmentBooked
from domain.care_plan import AcceptSupport, NeedRaised, RaiseNeed
from domain.facts import CARE_PLAN, Category, Target
from domain.pathway import DiagnosisAgreed
from infra.writing.batch import Batch
from infra.writing.log import Appended, Known, Log, ReceiptRow, Stale
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.works import PATHWAY, called, message, part, work

pytestmark = pytest.mark.postgres

APPOINTMENT = Target(Category.APPOINTMENT, "trust|9")
BREAST = DiagnosisAgreed(icd10="C50.9")


class TellingLog(Log):
    """Keeps every answer."""

    def __init__(self, database: Database) -> None:
        super().__init__(lambda: database.connect("writer"), database.keys)
        self.answers: list[Appended | Stale | Known] = []
        # Of each time that receipts were looked up, how many were found.
        self.found: list[int] = []

    def append(
        self, seen: int, reads: Sequence[UUID], batch: Batch, not_after: datetime | None = None
    ) -> Appended | Stale | Known:
        self.answers.append(super().append(seen, reads, batch, not_after))
        return self.answers[-1]

    def receipts(self, keys: Sequence[bytes]) -> dict[bytes, ReceiptRow]:
        receipts = super().receipts(keys)
        self.found.append(len(receipts))
        return receipts

    def kinds(self) -> list[str]:
        return [type(each).__name__ for each in self.answers]


@pytest.fixture(autouse=True)
def nobody_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle writer would catch up meanwhile, and be neither stale nor behind."""
    monkeypatch.setattr("infra.writing.writer._FOLLOW_SECONDS", 600)


@contextmanager
def telling(database: Database) -> Iterator[tuple[Writer, TellingLog]]:
    log = TellingLog(database)
    with closing(Writer(log, database.keys)) as writer:
        yield writer, log


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.connect("auditor") as connection:
        return connection.execute(query).fetchall()


def types(database: Database) -> list[object]:
    return [row[0] for row in rows(database, "select type from log.events order by position")]


def test_receipts_are_looked_up_first_only_while_messages_come_again(database: Database) -> None:
    batches = [
        [
            work(f"{batch}/{number}", (CARE_PLAN, NeedRaised(need=f"{batch}/{number}", concern="x")))
            for number in range(40)
        ]
        for batch in range(6)
    ]
    with telling(database) as (writer, log):
        first = [writer.write(batch) for batch in batches[:3]]
        assert log.found == [0]
        again = [writer.write(batch) for batch in batches[:2]]
        assert [[each._replace(known=True) for each in outcomes] for outcomes in first[:2]] == again
        assert log.found == [0, 40, 40]
        for batch in batches[3:]:
            writer.write(batch)
        assert log.found == [0, 40, 40, 0]
    assert log.kinds() == [*["Appended"] * 3, "Known", *["Appended"] * 5]
    assert rows(database, "select count(*) from log.receipts") == [(240,)]


def test_who_decided_on_an_older_state_decides_again(database: Database, writer: Writer) -> None:
    with telling(database) as (other, log):
        other.submit(work("1", (CARE_PLAN, RaiseNeed(need="1", concern="work"))))
        writer.submit(work("2", (CARE_PLAN, RaiseNeed(need="2", concern="work"))))
        outcome = other.submit(work("3", (CARE_PLAN, RaiseNeed(need="2", concern="work"))))
    assert outcome.outcome == "nothing-new"
    assert log.kinds() == ["Appended", "Stale", "Appended"]
    assert isinstance(log.answers[1], Stale)
    assert log.answers[1].streams == [
        row[0] for row in rows(database, "select stream_id from log.events where position = 4")
    ]


@pytest.mark.parametrize(("versions", "is_whole"), [([1, 2], True), ([2], False), ([1, 3], False), ([-1], False)])
def test_versions_that_leave_a_gap_are_refused_by_the_database(
    database: Database, versions: list[int], is_whole: bool
) -> None:
    """Whatever a writer of ours or of another version believes of a stream."""
    many = len(versions)
    call = """select answer from log.append(seen => 0, reads => '{}', stream_ids => %s, versions => %s::integer[],
                patient_ids => %s::uuid[], types => %s, occurred_ats => %s, precisions => %s, payloads => %s,
                key_ids => %s::uuid[])"""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    given = [[uuid4()] * many, versions, [None] * many, ["x.v1"] * many, [moment] * many, "I" * many, [b""] * many]
    with database.connect("writer") as writer:
        if is_whole:
            assert writer.execute(call, [*given, [None] * many]).fetchone() == ("appended",)
            return
        with pytest.raises(psycopg.errors.CheckViolation):
            writer.execute(call, [*given, [None] * many])


def test_who_is_behind_goes_on_and_hears_what_others_wrote(database: Database, writer: Writer) -> None:
    with telling(database) as (other, log):
        other.submit(work("1", (CARE_PLAN, RaiseNeed(need="1", concern="work")), patient=called("one")))
        writer.submit(work("2", (CARE_PLAN, RaiseNeed(need="1", concern="work")), patient=called("two")))
        outcome = other.submit(work("3", (CARE_PLAN, RaiseNeed(need="2", concern="work")), patient=called("one")))
        assert (outcome.outcome, outcome.first_position) == ("recorded", 7)
        last = log.answers[-1]
        assert isinstance(last, Appended)
        written = rows(database, "select distinct stream_id from log.events where position between 4 and 6")
        assert set(last.written_by_others or []) == {row[0] for row in written}
        again = other.submit(work("4", (CARE_PLAN, RaiseNeed(need="1", concern="work")), patient=called("two")))
    assert again.outcome == "nothing-new"
    assert log.kinds() == ["Appended"] * 3


def test_acts_on_several_streams_are_one_transaction(database: Database, writer: Writer) -> None:
    outcome = writer.submit(
        work(
            "1",
            (PATHWAY, BREAST),
            (CARE_PLAN, NeedRaised(need="1", concern="work")),
            (APPOINTMENT, AppointmentBooked()),
        )
    )
    assert (outcome.first_position, outcome.last_position) == (1, 5)
    assert len(rows(database, "select distinct recorded_at from log.events")) == 1
    assert len(rows(database, "select distinct stream_id from log.events")) == 4


def test_one_refused_act_takes_all_streams_back(database: Database, writer: Writer) -> None:
    refused = work(
        "1", (PATHWAY, BREAST), (APPOINTMENT, AppointmentBooked()), (CARE_PLAN, AcceptSupport(support="none"))
    )
    assert writer.submit(refused).outcome == "rejected"
    assert types(database) == []
    assert writer.submit(work("2", (PATHWAY, BREAST))).first_position == 1


def test_one_stale_stream_makes_the_whole_command_decide_again(database: Database, writer: Writer) -> None:
    with telling(database) as (other, log):
        other.submit(work("1", (CARE_PLAN, RaiseNeed(need="1", concern="work")), (PATHWAY, BREAST)))
        writer.submit(work("2", (CARE_PLAN, RaiseNeed(need="2", concern="work"))))
        lung = DiagnosisAgreed(icd10="C34.9")
        outcome = other.submit(work("3", (PATHWAY, lung), (CARE_PLAN, RaiseNeed(need="2", concern="work"))))
    assert log.kinds() == ["Appended", "Stale", "Appended"]
    assert (outcome.first_position, outcome.last_position) == (6, 6)
    assert types(database)[5:] == ["pathway.diagnosis-agreed.v1"]


@pytest.mark.parametrize("bad", [{0}, {5}, {1, 2, 6}])
def test_what_the_database_refuses_is_narrowed_down_to_the_one_message(
    database: Database, writer: Writer, bad: set[int]
) -> None:
    works = []
    for number in range(7):
        made = message(str(number), [part((CARE_PLAN, NeedRaised(need=str(number), concern="work")))])
        works.append(made._replace(source="a\0b") if number in bad else made)
    outcomes = writer.write(works)
    assert [each.outcome for each in outcomes] == ["rejected" if number in bad else "recorded" for number in range(7)]
    assert types(database).count("care-plan.need-raised.v1") == 7 - len(bad)
    reasons = rows(database, "select reasons from log.rejected")
    assert reasons == [([{"code": "not-storable"}],)] * len(bad)
    assert [each.known for each in writer.write(works[3:5])] == [True, True]
