"""The feed of changes: what whom is told, from where, and when."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fastapi import Request
from psycopg_pool import AsyncConnectionPool

from api.changes import _stream
from domain.facts import PATIENT
from domain.patient import ProfessionalJoinedTeam
from projections.reading.changes import Changes
from projections.reading.reads import Reader
from tests.conftest import Database
from tests.integration.test_read_side import AUDITOR
from tests.rebuilding import Site, site_of
from tests.works import called, work

pytestmark = pytest.mark.postgres
T = TypeVar("T")
DOCTOR = Reader(actor="d", role="clinician", professional="555")


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    with site_of(database, tmp_path) as site:
        site.tell(2)
        site.catch_up()
        yield site


def ask(site: Site, question: Callable[[Changes], Awaitable[T]]) -> T:
    async def answer() -> T:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            site.database.url("reader"), open=False, kwargs={"autocommit": True}
        )
        async with pool:
            return await question(Changes(pool))

    return asyncio.run(answer())


def test_a_change_is_told_once_it_is_served(site: Site) -> None:
    site.tell(1)
    assert ask(site, lambda changes: changes.since(6, AUDITOR)) == ([], 6)
    site.catch_up()
    found, through = ask(site, lambda changes: changes.since(6, AUDITOR))
    assert ([each.position for each in found], through) == ([7], 7)


def test_a_clinician_hears_of_their_own_patients_only(site: Site) -> None:
    joined = ProfessionalJoinedTeam(professional="555", name="Dr Made Up", organisation="RXX")
    site.writer.submit(work("team", (PATIENT, joined), patient=called("1")))
    site.catch_up()
    mine = site.one("select patient_id from log.events order by position desc limit 1")
    found, through = ask(site, lambda changes: changes.since(0, DOCTOR))
    assert {each.patient_id for each in found} == {mine}
    assert through == 7


def test_the_stream_begins_where_it_is_asked_to_and_ends_with_the_caller(site: Site) -> None:
    left = iter(range(2))

    async def receive() -> dict[str, str]:
        if next(left, None) is None:
            return {"type": "http.disconnect"}
        await asyncio.sleep(3_600)
        return {"type": "http.request"}

    async def told(changes: Changes) -> list[tuple[str | None, str | None]]:
        request = Request({"type": "http"}, receive)
        return [(each.id, each.event) async for each in _stream(request, changes, AUDITOR, 4)]

    assert ask(site, told) == [("4", "began"), ("5", None), ("6", None)]
