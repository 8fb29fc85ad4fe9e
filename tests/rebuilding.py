"""A database whose keys stand in a file, so that other processes can read it, with people of whom something is told."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN
from infra.keys import FileKeyProvider, KeyRing
from infra.writing.work import Work
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.folding import Projection
from projections.live.engine import Engine
from projections.rebuild.rebuilding import Report, Terms, rebuild
from projections.tables.tools import Tools
from tests.conftest import Database
from tests.works import called, work

_AT_ONCE = 500


class Site:
    """`tell` writes through the writer; `live` is an engine that catches up when asked to."""

    def __init__(self, database: Database, key_file: Path, writer: Writer) -> None:
        self.database = database
        self.key_file = key_file
        self.tools = Tools(database.url("projector"), partial(FileKeyProvider, key_file))
        self.writer = writer
        self._numbers = count()
        self._chance = Random(1)

    def tell(self, persons: int, times: int = 1) -> None:
        works = [self._work(person) for _ in range(times) for person in range(persons)]
        for start in range(0, len(works), _AT_ONCE):
            self.writer.write(works[start : start + _AT_ONCE])

    def tell_some(self, number: int, of: int) -> None:
        """One event of each of so many, chosen at random among the first `of`."""
        self.writer.write([self._work(person) for person in self._chance.sample(range(of), number)])

    def _work(self, person: int) -> Work:
        number = str(next(self._numbers))
        return work(number, (CARE_PLAN, NeedRaised(need=number, concern="work")), patient=called(str(person)))

    def engine(self, projections: tuple[Projection, ...] = STORED, most: int = 500) -> Engine:
        return Engine(self.tools.connect, self.tools.keys(), projections, most)

    def catch_up(self, projections: tuple[Projection, ...] = STORED) -> int:
        with closing(self.engine(projections)) as engine:
            return engine.catch_up()

    def rebuild(self, *projections: Projection, **terms: Any) -> Report:
        return rebuild(self.tools, projections, Terms(**terms), lambda _: None)

    def one(self, query: str, *given: object) -> Any:
        with self.database.connect("auditor") as connection:
            row = connection.execute(query, given).fetchone()
        assert row is not None
        return row[0]


@contextmanager
def site_of(database: Database, folder: Path) -> Iterator[Site]:
    key_file = folder / "keys.json"
    FileKeyProvider.generate(key_file)
    ours = database._replace(keys=KeyRing(FileKeyProvider(key_file)))
    with closing(Writer(ours.log(), ours.keys)) as writer:
        yield Site(ours, key_file, writer)
