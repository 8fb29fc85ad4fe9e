"""New tables filled range by range, in this process or in several: each range is one short transaction.

A process that is killed leaves a table that nobody sees, and whoever clears it away shuts its other writers out.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from infra.garbage import spare_what_is_held
from infra.keys import KeyRing
from projections.catalogue import PROJECTIONS
from projections.folds.folding import PEOPLE_TOGETHER
from projections.rebuild import bulk
from projections.rebuild.bulk import History, Range
from projections.tables.documents import Person, Stored, refolded_each
from projections.tables.generations import Kept
from projections.tables.tools import Tools

Connection = psycopg.Connection[Any]
_FENCE = "select count(*) from (select from read.generations where table_name = any(%b) for key share) g"


class Gone(Exception):
    """Somebody has cleared away the tables that were being filled."""


class WorkerDied(Exception):
    """A process that was filling tables has ended before its work was done."""


class Task(NamedTuple):
    """`apart` are patients who are left out, since their persons have several records."""

    tables: tuple[str, ...]
    projections: tuple[str, ...]
    through: int
    apart: frozenset[UUID]


class Filled(NamedTuple):
    """What a range came to; `failed` names the error's class by person."""

    events: int
    persons: int
    failed: dict[UUID, str]


class Filler:
    """Fills ranges on one connection."""

    def __init__(self, connection: Connection, keys: KeyRing, task: Task, kept: Sequence[Kept]) -> None:
        self._connection = connection
        self._keys = keys
        self._task = task
        self._kept = kept

    def fill(self, among: Range) -> Filled:
        """Raises Gone."""
        with self._connection.transaction():
            refuse_if_gone(self._connection, self._task.tables)
            folded, filled = self._folded(among)
            for each in self._kept:
                bulk.write(self._connection, each.table, [one[each.projection.name] for one in folded])
        return filled

    def _folded(self, among: Range) -> tuple[list[dict[str, Stored]], Filled]:
        folded: list[dict[str, Stored]] = []
        failed: dict[UUID, str] = {}
        events = 0
        histories = bulk.histories(self._connection, among, self._task.through)
        while some := list(islice(histories, PEOPLE_TOGETHER)):
            events += sum(len(each.rows) for each in some)
            folded += self._refolded([each for each in some if each.patient not in self._task.apart], failed)
        return folded, Filled(events, len(folded), failed)

    def _refolded(self, some: list[History], failed: dict[UUID, str]) -> list[dict[str, Stored]]:
        """Together, or each alone where somebody's fold fails, so that it stops nobody else's."""
        try:
            return self._together(some)
        except Exception as error:  # noqa: BLE001 one person's failure must not stop the others
            if len(some) > 1:
                return [made for each in some for made in self._refolded([each], failed)]
            failed[some[0].patient] = type(error).__name__
            return []

    def _together(self, some: list[History]) -> list[dict[str, Stored]]:
        projections = [each.projection for each in self._kept]
        people = [Person(each.patient, *each.opened(self._keys)) for each in some]
        return refolded_each(projections, people, self._keys.digest)


def fill(tools: Tools, task: Task, kept: Sequence[Kept], ranges: Sequence[Range], processes: int) -> Iterator[Filled]:
    """What each range came to, as it is done. Raises Gone, WorkerDied, psycopg.Error."""
    if processes > 1:
        yield from _in_processes(tools, task, ranges, processes)
        return
    with tools.connect() as connection:
        filler = Filler(connection, tools.keys(), task, kept)
        yield from map(filler.fill, ranges)


def _in_processes(tools: Tools, task: Task, ranges: Sequence[Range], processes: int) -> Iterator[Filled]:
    """Each worker asks for its next range when it has done one."""
    with ExitStack() as stack:
        pipes = [stack.enter_context(_worker(tools, task)) for _ in range(processes)]
        left = iter(ranges)
        working: list[Any] = [pipe for pipe in pipes if _sent(pipe, next(left, None))]
        while working:
            for pipe in wait(working):
                yield _answer(pipe)
                if not _sent(pipe, next(left, None)):
                    working.remove(pipe)


def _answer(pipe: Any) -> Filled:
    try:
        answer = pipe.recv()
    except EOFError:
        raise WorkerDied("a process that was filling tables has died") from None
    if isinstance(answer, Exception):
        raise answer
    filled: Filled = answer
    return filled


def _sent(pipe: Any, among: Range | None) -> bool:
    if among is not None:
        pipe.send(among)
    return among is not None


@contextmanager
def _worker(tools: Tools, task: Task) -> Iterator[Pipe]:
    """Ends with us: when our end of the pipe closes, by whatever death, it finishes its range and goes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, tools, task), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def _work(pipe: Pipe, tools: Tools, task: Task) -> None:
    named = {each.name: each for each in PROJECTIONS}
    kept = [Kept(table, named[name]) for table, name in zip(task.tables, task.projections, strict=True)]
    spare_what_is_held()
    with tools.connect() as connection:
        filler = Filler(connection, tools.keys(), task, kept)
        try:
            while True:
                pipe.send(filler.fill(pipe.recv()))
        except (EOFError, BrokenPipeError):
            return
        except (Gone, psycopg.Error) as error:
            pipe.send(WorkerDied(f"a process that was filling tables failed: {type(error).__name__}"))


def refuse_if_gone(connection: Connection, tables: Sequence[str]) -> None:
    """Also keeps them from being cleared away before this transaction has ended."""
    row = connection.execute(_FENCE, [list(tables)]).fetchone()
    if row is None or row[0] != len(tables):
        raise Gone("the tables that were being filled have been cleared away")
