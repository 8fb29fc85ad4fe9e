"""The engine, the documents and their readers against a real PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from domain.care_plan import NeedRaised, StrengthNoted
from domain.facts import CARE_PLAN
from domain.pathway import DiagnosisAgreed, InformedOfOutcome, Told
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.folding import Projection
from projections.folds.plan import PLAN
from projections.folds.record import RECORD
from projections.keeping.histories import Gap
from projections.live.engine import Engine
from projections.past.moments import Audience, Moment
from projections.past.replay import replay
from projections.reading.reads import Reader, Reading, Refused
from tests.conftest import Database
from tests.works import MARIA, PATHWAY, work

T = TypeVar("T")
AUDITOR = Reader(actor="a", role="auditor", any_patient=True, purpose="clinical-audit")


def catch_up(database: Database, projections: tuple[Projection, ...] = STORED, **bounds: int) -> int:
    engine = Engine(lambda: database.connect("projector"), database.keys, projections, **bounds)
    with closing(engine):
        return engine.catch_up()


def patient_id(database: Database) -> UUID:
    with database.connect("auditor") as connection:
        row = connection.execute("select patient_id from log.events order by position limit 1").fetchone()
    assert row
    found: UUID = row[0]
    return found


def ask(database: Database, question: Callable[[Reading], Awaitable[T]]) -> T:
    async def answer() -> T:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            database.url("reader"), open=False, kwargs={"autocommit": True}
        )
        async with pool:
            return await question(Reading(pool, database.keys))

    return asyncio.run(answer())


def test_what_was_written_can_be_read(writer: Writer, database: Database) -> None:
    writer.submit(
        work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9")), (CARE_PLAN, NeedRaised(need="1", concern="work")))
    )
    assert catch_up(database) == 4
    served = ask(database, lambda reading: reading.document(PLAN, patient_id(database), AUDITOR))
    assert served.document is not None
    assert served.document["needs"][0]["concern"] == "work"
    assert served.standing[:] == (4, 4, 4, None, 0.0)


def test_batches_of_any_size_give_the_same_documents(writer: Writer, database: Database) -> None:
    for number in range(7):
        writer.submit(work(str(number), (CARE_PLAN, NeedRaised(need=str(number), concern="x"))))
    catch_up(database, most=2, limit_bytes=0)
    served = ask(database, lambda reading: reading.document(PLAN, patient_id(database), AUDITOR))
    assert served.document is not None
    assert len(served.document["needs"]) == 7


def test_each_reading_is_in_the_access_log_and_so_is_each_refusal(writer: Writer, database: Database) -> None:
    writer.submit(work("1", (CARE_PLAN, NeedRaised(need="1", concern="x"))))
    catch_up(database)
    stranger = Reader(actor="s", role="clinician", organisation="XXX", professional="9")
    ask(database, lambda reading: reading.document(PLAN, patient_id(database), AUDITOR))
    for patient in (patient_id(database), uuid4()):
        with pytest.raises(Refused):
            ask(database, partial(Reading.document, projection=PLAN, patient_id=patient, reader=stranger))
        with pytest.raises(Refused):
            ask(database, partial(Reading.history, patient_id=patient, reader=stranger, of="history"))
    with database.connect("auditor") as connection:
        rows = connection.execute("select role, outcome, projection from access.reads order by access_id").fetchall()
    assert rows == [("auditor", "read", "plan"), *[("clinician", "refused", p) for p in ("plan", "history") * 2]]


def test_history_and_replay_at_two_positions(writer: Writer, database: Database) -> None:
    writer.submit(work("1", (PATHWAY, DiagnosisAgreed(icd10="C50.9"))))
    between = datetime.now(UTC)
    writer.submit(work("2", (PATHWAY, InformedOfOutcome(told=(Told(what="diagnosis"),)))))
    catch_up(database)
    history = ask(database, lambda reading: reading.past(patient_id(database), AUDITOR, "replay"))
    assert history.head == 4
    assert ask(database, lambda reading: reading.position_at(between)) == 3
    staff = replay([RECORD], history, Moment(3), Audience.STAFF)["record"]
    before = replay([RECORD], history, Moment(3), Audience.PATIENT)["record"]
    after = replay([RECORD], history, Moment(4), Audience.PATIENT)["record"]
    assert "C50.9" in str(staff)
    assert "C50.9" not in str(before)
    assert "C50.9" in str(after)
    assert "C50.9" not in str(replay([RECORD], history, Moment(4, date(2026, 2, 28)), Audience.STAFF))


def test_a_person_whose_fold_fails_is_held_back_and_others_go_on(writer: Writer, database: Database) -> None:
    writer.submit(work("1", (CARE_PLAN, NeedRaised(need="1", concern="x"))))
    other = MARIA.model_copy(update={"identifiers": (MARIA.identifiers[0].model_copy(update={"value": "9000000017"}),)})
    writer.submit(work("2", (CARE_PLAN, StrengthNoted(words="a sister nearby")), patient=other))
    failing = PLAN._replace(beside=lambda members: 1 / 0 if "9000000009" in str(members) else PLAN.beside(members))  # type: ignore[arg-type,return-value]
    broken = tuple(failing if each is PLAN else each for each in STORED)
    assert catch_up(database, broken) == 6
    served = ask(database, lambda reading: reading.document(PLAN, patient_id(database), AUDITOR))
    assert served.document is None
    assert served.standing.held_back_since == 1
    with database.connect("auditor") as connection:
        stored = connection.execute("select patient_id from read.plan_v1").fetchall()
    assert len(stored) == 1
    of_the_other = ask(database, lambda reading: reading.document(PLAN, stored[0][0], AUDITOR)).document
    assert of_the_other is not None
    # Whoever was folded together with them is folded once more, and nothing of theirs is told twice.
    assert [each["words"] for each in of_the_other["strengths"]] == ["a sister nearby"]


def test_a_gap_stops_the_line(writer: Writer, database: Database) -> None:
    writer.submit(work("1", (CARE_PLAN, NeedRaised(need="1", concern="x"))))
    with database.connect("owner") as owner:
        owner.execute("alter table log.events disable trigger all")
        owner.execute("delete from log.events where position = 2")
    with pytest.raises(Gap):
        catch_up(database)
