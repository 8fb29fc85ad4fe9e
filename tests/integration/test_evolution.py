"""A log that an older version of the software wrote, read by this one: through the writer, real tables and folds."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import dict_row

from consumers.pipeline import Pipeline, ingest
from domain.care_plan import GoalSet, NeedRaised, NeedResolved, ResolveNeed
from domain.evolution import RETIRED
from domain.facts import CARE_PLAN
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.plan import PLAN
from projections.folds.record import RECORD
from projections.live import upkeep
from projections.live.engine import Engine
from projections.past.moments import Audience, Moment
from projections.past.replay import replay
from projections.past.why import why
from tests.conftest import Database
from tests.events import NHS_NUMBER, binary
from tests.integration.test_read_side import AUDITOR, ask, catch_up, patient_id
from tests.leaves import leaf
from tests.older import OLDER, FaxNumberNotedV0, FitnessAssessedV0, NeedAndGoalRecordedV0
from tests.works import PATHWAY, work

pytestmark = pytest.mark.postgres
OLD = (
    (CARE_PLAN, NeedAndGoalRecordedV0(need="n", concern="work", words="back to the bakery")),
    (CARE_PLAN, FaxNumberNotedV0(number="01632 960000")),
    (PATHWAY, FitnessAssessedV0(grade=1)),
)


@pytest.fixture
def old_log(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Written before its names were retired."""
    with closing(Writer(database.log(), database.keys)) as older:
        assert older.submit(work("1", *OLD)).outcome == "recorded"
    for stored, fact in OLDER.items():
        monkeypatch.setitem(RETIRED, stored, fact)
    yield database
    monkeypatch.undo()


@pytest.fixture
def newer(old_log: Database) -> Iterator[Writer]:
    with closing(Writer(old_log.log(), old_log.keys)) as writer:
        yield writer


def events(database: Database) -> list[dict[str, Any]]:
    with database.connect("auditor") as auditor, auditor.cursor(row_factory=dict_row) as rows:
        return rows.execute("select * from log.events order by position").fetchall()


def past(database: Database) -> Any:
    return ask(database, lambda reading: reading.past(patient_id(database), AUDITOR, "replay"))


def test_its_documents_are_those_of_facts_of_today(old_log: Database, newer: Writer) -> None:
    newer.submit(work("2", (CARE_PLAN, NeedRaised(need="m", concern="money"))))
    catch_up(old_log)
    served = ask(old_log, lambda reading: reading.document(PLAN, patient_id(old_log), AUDITOR))
    assert served.document is not None
    money, work_need = served.document["needs"]
    assert money["concern"] == "money"
    assert (work_need["concern"], work_need["goals"][0]["words"]) == ("work", "back to the bakery")
    assert work_need["because"] == work_need["goals"][0]["because"]
    with old_log.connect("projector") as connection:
        assert upkeep.verify(connection, old_log.keys, PLAN, lambda *_: None) == []


def test_it_is_replayed_and_says_why(old_log: Database) -> None:
    catch_up(old_log)
    history = past(old_log)
    moment = Moment(history.head)
    record = replay([RECORD], history, moment, Audience.AUDITOR)["record"]
    assert [(each["scale"], each["value"]) for each in record["pathways"][0]["performance_status"]] == [("ECOG", "1")]
    told = why(PLAN, "/needs/0/goals/0/words", history, moment, Audience.AUDITOR)
    assert told["event"]["kind"] == NeedAndGoalRecordedV0.stored
    assert told["event"]["position"] == next(
        event["position"] for event in events(old_log) if event["type"] == NeedAndGoalRecordedV0.stored
    )


def test_rules_rest_on_what_it_said(old_log: Database, newer: Writer) -> None:
    outcome = newer.submit(work("2", (CARE_PLAN, ResolveNeed(need="n", outcome="better"))))
    assert outcome.outcome == "recorded"
    assert events(old_log)[-1]["type"] == NeedResolved.stored


def message(number: str, stored: str, fact: dict[str, Any], **more: str) -> Any:
    data = {"patient": {"nhs_number": NHS_NUMBER}, "occurred": "2026-03-01", "fact": fact, **more}
    return binary(number, data, stored)


def test_what_is_delivered_again_under_either_name_is_known(old_log: Database, newer: Writer) -> None:
    before = len(events(old_log))
    pipeline = Pipeline(old_log.keys)
    again = [
        message("a", NeedAndGoalRecordedV0.stored, OLD[0][1].model_dump()),
        message("b", NeedRaised.stored, {"need": "n", "concern": "work"}),
        message("c", FitnessAssessedV0.stored, {"grade": 1}, key="1", key_system="trust"),
    ]
    assert [outcome.outcome for outcome in ingest(newer, pipeline, again)] == ["nothing-new"] * 3
    assert len(events(old_log)) == before


def test_an_older_version_that_is_sent_is_stored_as_of_today_and_what_was_given_up_is_set_aside(
    old_log: Database, newer: Writer
) -> None:
    before = len(events(old_log))
    sent = message("a", NeedAndGoalRecordedV0.stored, {"need": "o", "concern": "sleep", "words": "seven hours"})
    given_up = message("b", FaxNumberNotedV0.stored, {"number": "1"})
    outcomes = ingest(newer, Pipeline(old_log.keys), [sent, given_up])
    assert [outcome.outcome for outcome in outcomes] == ["recorded", "rejected"]
    assert [event["type"] for event in events(old_log)[before:]] == [NeedRaised.stored, GoalSet.stored]


def test_its_bytes_and_leaves_stay(old_log: Database, newer: Writer) -> None:
    before = events(old_log)
    newer.submit(work("2", (CARE_PLAN, NeedRaised(need="m", concern="money"))))
    with closing(Engine(lambda: old_log.connect("projector"), old_log.keys, STORED)) as engine:
        engine.catch_up()
    after = events(old_log)
    assert after[: len(before)] == before
    assert [leaf(event) for event in after] == [bytes(event["leaf_hash"]) for event in after]
    assert isinstance(patient_id(old_log), UUID)
