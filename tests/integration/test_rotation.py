"""Rotating the key-encryption key while others write, and after being cut short anywhere."""

import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from infra.custody import rotation
from infra.custody import standing as custody
from infra.custody.ledger import Ledger
from infra.custody.rotation import CustodyRefused, Progress, rotate
from infra.keys import FileKeyProvider, KeyRing, KeyUnusable, version_of
from infra.writing.log import Log, may_pass
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.works import CARE_PLAN_NEED, called, work

pytestmark = pytest.mark.postgres

PEOPLE = 60


class Cut(Exception):
    """The process ended here."""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    FileKeyProvider.generate(path)
    return path


def writing(database: Database, key_file: Path) -> Writer:
    keys = KeyRing(FileKeyProvider(key_file))
    return Writer(Log(lambda: database.connect("writer"), keys), keys)


def write(writer: Writer, first: int, last: int) -> None:
    for number in range(first, last):
        writer.submit(work(f"m{number}", CARE_PLAN_NEED, patient=called(str(number))))


@pytest.fixture
def filled(database: Database, key_file: Path) -> Database:
    with closing(writing(database, key_file)) as writer:
        write(writer, 0, PEOPLE)
    return database


def unheard(_done: int, _of: int) -> None:
    return


def versions(database: Database) -> dict[str, int]:
    with database.connect("custodian") as custodian:
        rows = custodian.execute("select log.key_version(wrapped), count(*) from log.keys group by 1")
        return dict(rows.fetchall())


def opened(database: Database, key_file: Path) -> int:
    """How many patients' keys a fresh process can unwrap."""
    keys = KeyRing(FileKeyProvider(key_file))
    with database.connect("reader") as reader:
        rows = reader.execute("select key_id, wrapped from log.keys", binary=True).fetchall()
    return len([keys.unwrap(key_id, wrapped) for key_id, wrapped in rows])


def payloads(database: Database) -> list[tuple[object, ...]]:
    with database.connect("auditor") as auditor:
        return auditor.execute("select position, payload, key_id, leaf_hash from log.events order by 1").fetchall()


def test_every_key_is_wrapped_anew_and_no_payload_is_touched(filled: Database, key_file: Path, tmp_path: Path) -> None:
    before = payloads(filled)
    heard: list[tuple[int, int]] = []
    with filled.connect("custodian") as custodian:
        done = rotate(custodian, FileKeyProvider(key_file), lambda *told: heard.append(told))
        again = custody.status(custodian, FileKeyProvider(key_file), Ledger(tmp_path / "l", FileKeyProvider(key_file)))
    assert (done.version, done.rewrapped, done.retired) == ("2", PEOPLE + 1, ["1"])
    assert heard[-1] == (PEOPLE + 1, PEOPLE + 1)
    assert versions(filled) == {"2": PEOPLE}
    assert opened(filled, key_file) == PEOPLE
    assert payloads(filled) == before
    assert [(each.version, each.state, each.patients, each.months) for each in again.versions] == [
        ("2", "current", PEOPLE, 1),
        ("1", "retired", 0, 0),
    ]


def test_the_old_version_may_be_kept_for_backups_of_before(filled: Database, key_file: Path) -> None:
    with filled.connect("custodian") as custodian:
        kept = rotate(custodian, FileKeyProvider(key_file), unheard, keep_old=True)
        assert (kept.version, kept.retired) == ("2", [])
        ended = rotate(custodian, FileKeyProvider(key_file), unheard)
    assert (ended.version, ended.rewrapped, ended.retired) == ("2", 0, ["1"])


def cut(_done: int, _of: int) -> None:
    raise Cut


class EndsBeforeRetiring(FileKeyProvider):
    """The database refuses the old version by then, and the file still has it."""

    def retire(self, version: str) -> None:
        raise Cut(version)


@pytest.mark.parametrize(("kind", "told"), [(FileKeyProvider, cut), (EndsBeforeRetiring, unheard)])
def test_cut_short_it_goes_on_where_it_ended(
    filled: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch, kind: type[FileKeyProvider], told: Progress
) -> None:
    monkeypatch.setattr(rotation, "_AT_ONCE", 7)
    with filled.connect("custodian") as custodian, pytest.raises(Cut):
        rotate(custodian, kind(key_file), told)
    assert versions(filled) == ({"1": PEOPLE - 7, "2": 7} if told is cut else {"2": PEOPLE})
    assert opened(filled, key_file) == PEOPLE
    with filled.connect("custodian") as custodian:
        done = rotate(custodian, FileKeyProvider(key_file), unheard)
    assert (done.version, done.retired) == ("2", ["1"])
    assert versions(filled) == {"2": PEOPLE}
    assert opened(filled, key_file) == PEOPLE


def test_writers_that_have_not_heard_of_it_lose_nothing(filled: Database, key_file: Path) -> None:
    """They make keys all the while; none of those is left under a version that is gone."""
    with closing(writing(filled, key_file)) as writer:
        writers = [
            threading.Thread(target=write, args=(writer, PEOPLE + 100 * n, PEOPLE + 100 * n + 40)) for n in (1, 2)
        ]
        for each in writers:
            each.start()
        with filled.connect("custodian") as custodian:
            for _ in range(3):
                rotate(custodian, FileKeyProvider(key_file), unheard)
        for each in writers:
            each.join()
        write(writer, 1_000, 1_001)
    assert versions(filled) == {"4": PEOPLE + 81}
    assert opened(filled, key_file) == PEOPLE + 81


def test_an_old_copy_of_the_key_file_wraps_nothing_that_is_stored(
    filled: Database, key_file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.json"
    copy.write_bytes(key_file.read_bytes())
    with filled.connect("custodian") as custodian:
        rotate(custodian, FileKeyProvider(key_file), unheard)
    with closing(writing(filled, copy)) as writer, pytest.raises(KeyUnusable, match="'2' is not in the key file"):
        writer.submit(work("late", CARE_PLAN_NEED, patient=called("late")))
    wrapped = FileKeyProvider(copy).wrap(b"k" * 32, b"")
    with filled.connect("writer") as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute("select log.monthly_key(gen_random_uuid(), '2000-01-01', %b)", [wrapped])
    assert refused.value.sqlstate == "PCP02"
    assert may_pass(refused.value)


def test_one_rotation_at_a_time(filled: Database, key_file: Path) -> None:
    with filled.connect("custodian") as first, filled.connect("custodian") as second:
        first.execute("select pg_advisory_lock(%s)", [rotation._LOCK])
        with pytest.raises(CustodyRefused, match="another rotation"):
            rotate(second, FileKeyProvider(key_file), unheard)


def test_only_what_is_wrapped_as_believed_is_wrapped_anew(filled: Database) -> None:
    with filled.connect("custodian") as custodian:
        row = custodian.execute("select key_id, wrapped from log.keys limit 1", binary=True).fetchone()
        assert row is not None
        call = "select log.rewrap(array[%b]::uuid[], array[%b]::bytea[], array[%b]::bytea[])"
        assert custodian.execute(call, [row[0], b"\x011other", b"\x012new"]).fetchone() == (0,)
        assert custodian.execute(call, [row[0], row[1], row[1]]).fetchone() == (1,)
    assert version_of(row[1])[0] == "1"


def test_a_version_that_the_provider_lacks_is_shown_as_missing(
    filled: Database, key_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    FileKeyProvider.generate(other)
    with filled.connect("custodian") as custodian:
        rotate(custodian, FileKeyProvider(key_file), unheard)
        found = custody.status(custodian, FileKeyProvider(other), Ledger(tmp_path / "l", FileKeyProvider(other)))
    assert [(each.version, each.state, each.patients) for each in found.versions] == [
        ("1", "current", 0),
        ("2", "missing", PEOPLE),
    ]
