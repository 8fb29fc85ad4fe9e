"""Blue/green rebuild: new tables beside the ones that are served, filled, caught up, compared, and put in their place.

The engine keeps what is served at the end of the log meanwhile; readers see the one table or the other, never a part.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog

from projections.folds.folding import Projection
from projections.keeping.keeper import Keeper
from projections.keeping.refolding import Refolding
from projections.rebuild import bulk, comparing, filling
from projections.rebuild.comparing import Difference
from projections.rebuild.filling import Task
from projections.tables import generations, parking
from projections.tables.generations import Kept
from projections.tables.parking import Failure, Noting
from projections.tables.tools import Tools

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
EVENTS_A_RANGE = 4_000
SAMPLE = 2_000
_LOCK = 73055
_MOST = 500
# What is served may be this far behind the log and still be the measure; behind more, it is overtaken.
_FAR = 10_000
_ATTEMPTS = 100
_PAUSE_SECONDS = 0.1
_TOLD_SECONDS = 0.5
_SHORT_WAIT = "set local lock_timeout = '300ms'"


class NotRebuilt(Exception):
    """The message says why, and what to do; what was served is served still."""


class Progress(NamedTuple):
    """`phase`: filling, catching up, comparing, switching, and switched when all is done; `done` of `total` events, or
    tables compared or switched."""

    phase: str
    done: int
    total: int


class Report(NamedTuple):
    """`differences` were found between each new table and the one it has replaced."""

    tables: dict[str, str]
    events: int
    persons: int
    seconds: float
    differences: list[Difference]
    held_back: int


class Terms(NamedTuple):
    """`sample`: how many documents to compare in content, None for all. `despite`: switch even where they differ, or
    where people who are served now would be held back."""

    processes: int = 1
    sample: int | None = SAMPLE
    despite: bool = False


def rebuild(tools: Tools, projections: Sequence[Projection], terms: Terms, told: Callable[[Progress], None]) -> Report:
    """Raises NotRebuilt, psycopg.Error, Gap; then nothing is left of the new tables."""
    with tools.connect() as connection, alone(connection, [each.name for each in projections]):
        clear_away(connection, [each.name for each in projections])
        building = _Building(tools, connection, projections, terms, told)
        try:
            return building.build()
        except BaseException:
            building.abandon()
            raise


@contextmanager
def alone(connection: Connection, names: Sequence[str]) -> Iterator[None]:
    """Nobody else rebuilds any of these meanwhile. Raises NotRebuilt."""
    for name in names:
        row = connection.execute("select pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, name]).fetchone()
        if row is None or not row[0]:
            raise NotRebuilt(f"{name} is being rebuilt already")
    yield


def clear_away(connection: Connection, names: Sequence[str]) -> None:
    """What killed rebuilds have left. The caller rebuilds these alone."""
    left = generations.named(connection, names, "building")
    generations.drop(connection, left)
    if left:
        log.warning("rebuild_cleared_away", tables=len(left))


def clear_abandoned(connection: Connection, names: Sequence[str]) -> None:
    """The same for projections that nobody is rebuilding."""
    for name in names:
        row = connection.execute("select pg_try_advisory_lock(%s, hashtext(%s))", [_LOCK, name]).fetchone()
        if row is not None and row[0]:
            clear_away(connection, [name])
            connection.execute("select pg_advisory_unlock(%s, hashtext(%s))", [_LOCK, name])


class _Building:
    def __init__(
        self,
        tools: Tools,
        connection: Connection,
        projections: Sequence[Projection],
        terms: Terms,
        told: Callable[[Progress], None],
    ) -> None:
        self._tools = tools
        self._connection = connection
        self._terms = terms
        self._told = told
        self._began = time.monotonic()
        self._kept = [generations.begin(connection, each) for each in projections]
        self._left = list(self._kept)
        self._position = 0
        self._noting = Noting()
        self._keeper = Keeper(tools.keys(), limit_bytes=96_000_000, holding_back=self._noting)
        self._events = 0
        self._persons = 0

    def build(self) -> Report:
        self._position = self._start()
        apart = self._apart()
        self._fill(apart)
        self._finish(apart)
        self._catch_up()
        found = self._differences()
        self._refuse(found)
        self._switch()
        seconds = time.monotonic() - self._began
        tables = {each.projection.name: each.table for each in self._kept}
        return Report(tables, self._events, self._persons, seconds, found, len(self._noting.failures))

    def abandon(self) -> None:
        try:
            generations.drop(self._connection, [each.table for each in self._left])
        except psycopg.Error as error:
            log.warning("rebuild_left_tables", error=type(error).__name__)  # the next one clears them away

    @property
    def _names(self) -> list[str]:
        return [each.projection.name for each in self._kept]

    def _start(self) -> int:
        """The position as of which to fill."""
        return min(_head(self._connection), self._bound())

    def _bound(self) -> int:
        """Where what is served stands; the log's end where nothing is, or where it is far behind."""
        head = _head(self._connection)
        served = generations.positions(self._connection, self._names).values()
        return min(served) if served and head - min(served) <= _FAR else head

    def _apart(self) -> frozenset[UUID]:
        rows = self._connection.execute(
            """select patient_id from log.merges where position <= %(through)s
               union select into_id from log.merges where position <= %(through)s""",
            {"through": self._position},
        )
        return frozenset(row[0] for row in rows)

    def _fill(self, apart: frozenset[UUID]) -> None:
        task = Task(tuple(each.table for each in self._kept), tuple(self._names), self._position, apart)
        ranges = bulk.ranges(self._connection, self._position, EVENTS_A_RANGE)
        last_told = 0.0
        for filled in filling.fill(self._tools, task, self._kept, ranges, self._terms.processes):
            self._events += filled.events
            self._persons += filled.persons
            for person, reason in filled.failed.items():
                self._noting.note(Failure(person, self._position, reason))
            self._told(Progress("filling", self._events, self._position))
            if time.monotonic() - last_told > _TOLD_SECONDS:
                last_told = time.monotonic()
                self._leave_progress()

    def _leave_progress(self) -> None:
        """For `status` and for Prometheus."""
        self._connection.execute(
            "update read.generations set events = %s, folded = %s where table_name = any(%s)",
            [self._position, self._events, [each.table for each in self._kept]],
        )

    def _finish(self, apart: frozenset[UUID]) -> None:
        """People of several records, indexes, and the first checkpoint."""
        self._leave_progress()
        refolding = Refolding(self._connection, self._tools.keys())
        persons = refolding.persons(apart, self._position)
        projections = [each.projection for each in self._kept]
        for person, folded in refolding.fold(projections, persons, self._position):
            if isinstance(folded, Exception):
                self._noting.note(Failure(person, self._position, type(folded).__name__))
                continue
            self._persons += 1
            for each in self._kept:
                bulk.write(self._connection, each.table, [folded[each.projection.name]])
        for each in self._kept:
            generations.index(self._connection, each.table)
            generations.place(self._connection, each.table, self._position)

    def _catch_up(self) -> None:
        while (left := self._bound() - self._position) > 0:
            self._told(Progress("catching up", self._position, self._position + left))
            with self._connection.transaction():
                self._position = self._advance(self._kept, self._position, min(left, _MOST))

    def _advance(self, tables: Sequence[Kept], after: int, most: int) -> int:
        filling.refuse_if_gone(self._connection, [each.table for each in tables])
        through = self._keeper.advance(self._connection, tables, after, most).through
        generations.move(self._connection, tables, through)
        return through

    def _differences(self) -> list[Difference]:
        """In one snapshot for each projection, while both tables go on."""
        found: list[Difference] = []
        for number, each in enumerate(self._kept):
            self._told(Progress("comparing", number, len(self._kept)))
            served = generations.served(self._connection, each.projection)
            if served is None:
                continue
            most = self._terms.sample if served.version == each.projection.version else 0
            with self._connection.transaction():
                self._connection.execute("set transaction isolation level repeatable read, read only")
                keys = self._tools.keys()
                found += comparing.differences(
                    self._connection, keys, each.projection, served.table, each.table, most, salt=self._position
                )
        return found

    def _refuse(self, found: list[Difference]) -> None:
        held_back = self._newly_held_back()
        if self._terms.despite or not (found or held_back):
            return
        what = f"{len(found)} documents differ from what is served, and the folds of {len(held_back)} people fail"
        raise NotRebuilt(f"{what}; look why, and ask for the switch despite that where it is meant")

    def _newly_held_back(self) -> list[Failure]:
        already = parking.who(self._connection)
        return [each for each in self._noting.failures.values() if each.person not in already]

    def _switch(self) -> None:
        for number, each in enumerate(self._kept):
            self._told(Progress("switching", number, len(self._kept)))
            until_no_reader_is_in_the_way(lambda kept=each: self._put_in_place(kept))  # type: ignore[misc]
            self._left.remove(each)
        self._told(Progress("switched", len(self._kept), len(self._kept)))

    def _put_in_place(self, kept: Kept) -> None:
        """In one transaction, in which neither table can move: what is served next holds all that was served."""
        with self._connection.transaction():
            self._connection.execute(_SHORT_WAIT)
            until = generations.lock_served(self._connection, kept.projection.name)
            at = self._position
            while until is not None and at < until:
                at = self._advance([kept], at, min(until - at, _MOST))
            parking.park(self._connection, self._newly_held_back())
            generations.serve(self._connection, kept.table)


def back(tools: Tools, projection: Projection) -> str:
    """Serves again the table that was served before. Raises NotRebuilt; returns the table's name."""
    with tools.connect() as connection, alone(connection, [projection.name]):
        kept = generations.named(connection, [projection.name], "kept")
        if not kept:
            raise NotRebuilt(f"no earlier table of {projection.name} is kept")
        until_no_reader_is_in_the_way(lambda: _put_back(connection, kept[0], projection.name))
        return kept[0]


def _put_back(connection: Connection, table: str, name: str) -> None:
    with connection.transaction():
        connection.execute(_SHORT_WAIT)
        until = generations.lock_served(connection, name)
        at = generations.lock(connection, table)
        if at is None or until is None or at < until:
            raise NotRebuilt(
                f"{table} stands at {at} and what is served at {until}: a runner of its version must bring it on"
            )
        generations.serve(connection, table)


def drop_old(tools: Tools, projection: Projection) -> list[str]:
    """Gives up the way back. Returns the names of the tables that are gone."""
    with tools.connect() as connection, alone(connection, [projection.name]):
        kept = generations.named(connection, [projection.name], "kept")
        generations.drop(connection, kept)
        return kept


def until_no_reader_is_in_the_way(attempt: Callable[[], None]) -> None:
    """Replacing a view waits for whoever reads through it, and while it waits new readers wait too: so only for a
    moment at a time. Raises NotRebuilt."""
    for _ in range(_ATTEMPTS):
        try:
            attempt()
            return
        except psycopg.errors.LockNotAvailable:
            time.sleep(_PAUSE_SECONDS)
    raise NotRebuilt("readings that last for long are in the way; try again")


def _head(connection: Connection) -> int:
    row = connection.execute("select coalesce(max(position), 0) from log.events").fetchone()
    return int(row[0]) if row else 0
