"""Blue/green rebuilds: what is served before, during and after, and what a rebuild refuses."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from projections.catalogue import STORED
from projections.folds.folding import Document, Projection
from projections.folds.plan import PLAN
from projections.folds.record import RECORD
from projections.live import standing, upkeep
from projections.reading.reads import Served
from projections.rebuild import rebuilding
from projections.rebuild.rebuilding import NotRebuilt
from projections.tables import generations, parking
from tests.conftest import Database
from tests.integration.test_engine_growth import differing
from tests.integration.test_read_side import AUDITOR, ask
from tests.rebuilding import Site, site_of

pytestmark = pytest.mark.postgres
CHANGED = PLAN._replace(beside=lambda members: PLAN.beside(members) | {"colour": "green"})
NEWER = CHANGED._replace(version=2)
BROKEN = PLAN._replace(beside=lambda _: {"never": 1 / 0})


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    with site_of(database, tmp_path) as site:
        yield site


def some_patient(site: Site) -> UUID:
    found: UUID = site.one("select patient_id from log.events order by position limit 1")
    return found


def plan(site: Site) -> Served:
    return ask(site.database, lambda reading: reading.document(PLAN, some_patient(site), AUDITOR))


def states(site: Site, projection: str = "plan") -> list[tuple[str, str]]:
    with site.database.connect("auditor") as connection:
        return connection.execute(
            "select table_name, state from read.generations where projection = %s order by number", [projection]
        ).fetchall()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_rebuild_serves_the_same_documents_from_a_new_table(site: Site, processes: int) -> None:
    site.tell(7, times=3)
    site.catch_up()
    before = plan(site).document
    report = site.rebuild(*STORED, processes=processes, sample=None)
    assert (report.differences, report.persons, report.events) == ([], 7, 35)
    assert states(site) == [("plan_v1", "kept"), (report.tables["plan"], "serving")]
    assert plan(site).document == before
    assert differing(site.database) == []


def test_the_engine_keeps_the_new_table_and_the_way_back(site: Site) -> None:
    site.tell(5, times=2)
    with closing(site.engine()) as live:
        live.catch_up()
        site.rebuild(PLAN)
        site.tell(5)
        live.catch_up()
        assert plan(site).standing.checkpoint == site.one("select max(position) from log.events")
        rebuilding.back(site.tools, PLAN)
        assert states(site)[0] == ("plan_v1", "serving")
        assert plan(site).standing.checkpoint == site.one("select max(position) from log.events")
        assert differing(site.database) == []
        assert len(rebuilding.drop_old(site.tools, PLAN)) == 1
        site.tell(5)
        live.catch_up()
    assert differing(site.database) == []
    with pytest.raises(NotRebuilt):
        rebuilding.back(site.tools, PLAN)


def test_another_version_is_served_when_it_is_built_and_not_before(site: Site) -> None:
    site.tell(3)
    site.catch_up()
    newer = tuple(NEWER if each is PLAN else each for each in STORED)
    site.catch_up(newer)
    assert plan(site).version == 1
    site.rebuild(NEWER)
    served = plan(site)
    assert served.version == 2
    assert served.document is not None
    assert served.document["colour"] == "green"
    site.tell(3)
    site.catch_up(newer)
    assert plan(site).standing.checkpoint == site.one("select max(position) from log.events")
    with pytest.raises(NotRebuilt, match="must bring it on"):
        rebuilding.back(site.tools, PLAN)
    site.catch_up()
    rebuilding.back(site.tools, PLAN)
    assert plan(site).version == 1


def test_a_new_table_that_differs_is_refused_unless_that_is_meant(site: Site) -> None:
    site.tell(3)
    site.catch_up()
    with site.database.connect("projector") as connection:
        connection.execute("update read.plan_v1 set body = (select body from read.plan_v1 limit 1)")
    with pytest.raises(NotRebuilt, match="differ"):
        site.rebuild(PLAN, sample=None)
    assert states(site) == [("plan_v1", "serving")]
    assert [each.how for each in site.rebuild(PLAN, sample=None, despite=True).differences] == ["unreadable"] * 2
    assert differing(site.database) == []


def test_a_fold_that_was_changed_under_the_same_version_is_refused_unless_that_is_meant(site: Site) -> None:
    site.tell(3)
    site.catch_up()
    before = plan(site).document
    with pytest.raises(NotRebuilt, match="differ"):
        site.rebuild(CHANGED, sample=None)
    assert (states(site), plan(site).document) == ([("plan_v1", "serving")], before)
    assert [each.how for each in site.rebuild(CHANGED, sample=None, despite=True).differences] == ["other"] * 3


@pytest.mark.parametrize(
    ("change", "how"), [("delete from {}", "surplus"), ("update {} set through_position = 1", "of another position")]
)
def test_who_is_in_one_table_only_is_found(site: Site, change: str, how: str) -> None:
    site.tell(1)
    site.catch_up()
    with site.database.connect("projector") as connection:
        connection.execute(change.format("read.plan_v1"))
    report = site.rebuild(PLAN, sample=0, despite=True)
    assert [each.how for each in report.differences] == [how]


def test_people_whose_fold_fails_are_not_held_back_unless_that_is_meant(site: Site) -> None:
    site.tell(2)
    site.catch_up()
    with pytest.raises(NotRebuilt, match="the folds of 2 people fail"):
        site.rebuild(BROKEN)
    with site.database.connect("projector") as connection:
        assert parking.parked(connection) == []
        assert site.rebuild(BROKEN, despite=True).held_back == 2
        assert plan(site).standing.held_back_since == 6
        upkeep.retry(connection, site.tools.keys(), STORED, some_patient(site))
    assert plan(site).document is not None


def test_whoever_is_folded_together_with_somebody_whose_fold_fails_is_rebuilt(site: Site) -> None:
    site.tell(5)
    site.catch_up()
    known = plan(site).document
    assert known is not None
    theirs = known["patient"]["identifiers"]

    def beside(members: Document) -> Document:
        return BROKEN.beside(members) if members["patient"]["identifiers"] == theirs else PLAN.beside(members)

    failing = PLAN._replace(beside=beside)
    report = site.rebuild(failing, despite=True)
    assert (report.persons, report.held_back) == (4, 1)
    assert site.one(f"select count(*) from read.{report.tables['plan']}") == 4


def test_what_a_killed_rebuild_left_is_cleared_away(site: Site) -> None:
    site.tell(2)
    site.catch_up()
    with site.database.connect("projector") as connection:
        left = generations.begin(connection, PLAN)
        assert [each.table for each in standing.others(connection)] == [left.table]
        site.rebuild(RECORD)
        assert left.table in dict(states(site))
        site.rebuild(PLAN)
        assert left.table not in dict(states(site))
        generations.begin(connection, PLAN)
        rebuilding.clear_abandoned(connection, ["plan"])
    assert [state for _, state in states(site)] == ["kept", "serving"]
    assert site.one("select count(*) from pg_tables where schemaname = 'read' and tablename like 'plan%%'") == 2


def test_nobody_else_rebuilds_the_same_meanwhile(site: Site) -> None:
    site.tell(1)
    site.catch_up()
    with site.tools.connect() as connection, rebuilding.alone(connection, ["plan"]):
        with pytest.raises(NotRebuilt, match="already"):
            site.rebuild(PLAN)
        site.rebuild(RECORD)


def test_people_of_several_records_are_one_in_a_new_table(site: Site) -> None:
    site.tell(4, times=2)
    with site.database.connect("owner") as owner:
        rows: list[Any] = owner.execute("select patient_id from log.keys order by 1 limit 2").fetchall()
        owner.execute(
            "insert into log.merges select max(position), %s, %s, true from log.events", [rows[0][0], rows[1][0]]
        )
    site.catch_up()
    report = site.rebuild(*STORED, processes=2, sample=None)
    assert (report.differences, report.persons) == ([], 3)
    assert differing(site.database) == []


@pytest.mark.parametrize("projections", [(PLAN,), STORED])
def test_whoever_follows_hears_that_all_is_done(site: Site, projections: tuple[Projection, ...]) -> None:
    site.tell(3)
    site.catch_up()
    told: list[rebuilding.Progress] = []
    rebuilding.rebuild(site.tools, projections, rebuilding.Terms(), told.append)
    assert told[-1] == ("switched", len(projections), len(projections))
    assert all(0 <= each.done <= each.total for each in told)
    assert [each.phase for each in told].index("filling") == 0


def test_a_log_that_goes_on_is_caught_up_with(site: Site) -> None:
    """Events that come while the table is being filled."""
    site.tell(3, times=2)
    site.catch_up()
    came = iter([3])

    def meanwhile(at: rebuilding.Progress) -> None:
        if at.phase == "filling" and (more := next(came, 0)):
            site.tell(more, times=5)
            site.catch_up()

    rebuilding.rebuild(site.tools, [PLAN], rebuilding.Terms(sample=None), meanwhile)
    assert plan(site).standing.checkpoint == site.one("select max(position) from log.events")
    assert differing(site.database) == []
