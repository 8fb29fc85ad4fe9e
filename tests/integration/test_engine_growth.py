"""An engine that keeps the folds of persons who come again stores what a refold of all their events gives."""

from contextlib import closing
from itertools import count
from random import Random

import pytest

from domain.annotation import MarkedInError
from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN, Fact
from domain.identity import PatientReference
from domain.retention import KeyDestroyed
from infra.writing.work import Act
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.live import upkeep
from projections.live.engine import Engine
from tests.builders import day, target_of
from tests.conftest import Database
from tests.samples import samples
from tests.works import PROVENANCE, called, message, part

PERSONS = [called("1"), called("2"), called("3")]


class Ward:
    """Persons of whom more and more is told, on days in any order."""

    def __init__(self, writer: Writer, seed: int) -> None:
        self._writer = writer
        self._random = Random(seed)
        self._numbers = count()
        facts = [fact for fact in samples().values() if not fact.stored.startswith("annotation.")]
        facts = [fact for fact in facts if not isinstance(fact, KeyDestroyed)]
        self._untold = [(person, fact) for person in PERSONS for fact in facts]
        self._random.shuffle(self._untold)

    def tell(self, number: int) -> None:
        for _ in range(min(number, len(self._untold))):
            person, fact = self._untold.pop()
            self.tell_one(person, fact, self._random.randint(0, 60))

    def mark_in_error(self) -> None:
        for person in PERSONS:
            self.tell_one(person, MarkedInError(versions=(1, 2)), 70)

    def tell_one(self, person: PatientReference, fact: Fact, on_day: int) -> None:
        act = Act(target_of(fact), fact, day(on_day), PROVENANCE)
        self._writer.submit(message(str(next(self._numbers)), [part(act, patient=person)]))


def differing(database: Database) -> list[str]:
    with database.connect("projector") as connection:
        return [
            f"{each.name} {found.how}"
            for each in STORED
            for found in upkeep.verify(connection, database.keys, each, lambda _done, _of: None)
        ]


def positions(database: Database) -> set[tuple[str, int]]:
    """Last position of each person, and that of each of their documents."""
    with database.connect("projector") as connection:
        last = dict(connection.execute("select patient_id, max(position) from log.events group by 1").fetchall())
        return {
            (each.name, last[patient_id] - through)
            for each in STORED
            for patient_id, through in connection.execute(
                f"select patient_id, through_position from read.{each.name}_v{each.version}"
            )
        }


@pytest.mark.parametrize(("seed", "limit_bytes"), [(1, 128_000_000), (2, 128_000_000), (3, 150_000)])
def test_growing_folds_store_what_a_refold_gives(
    writer: Writer, database: Database, seed: int, limit_bytes: int
) -> None:
    """The last bound lets persons be forgotten in between."""
    ward = Ward(writer, seed)
    engine = Engine(lambda: database.connect("projector"), database.keys, STORED, most=7, limit_bytes=limit_bytes)
    with closing(engine):
        for turn in range(12):
            ward.tell(12)
            if turn == 8:
                ward.mark_in_error()
            engine.catch_up()
        assert differing(database) == []
        assert positions(database) == {(each.name, 0) for each in STORED}


def test_a_table_emptied_under_the_engine_is_noticed(writer: Writer, database: Database) -> None:
    ward = Ward(writer, 4)
    with closing(Engine(lambda: database.connect("projector"), database.keys, STORED)) as engine:
        for _ in range(3):
            ward.tell(20)
            engine.catch_up()
        with database.connect("projector") as connection:
            for each in STORED:
                connection.execute(f"truncate read.{each.name}_v{each.version}")
        ward.mark_in_error()
        ward.tell(5)
        engine.catch_up()
        assert differing(database) == []


def test_care_plan_facts_alone_leave_the_record_as_it_was(writer: Writer, database: Database) -> None:
    """So that what is not rewritten is really spared, and still says how far it goes."""
    ward = Ward(writer, 5)
    plan_facts = [fact for fact in samples().values() if target_of(fact) == CARE_PLAN]
    with closing(Engine(lambda: database.connect("projector"), database.keys, STORED)) as engine:
        for _ in range(4):
            ward.tell(20)
            engine.catch_up()
        with database.connect("projector") as connection:
            before = connection.execute("select patient_id, body from read.record_v1 order by 1").fetchall()
            for person in PERSONS:
                ward.tell_one(person, plan_facts[0], 90)
            engine.catch_up()
            assert connection.execute("select patient_id, body from read.record_v1 order by 1").fetchall() == before
        assert positions(database) == {(each.name, 0) for each in STORED}


@pytest.mark.parametrize("limit_bytes", [0, 128_000_000])
def test_a_batch_of_many_people_is_folded_in_portions(database: Database, limit_bytes: int) -> None:
    """Whoever is forgotten between two portions is read anew."""
    people = [called(str(number)) for number in range(120)]
    with (
        closing(Writer(database.log(), database.keys)) as writer,
        closing(
            Engine(lambda: database.connect("projector"), database.keys, STORED, limit_bytes=limit_bytes)
        ) as engine,
    ):
        for need in ("1", "2", "3"):
            act = Act(CARE_PLAN, NeedRaised(need=need, concern="sleep"), day(1), PROVENANCE)
            writer.write([message(f"{need}/{each.identifiers[0].value}", [part(act, patient=each)]) for each in people])
            engine.catch_up()
    assert positions(database) == {(each.name, 0) for each in STORED}
    assert not differing(database)
