"""People with several records in the read side: one set of documents, folded from all of them as known then."""

from contextlib import closing
from itertools import count
from random import Random
from uuid import UUID

import pytest

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from domain.identity import PatientReference
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.plan import PLAN
from projections.live import upkeep
from projections.live.engine import Engine
from projections.reading.reads import Reader, Refused, Served
from projections.tables import parking
from tests.conftest import Database
from tests.integration.test_engine_growth import differing
from tests.integration.test_read_side import AUDITOR, ask
from tests.works import called, work

pytestmark = pytest.mark.postgres
ANN, ANNA, ANNIE = called("1"), called("2"), called("3")


class Records:
    """Reports of needs, and merges as the log's owner puts them beside the event of a third person."""

    def __init__(self, writer: Writer, database: Database) -> None:
        self.database = database
        self._writer = writer
        self._numbers = count()

    def need(self, person: PatientReference, concern: str) -> UUID:
        number = str(next(self._numbers))
        self._writer.submit(work(number, (CARE_PLAN, NeedRaised(need=number, concern=concern)), patient=person))
        with self.database.connect("auditor") as connection:
            row = connection.execute("select patient_id from log.events order by position desc limit 1").fetchone()
        assert row
        patient_id: UUID = row[0]
        return patient_id

    def merge(self, patient_id: UUID, into: UUID, joined: bool = True) -> None:
        self.need(called("someone else"), "x")
        with self.database.connect("owner") as owner:
            owner.execute(
                "insert into log.merges select max(position), %s, %s, %s from log.events", [patient_id, into, joined]
            )

    def part(self, patient_id: UUID, into: UUID) -> None:
        self.merge(patient_id, into, joined=False)


@pytest.fixture
def records(writer: Writer, database: Database) -> Records:
    return Records(writer, database)


def engine(database: Database, most: int = 500) -> Engine:
    return Engine(lambda: database.connect("projector"), database.keys, STORED, most=most)


def plan(database: Database, patient_id: UUID, reader: Reader = AUDITOR) -> Served:
    return ask(database, lambda reading: reading.document(PLAN, patient_id, reader))


def concerns(database: Database, patient_id: UUID) -> list[str]:
    served = plan(database, patient_id)
    assert served.document is not None
    return [need["concern"] for need in served.document["needs"]]


def test_a_merged_record_is_answered_by_the_one_that_stands_for_it(records: Records, database: Database) -> None:
    ann, anna = records.need(ANN, "work"), records.need(ANNA, "money")
    with closing(engine(database)) as live:
        live.catch_up()
        records.merge(ann, anna)
        assert concerns(database, ann) == ["work"], "until the projection holds the merge"
        live.catch_up()
        records.need(ANN, "sleep")
        live.catch_up()
    for asked in (ann, anna):
        assert concerns(database, asked) == ["work", "money", "sleep"]
        assert plan(database, asked).person_id == anna
    with database.connect("auditor") as connection:
        assert connection.execute("select count(*) from read.plan_v1 where patient_id = %s", [ann]).fetchone() == (0,)
    assert differing(database) == []


def test_an_unmerge_gives_back_what_was(records: Records, database: Database) -> None:
    ann, anna = records.need(ANN, "work"), records.need(ANNA, "money")
    with closing(engine(database)) as live:
        records.merge(ann, anna)
        live.catch_up()
        records.part(ann, anna)
        live.catch_up()
        assert (concerns(database, ann), concerns(database, anna)) == (["work"], ["money"])
        records.need(ANN, "sleep")
        live.catch_up()
    assert (concerns(database, ann), concerns(database, anna)) == (["work", "sleep"], ["money"])
    assert differing(database) == []


def test_the_access_log_names_the_person_and_strangers_stay_strangers(records: Records, database: Database) -> None:
    ann, anna = records.need(ANN, "work"), records.need(ANNA, "money")
    records.merge(ann, anna)
    with closing(engine(database)) as live:
        live.catch_up()
    stranger = Reader(actor="s", role="clinician", organisation="XXX", professional="9")
    with pytest.raises(Refused):
        plan(database, ann, stranger)
    plan(database, ann, Reader(actor="p", role="patient", patient_id=anna))
    with database.connect("auditor") as connection:
        rows = connection.execute("select patient_id, outcome from access.reads order by access_id").fetchall()
    assert rows == [(anna, "refused"), (anna, "read")]


def test_whoever_was_parked_is_tried_again_when_their_records_change(records: Records, database: Database) -> None:
    ann, anna = records.need(ANN, "work"), records.need(ANNA, "money")
    with closing(engine(database)) as live:
        live.catch_up()
        with database.connect("projector") as connection:
            parking.park(connection, [parking.Failure(ann, 1, "ZeroDivisionError")])
        records.merge(ann, anna)
        live.catch_up()
    with database.connect("projector") as connection:
        assert parking.parked(connection) == []
    assert concerns(database, ann) == ["work", "money"]


@pytest.mark.parametrize(("seed", "most"), [(1, 1), (2, 3), (3, 500), (4, 4)])
def test_any_course_of_merges_stores_what_a_refold_gives(
    records: Records, database: Database, seed: int, most: int
) -> None:
    chance = Random(seed)
    ids = [records.need(person, "first") for person in (ANN, ANNA, ANNIE)]
    into: dict[UUID, UUID] = {}
    with closing(engine(database, most)) as live:
        for turn in range(14):
            one, other = chance.sample(ids, 2)
            if one in into and chance.random() < 0.5:
                records.part(one, into.pop(one))
            elif one not in into and other not in into:
                records.merge(one, other)
                into[one] = other
            records.need(chance.choice([ANN, ANNA, ANNIE]), f"turn {turn}")
            if chance.random() < 0.5:
                live.catch_up()
        live.catch_up()
    assert into, "this seed merges"
    assert differing(database) == []


def test_verify_finds_documents_of_a_record_that_is_merged(records: Records, database: Database) -> None:
    ann, anna = records.need(ANN, "work"), records.need(ANNA, "money")
    with closing(engine(database)) as live:
        live.catch_up()
        with database.connect("projector") as connection:
            kept = connection.execute("select * from read.plan_v1 where patient_id = %s", [ann]).fetchone()
            assert kept is not None
            records.merge(ann, anna)
            live.catch_up()
            connection.execute("insert into read.plan_v1 values (%s, %s, %s, %s, %s)", [*kept[:4], "{}"])
            found = upkeep.verify(connection, database.keys, PLAN, lambda _done, _of: None)
    assert [(each.patient_id, each.how) for each in found] == [(ann, "surplus")]
