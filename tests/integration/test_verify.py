"""The audit of a whole store, and what it says of every way in which someone could have changed it."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.evidence.audit import Audit, Kept
from infra.evidence.notes import Signer, Verifier
from infra.evidence.outside import Outside
from infra.evidence.tiles import LogName, Tiles
from infra.evidence.walk import Finding
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.records import Ward
from tests.signing import PRIVATE, fill, signed, tampering, verifier
from tests.works import CARE_PLAN_NEED, work

pytestmark = pytest.mark.postgres

EVENTS, ACCESSES = LogName.EVENTS, LogName.ACCESSES
LEAVES_ANEW = """update log.events set leaf_hash = log.leaf(position, recorded_at, stream_id, version, patient_id,
                     patient_seq, type, occurred_at, occurred_precision, payload, key_id)"""
READ = "insert into access.reads (actor, role, purpose, outcome, answer_hash) values (%s, 'auditor', 'p', 'read', 'x')"


def audit(database: Database, folder: Path, *more: bytes, known: Verifier | None = None) -> list[Finding]:
    kept = [
        Kept(EVENTS, known or verifier(), Outside(folder, EVENTS), more),
        Kept(ACCESSES, verifier(ACCESSES), Outside(folder, ACCESSES)),
    ]
    return list(Audit(lambda: database.connect("auditor"), lambda *_: None).run(kept))


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Database:
    """700 events, signed at 300 and at 700, and 5 accesses, signed."""
    fill(database, 1, 300)
    signed(database, tmp_path)
    fill(database, 301, 700)
    signed(database, tmp_path)
    with database.connect("reader") as reader, database.connect("sealer") as sealer:
        for number in range(5):
            reader.execute(READ, [f"someone/{number}"])
        sealer.execute("select log.seal_accesses()")
    signed(database, tmp_path, ACCESSES)
    return database


def places(found: list[Finding]) -> set[tuple[str, int | None]]:
    return {(each.check, each.position) for each in found}


def test_a_store_in_order_is_found_in_order(store: Database, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    kept = [Kept(log, verifier(log), Outside(tmp_path, log)) for log in LogName]
    ours = Audit(lambda: store.connect("auditor"), lambda *progress: told.append(progress))
    assert list(ours.run(kept)) == []
    assert [tuple(each) for each in ours.audited] == [(EVENTS, 700, 2, 700, 0), (ACCESSES, 5, 1, 5, 0)]
    assert [each for each in told if each[1] == each[2]] == [
        (EVENTS, 700, 700), (ACCESSES, 5, 5), ("streams", 700, 700), ("patients", 700, 700)
    ]  # fmt: skip


def test_an_empty_store_is_in_order(database: Database, tmp_path: Path) -> None:
    assert audit(database, tmp_path) == []


def test_what_the_services_write_is_in_order(database: Database, writer: Writer, tmp_path: Path) -> None:
    for number in range(20):
        writer.submit(work(f"{number}", CARE_PLAN_NEED))
    with database.connect("writer") as connection:
        connection.execute(
            "select log.append_library_events(array[gen_random_uuid()], array[0], array['Ä'], array[''::bytea])"
        )
    signed(database, tmp_path)
    assert audit(database, tmp_path) == []


COLUMNS = {
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "stream_id": "gen_random_uuid()",
    "version": "version + 100",
    "patient_id": "gen_random_uuid()",
    "patient_seq": "patient_seq + 100",
    "type": "'pathway.closed.v1'",
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "occurred_precision": "'D'",
    "payload": "payload || '\\x00'::bytea",
    "key_id": "null",
    "leaf_hash": "sha256(leaf_hash)",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_each_column_of_an_event(store: Database, tmp_path: Path, column: str) -> None:
    with tampering(store) as superuser:
        superuser.execute(f"update log.events set {column} = {COLUMNS[column]} where position = 400")
    found = audit(store, tmp_path)
    assert ("leaves", 400) in places(found)
    assert {each.position for each in found if each.check == "leaves"} == {400}


@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "leaf_hash"])
def test_a_leaf_that_was_made_to_fit_is_not_that_in_its_tile(store: Database, tmp_path: Path, column: str) -> None:
    with tampering(store) as superuser:
        superuser.execute(f"update log.events set {column} = {COLUMNS[column]} where position = 400")
        superuser.execute(LEAVES_ANEW)
    assert {("tiles", 400), ("checkpoints", 301)} <= places(audit(store, tmp_path))


def test_an_event_left_out(store: Database, tmp_path: Path) -> None:
    """Position 400 ends its stream and its patient's ten, so that neither sequence has a gap."""
    with tampering(store) as superuser:
        superuser.execute("delete from log.events where position = 400")
    assert places(audit(store, tmp_path)) == {("positions", 400)}


def test_an_event_in_the_middle_of_its_stream_left_out(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("delete from log.events where position = 398")
    assert places(audit(store, tmp_path)) == {("positions", 398), ("streams", 399), ("patients", 399)}


def exchanged(superuser: "psycopg.Connection[Any]") -> None:
    superuser.execute("update log.events set position = -position where position in (400, 401)")
    superuser.execute("update log.events set position = 801 + position where position < 0")


def test_two_events_exchanged(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        exchanged(superuser)
    assert {("leaves", 400), ("leaves", 401), ("times", 401), ("tiles", 400)} <= places(audit(store, tmp_path))


def test_two_events_exchanged_with_times_and_leaves_made_to_fit(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        exchanged(superuser)
        superuser.execute(
            "update log.events set recorded_at = timestamptz '2026-03-01' + position * interval '1 second'"
        )
        superuser.execute(LEAVES_ANEW)
    assert places(audit(store, tmp_path)) == {("tiles", 400), ("checkpoints", 301)}


def test_an_event_moved_to_another_patient(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute(
            """update log.events set patient_seq = 11,
                   patient_id = (select patient_id from log.events where position = 1) where position = 400"""
        )
        superuser.execute(LEAVES_ANEW)
    assert places(audit(store, tmp_path)) == {("tiles", 400), ("checkpoints", 301)}


def test_a_time_that_goes_back(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("update log.events set recorded_at = recorded_at - interval '1 hour' where position = 400")
        superuser.execute(LEAVES_ANEW)
    assert ("times", 400) in places(audit(store, tmp_path))


def test_a_cut_tail(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("delete from log.events where position > 690")
    (found,) = audit(store, tmp_path)
    assert (found.check, found.position) == ("checkpoints", 691)
    assert "700 leaves were signed, and 690 are stored" in found.what


def tiles_anew(database: Database, superuser: "psycopg.Connection[Any]") -> None:
    superuser.execute("delete from log.tiles where log = 'events'")
    superuser.execute("delete from log.checkpoints where log = 'events'")
    with database.connect("sealer") as sealer:
        Tiles(sealer, EVENTS).extend()


def test_a_whole_stream_left_out_and_everything_made_to_fit(store: Database, tmp_path: Path) -> None:
    """Positions, sequences, leaves and tiles are those of a log in which that stream never was."""
    with tampering(store) as superuser:
        superuser.execute("delete from log.events where position between 396 and 400")
        superuser.execute("update log.events set position = position + 9995 where position > 400")
        superuser.execute("update log.events set position = position - 10000 where position > 9000")
        superuser.execute(LEAVES_ANEW)
        tiles_anew(store, superuser)
    (found,) = audit(store, tmp_path)
    assert (found.check, found.position) == ("checkpoints", 696)
    assert "700 leaves were signed, and 695 are stored" in found.what


def test_a_fork_that_is_perfect_in_itself(store: Database, tmp_path: Path) -> None:
    """Another history from position 691 on, longer than the one that was signed."""
    with tampering(store) as superuser:
        superuser.execute("delete from log.events where position > 690")
    fill(store, 691, 800)
    with tampering(store) as superuser:
        superuser.execute("update log.events set payload = '' where position > 690")
        superuser.execute(LEAVES_ANEW)
        tiles_anew(store, superuser)
    (found,) = audit(store, tmp_path)
    assert (found.check, found.position) == ("checkpoints", 301)
    assert "up to 300 they are" in found.what


def test_two_roots_signed_for_one_size(store: Database, tmp_path: Path) -> None:
    other = Signer(verifier().name, PRIVATE).sign(f"{verifier().name}\n700\n{'A' * 43}=\n")
    (found,) = audit(store, tmp_path, other)
    assert "two roots were signed for 700 leaves" in found.what


def test_a_tile_that_is_not_of_its_leaves(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("update log.tiles set hashes = overlay(hashes placing '\\xff'::bytea from 1) where place = 1")
    assert places(audit(store, tmp_path)) == {("tiles", 257)}


def test_a_tile_of_another_root(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("update log.tiles set root = sha256(root) where place = 0 and log = 'events'")
    assert places(audit(store, tmp_path)) == {("tiles", 1)}


def test_a_tile_that_is_gone(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("delete from log.tiles where place = 1 and log = 'events'")
    assert places(audit(store, tmp_path)) == {("tiles", 257)}


def test_an_older_checkpoint_put_in_place_of_the_newest(store: Database, tmp_path: Path) -> None:
    (journal,) = (tmp_path / "events").glob("*.notes")
    first = next(Outside(tmp_path, EVENTS).notes())
    journal.write_bytes(first + b"\n")
    (tmp_path / "events.checkpoint").write_bytes(first)
    (found,) = audit(store, tmp_path)
    assert (found.check, found.position) == ("notes", 301)
    assert "of 300 leaves, and 700 were signed" in found.what


def test_an_auditors_own_copy_tells_of_a_tail_cut_everywhere(store: Database, tmp_path: Path) -> None:
    own = (tmp_path / "events.checkpoint").read_bytes()
    test_an_older_checkpoint_put_in_place_of_the_newest(store, tmp_path)
    with tampering(store) as superuser:
        superuser.execute("delete from log.events where position > 300")
        tiles_anew(store, superuser)
    assert audit(store, tmp_path) == []
    assert places(audit(store, tmp_path, own)) == {("checkpoints", 301)}


def test_a_wrong_key(store: Database, tmp_path: Path) -> None:
    other = Signer(verifier().name, Ed25519PrivateKey.generate()).verifier
    found = audit(store, tmp_path, known=other)
    assert {each.check for each in found} == {"notes"}
    assert any("nobody whose key is known" in each.what for each in found)


def test_a_note_altered(store: Database, tmp_path: Path) -> None:
    (journal,) = (tmp_path / "events").glob("*.notes")
    journal.write_bytes(journal.read_bytes().replace(b"\n300\n", b"\n301\n"))
    (found,) = audit(store, tmp_path)
    assert found.check == "notes"
    assert found.what == f"a note that is kept outside: the signature by {verifier().name} is wrong"


ACCESS_COLUMNS = {
    "at": "at + interval '1 microsecond'",
    "patient_id": "gen_random_uuid()",
    "actor": "'someone/else'",
    "role": "'clinician'",
    "organisation": "''",
    "purpose": "'own-record'",
    "outcome": "'refused'",
    "projection": "'plan'",
    "through_position": "1",
    "answer_hash": "null",
    "correlation_id": "'x'",
}


@pytest.mark.parametrize("column", ACCESS_COLUMNS)
def test_each_column_of_an_access(store: Database, tmp_path: Path, column: str) -> None:
    with tampering(store) as superuser:
        superuser.execute(f"update access.reads set {column} = {ACCESS_COLUMNS[column]} where actor = 'someone/2'")
    (found,) = audit(store, tmp_path)
    assert found[:3] == ("leaves", ACCESSES, 3)


@pytest.mark.parametrize(("table", "place"), [("access.reads", ("leaves", 3)), ("access.leaves", ("positions", 3))])
def test_an_access_left_out(store: Database, tmp_path: Path, table: str, place: tuple[str, int]) -> None:
    with tampering(store) as superuser:
        superuser.execute(f"delete from {table} where access_id = 3")
    assert places(audit(store, tmp_path)) == {place}


def test_accesses_that_nobody_seals(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute(
            """insert into access.reads (at, actor, role, purpose, outcome)
               values (now() - interval '1 hour', 'a', 'b', 'c', 'd')"""
        )
    (found,) = audit(store, tmp_path)
    assert found.check == "accesses"


def test_notes_of_an_earlier_epoch_are_checked_for_their_signatures(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("update log.epoch set branch = '/abc'")
    later = Verifier(f"{verifier().name}/abc", verifier().public)
    ours = Audit(lambda: store.connect("auditor"), lambda *_: None)
    assert list(ours.run([Kept(EVENTS, later, Outside(tmp_path, EVENTS))])) == []
    assert ours.audited[0].former == 2


@pytest.mark.parametrize(
    "change",
    [
        "insert into log.merges values (7, gen_random_uuid(), gen_random_uuid(), true)",
        "insert into log.merges select 1, patient_id, gen_random_uuid(), false from log.events where position = 1",
        "update log.merges set joined = not joined",
        "update log.merges set patient_id = gen_random_uuid()",
        "delete from log.merges",
    ],
)
def test_merges_that_no_event_tells_and_events_without_their_merge(
    database: Database, writer: Writer, tmp_path: Path, change: str
) -> None:
    ward = Ward(database, writer)
    ward.merge(ward.second, ward.first)
    assert audit(database, tmp_path) == []
    with tampering(database) as superuser:
        superuser.execute(change)
    assert {each.check for each in audit(database, tmp_path)} == {"merges"}
