"""Sealing accesses while many readers write them, some slowly, some in vain: none is lost and none sealed twice."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from psycopg.rows import dict_row

from tests.conftest import Database
from tests.leaves import access_leaf

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(120)]

SECONDS = 6
READERS = 10
_NOTE = """insert into access.reads (patient_id, actor, role, organisation, purpose, outcome, projection,
                                    through_position, answer_hash, correlation_id)
           values (%s, %s, 'clinician', %s, 'direct-care', 'read', %s, %s, %s, %s) returning access_id"""


def note(choice: random.Random) -> list[Any]:
    def perhaps(value: Any) -> Any:
        return value if choice.random() < 0.7 else None

    return [
        perhaps(uuid4()), f"Ωmega/{choice.random()}", perhaps("RXX"), perhaps("plan"), perhaps(choice.randrange(9_999)),
        perhaps(choice.randbytes(choice.choice((0, 16, 32)))), perhaps(str(uuid4())),
    ]  # fmt: skip


def read(database: Database, seed: int, ended: Event) -> list[int]:
    """Ids of what was committed: mostly one statement alone, as the API reads, and now and then a transaction that
    stays open for a while or is rolled back."""
    choice, committed = random.Random(seed), []
    with database.connect("reader") as reader:
        while not ended.is_set():
            if choice.random() < 0.8:
                committed += [reader.execute(_NOTE, note(choice)).fetchone()[0]]  # type: ignore[index]
                continue
            is_vain = choice.random() < 0.5
            with reader.transaction(force_rollback=is_vain):
                ids = []
                for _ in range(3):  # others read in between, so that ids do not come in the order of transactions
                    ids += [reader.execute(_NOTE, note(choice)).fetchone()[0]]  # type: ignore[index]
                    time.sleep(choice.uniform(0, 0.1))
            committed += [] if is_vain else ids
    return committed


def seal(database: Database, ended: Event) -> int:
    """Two of these run at once, which is one more than there should be. Returns how many calls sealed something."""
    useful = 0
    with database.connect("sealer") as sealer:
        while not ended.is_set():
            row = sealer.execute("select log.seal_accesses()").fetchone()
            useful += bool(row and row[0])
            time.sleep(random.uniform(0, 0.05))
    return useful


def test_none_is_lost_and_none_is_sealed_twice(database: Database) -> None:
    ended, no_more = Event(), Event()
    with ThreadPoolExecutor(READERS + 2) as pool:
        sealers = [pool.submit(seal, database, no_more) for _ in range(2)]
        readers = [pool.submit(read, database, seed, ended) for seed in range(READERS)]
        time.sleep(SECONDS)
        ended.set()
        committed = sorted(access_id for each in readers for access_id in each.result())
        no_more.set()
        assert sum(each.result() for each in sealers) > 20
    with database.connect("sealer") as sealer:
        sealer.execute("select log.seal_accesses()")
    check(database, committed)


def check(database: Database, committed: list[int]) -> None:
    with database.connect("auditor") as auditor:
        cursor = auditor.cursor(row_factory=dict_row)
        rows = cursor.execute(
            "select l.position, l.leaf_hash, r.* from access.leaves l join access.reads r using (access_id) order by 1"
        ).fetchall()
    assert [row["position"] for row in rows] == list(range(1, len(committed) + 1))
    assert sorted(row["access_id"] for row in rows) == committed
    assert [row["leaf_hash"] for row in rows] == [access_leaf(row["position"], row) for row in rows]
    # Had accesses come in order, this would have proved little.
    assert committed != [row["access_id"] for row in rows]


def test_an_open_read_holds_back_what_came_after_it(database: Database) -> None:
    choice = random.Random(1)
    with database.connect("reader") as slow, database.connect("reader") as quick, database.connect("sealer") as sealer:
        with slow.transaction():
            slow.execute(_NOTE, note(choice))
            quick.execute(_NOTE, note(choice))
            assert sealer.execute("select log.seal_accesses()").fetchone() == (0,)
        assert sealer.execute("select log.seal_accesses()").fetchone() == (2,)
        assert sealer.execute("select log.seal_accesses()").fetchone() == (0,)


def test_transaction_numbers_may_begin_anew(database: Database) -> None:
    """As after a dump was restored elsewhere: nothing would be sealed until the numbers had caught up."""
    choice = random.Random(1)
    with database.connect("reader") as reader, database.connect("sealer") as sealer:
        reader.execute(_NOTE, note(choice))
        sealer.execute("select log.seal_accesses()")
        with database.connect("owner") as owner:
            owner.execute("update access.sealed set through = '999999999999'")
        reader.execute(_NOTE, note(choice))
        assert sealer.execute("select log.seal_accesses()").fetchone() == (0,)
        assert sealer.execute("select log.seal_accesses(true)").fetchone() == (1,)
        reader.execute(_NOTE, note(choice))
        assert sealer.execute("select log.seal_accesses()").fetchone() == (1,)
