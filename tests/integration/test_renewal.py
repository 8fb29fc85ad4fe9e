"""Keys of months are renewed when something under them was destroyed: nothing of others is lost, and the key ends."""

import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from consumers import rejected as aside_list
from infra.custody import standing
from infra.custody.renewal import Renewed, renew
from infra.custody.rotation import rotate
from infra.keys import FileKeyProvider, KeyRing
from infra.writing.batch import Batch
from infra.writing.work import Work
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.custody import destroyed, ledger_in, unheard
from tests.works import CARE_PLAN_NEED, MARIA, aside, work

pytestmark = pytest.mark.postgres

NUMBER = MARIA.identifiers[0].value


def one(database: Database, query: str, *given: Any) -> Any:
    with database.connect("auditor") as auditor:
        row = auditor.execute(query, given).fetchone()
    return row[0] if row else None


def set_aside(key: str, raw: bytes, code: str = "held") -> Work:
    return aside(key, "", code)._replace(key=key.encode(), raw=raw)


def month_key(database: Database) -> UUID:
    found = one(database, "select key_id from log.monthly_keys where state <> 'replaced'")
    assert isinstance(found, UUID)
    return found


def read(database: Database) -> dict[bytes, bytes]:
    """What can be opened of the messages under keys of months, by receipt."""
    found = {}
    with database.connect("auditor") as auditor:
        rows = auditor.execute(
            """select m.receipt_key, m.sealed, k.key_id, k.wrapped
                 from log.raw_messages m join log.monthly_keys k using (key_id)""",
            binary=True,
        ).fetchall()
    for receipt, sealed, key_id, wrapped in rows:
        found[receipt] = database.keys.unwrap(key_id, wrapped).open(sealed, receipt)
    return found


def another_ring(database: Database) -> KeyRing:
    """As another process has it."""
    return KeyRing(database.keys.provider)


def renewed(database: Database) -> Renewed:
    with database.connect("custodian") as custodian:
        return renew(custodian, database.keys, unheard)


@pytest.fixture
def stained(database: Database, writer: Writer, tmp_path: Path) -> UUID:
    """Forty messages of others and one that named Maria, whose key is destroyed: the key of their month."""
    writer.submit(work("maria", CARE_PLAN_NEED))
    writer.submit(set_aside("hers", f'"{NUMBER}"'.encode()))
    for number in range(40):
        writer.submit(set_aside(f"other-{number}", f"of somebody else, {number}".encode()))
    first = month_key(database)
    destroyed(database, tmp_path, one(database, "select patient_id from log.keys"))
    return first


OTHERS = {f"other-{number}".encode(): f"of somebody else, {number}".encode() for number in range(40)}


def test_the_messages_of_others_move_to_another_key_and_the_old_one_ends(database: Database, stained: UUID) -> None:
    assert one(database, "select state from log.monthly_keys") == "due"
    assert renewed(database) == (1, 40)
    assert month_key(database) != stained
    assert one(database, "select count(*) from log.monthly_keys where key_id = %s", stained) == 0
    assert one(database, "select key_id from log.ended_month_keys") == stained
    assert read(database) == OTHERS
    assert renewed(database) == (0, 0)


def test_where_nothing_was_destroyed_nothing_is_renewed(database: Database, writer: Writer, tmp_path: Path) -> None:
    """Her own message was under her own key."""
    writer.submit(work("maria", CARE_PLAN_NEED))
    writer.submit(set_aside("other", b"of somebody else"))
    before = month_key(database)
    destroyed(database, tmp_path, one(database, "select patient_id from log.keys"))
    assert renewed(database) == (0, 0)
    assert month_key(database) == before


def test_the_status_tells_what_is_to_be_renewed(
    database: Database, stained: UUID, tmp_path: Path, key_provider: FileKeyProvider
) -> None:
    ledger = ledger_in(tmp_path, database)
    for expected in (1, 0):
        with database.connect("custodian") as custodian:
            assert standing.status(custodian, key_provider, ledger).renewing == expected
        renewed(database)


def test_cut_short_it_goes_on(database: Database, stained: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.custody.renewal._BYTES_AT_ONCE", 200)

    class Cut(Exception):
        """As a process ends."""

    def cut(done: int, _of: int) -> None:
        if done > 10:
            raise Cut

    with database.connect("custodian") as custodian, pytest.raises(Cut):
        renew(custodian, database.keys, cut)
    half = one(database, "select count(*) from log.raw_messages where key_id = %s", stained)
    assert 0 < half < 40
    assert read(database) == OTHERS
    done = renewed(database)
    assert (done.months, done.messages) == (1, half)
    assert read(database) == OTHERS


def test_only_one_process_renews(database: Database, stained: UUID) -> None:
    with database.connect("custodian") as first, database.connect("custodian") as second:
        told = []

        def beside(done: int, _of: int) -> None:
            told.append(renew(second, database.keys, unheard))

        assert renew(first, database.keys, beside) == (1, 40)
    assert set(told) == {(0, 0)}


def test_a_writer_that_holds_the_old_key_takes_the_new_one(
    database: Database, stained: UUID, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not heard of it yet: the database refuses the old key, and the writer asks for the one of today."""
    writer.submit(set_aside("before", b"before"))
    monkeypatch.setattr(writer._destructions, "heed", lambda: None)
    with database.connect("custodian") as custodian:
        renew(custodian, another_ring(database), unheard)
    assert database.keys.held(stained) is not None
    writer.submit(set_aside("after", b"after"))
    assert read(database) == OTHERS | {b"before": b"before", b"after": b"after"}


def test_running_processes_forget_the_old_key(database: Database, stained: UUID, writer: Writer) -> None:
    with database.connect("custodian") as custodian:
        renew(custodian, another_ring(database), unheard)
    assert database.keys.held(stained) is not None
    for _ in range(40):
        if database.keys.held(stained) is None:
            break
        threading.Event().wait(0.1)
    assert database.keys.held(stained) is None
    writer.submit(set_aside("after", b"after"))
    assert read(database)[b"after"] == b"after"


def test_nothing_can_come_under_a_key_that_ended(database: Database, stained: UUID) -> None:
    renewed(database)
    head = one(database, "select max(position) from log.events")
    with closing(database.log()) as log, pytest.raises(psycopg.Error, match="was replaced") as caught:
        log.append(head, [], Batch(raws=[(b"late", stained, b"sealed")]))
    assert caught.value.sqlstate == "PCP02"


def test_messages_go_on_coming_in_meanwhile(database: Database, stained: UUID, writer: Writer) -> None:
    stopping, came = threading.Event(), list[bytes]()

    def come() -> None:
        while not stopping.is_set():
            name = f"late-{len(came)}"
            writer.submit(set_aside(name, name.encode()))
            came.append(name.encode())

    thread = threading.Thread(target=come)
    thread.start()
    while len(came) < 5:
        threading.Event().wait(0.01)
    months = renewed(database).months
    seen = len(came)
    while len(came) < seen + 5:
        threading.Event().wait(0.01)
    stopping.set()
    thread.join()
    assert months == 1
    assert read(database) == OTHERS | {name: name for name in came}
    assert one(database, "select count(distinct key_id) from log.raw_messages") == 1


def test_bytes_that_nobody_can_open_move_as_they_are(database: Database, stained: UUID) -> None:
    with database.connect("owner") as owner:
        owner.execute(
            "insert into log.raw_messages (receipt_key, key_id, sealed) values ('x', %s, 'broken')", [stained]
        )
    assert renewed(database) == (1, 41)
    assert one(database, "select sealed from log.raw_messages where receipt_key = 'x'") == b"broken"


def test_messages_are_not_sealed_under_any_other_key(database: Database, stained: UUID) -> None:
    with database.connect("custodian") as custodian, pytest.raises(psycopg.Error, match="does not take the place"):
        custodian.execute("select log.reseal(%s, %s, '{}', '{}', '{}')", [stained, uuid4()])


def test_a_key_under_which_something_is_left_does_not_end(database: Database, stained: UUID) -> None:
    with database.connect("custodian") as custodian:
        assert custodian.execute("select log.end_month_key(%s)", [stained]).fetchone() in ((None,), None)
        custodian.execute("select log.replace_month_key(%s, %s, %s)", [stained, uuid4(), b"\x011wrapped"])
        assert custodian.execute("select log.end_month_key(%s)", [stained]).fetchone() in ((None,), None)
    assert one(database, "select count(*) from log.monthly_keys where key_id = %s", stained) == 1


def test_a_rotation_wraps_keys_that_are_being_replaced_too(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    FileKeyProvider.generate(path)
    provider = FileKeyProvider(path)
    keys = KeyRing(provider)
    with closing(Writer(database._replace(keys=keys).log(), keys)) as writer:
        writer.submit(set_aside("other", b"of somebody else"))
    old, new = month_key(database), uuid4()
    with database.connect("owner") as owner, database.connect("custodian") as custodian:
        owner.execute("update log.monthly_keys set state = 'due'")
        custodian.execute("select log.replace_month_key(%s, %s, %s)", [old, new, keys.generate(new)[1]])
        assert rotate(custodian, provider, unheard).rewrapped == 2
        assert renew(custodian, KeyRing(provider), unheard) == (1, 1)
    assert month_key(database) == new


def test_a_later_message_about_her_loses_its_bytes_when_it_is_discarded(
    database: Database, stained: UUID, writer: Writer
) -> None:
    renewed(database)
    writer.submit(set_aside("later", f'"{NUMBER}"'.encode(), "key-destroyed"))
    rejected = one(database, "select rejected_id from log.rejected where receipt_key = 'later'")
    other = one(database, "select rejected_id from log.rejected where receipt_key = 'other-1'")
    with database.connect("writer") as connection:
        assert aside_list.discard(connection, other, "not for us")
        assert renewed(database) == (0, 0)
        assert aside_list.discard(connection, rejected, "the source was told")
        assert not aside_list.discard(connection, rejected, "again")
    assert one(database, "select count(*) from log.raw_messages where receipt_key = 'later'") == 0
    assert renewed(database) == (1, 40)
    assert read(database) == OTHERS
