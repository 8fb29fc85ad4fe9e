"""The audit of the heads: every way in which what is kept, signed or served of patients is not what the log says."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.evidence import heads_audit
from infra.evidence.audit import Audit, Kept
from infra.evidence.heads import Head, heads_of, indexed, sign_heads
from infra.evidence.heads_audit import KeptHeads
from infra.evidence.heads_keeper import HeadsKeeper
from infra.evidence.notes import Signer, Verifier
from infra.evidence.outside import Outside
from infra.evidence.tiles import LogName
from infra.evidence.walk import Finding
from tests.conftest import Database
from tests.ledger import EXPORTS
from tests.signing import NAME, PRIVATE, fill, signed, tampering, verifier

pytestmark = pytest.mark.postgres

LOG = Signer(NAME, PRIVATE)
EXPORT_KEY = EXPORTS.verifier.public


def kept_heads(folder: Path, *more: bytes, known: Verifier | None = None, every: bool = False) -> KeptHeads:
    return KeptHeads(known or verifier(), Outside(folder, "heads"), more, every)


def audit(database: Database, folder: Path, *more: bytes, known: Verifier | None = None) -> list[Finding]:
    events = Kept(LogName.EVENTS, known or verifier(), Outside(folder, LogName.EVENTS))
    ours = Audit(lambda: database.connect("auditor"), lambda *_: None)
    return list(ours.run([events], kept_heads(folder, *more, known=known)))


def with_heads(database: Database, folder: Path, *, outside: bool = True) -> None:
    """A checkpoint of the log as it is, and the heads beside it."""
    checkpoint = signed(database, folder).checkpoint
    with database.connect("sealer") as sealer:
        keeper = HeadsKeeper(EXPORT_KEY, Outside(folder, "heads"))
        made = keeper.make(sealer, LOG, checkpoint)
        assert made is not None
        if outside:
            keeper.to_publish(made)


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Database:
    """5,400 events of 540 patients, ten of each: three groups of heads. Signed at 5,203, within a record, and at the
    end."""
    fill(database, 1, 5_203)
    with_heads(database, tmp_path)
    fill(database, 5_204, 5_400)
    with_heads(database, tmp_path)
    return database


def patient(database: Database, position: int) -> UUID:
    with database.connect("auditor") as auditor:
        row = auditor.execute("select patient_id from log.events where position = %s", [position]).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def places(found: list[Finding]) -> set[tuple[str, int | None]]:
    return {(each.check, each.position) for each in found}


def of_all(database: Database, size: int, leaving_out: Callable[[int, UUID], bool] = lambda *_: False) -> list[Head]:
    """Heads as of a size, of the events that are not left out."""
    with database.connect("auditor") as auditor:
        rows = auditor.execute(
            """select position, stream_id, uuid_send(patient_id), leaf_hash from log.events
                where position <= %s order by patient_id, patient_seq""",
            [size],
        ).fetchall()
    return list(heads_of((owner, leaf) for position, stream, owner, leaf in rows if not leaving_out(position, stream)))


def note_of(heads: list[Head], size: int, signer: Signer = LOG) -> bytes:
    index, root = indexed(each.entry() for each in heads)
    return sign_heads(signer, index.size, root, size, EXPORTS.verifier)


def put(superuser: "psycopg.Connection[Any]", heads: list[Head], size: int, note: bytes) -> None:
    """All that the database has of the heads of one size, as someone would write who owns it."""
    index, _ = indexed(each.entry() for each in heads)
    superuser.execute("delete from log.patient_heads")
    with superuser.cursor() as cursor:
        cursor.executemany("insert into log.patient_heads values (%s, %s, %s)", heads)
    superuser.execute("update log.heads set note = %s where size = %s", [note, size])
    superuser.execute("update log.heads_index set size = %s, index = %s", [size, index.to_bytes()])


def exchange(folder: Path, old: bytes, new: bytes) -> None:
    """In the journal and in the file of the newest note."""
    for path in (*(folder / "heads").glob("*.notes"), folder / "heads.checkpoint"):
        path.write_bytes(path.read_bytes().replace(old, new))


def newest(folder: Path) -> bytes:
    return (folder / "heads.checkpoint").read_bytes()


def test_heads_in_order_are_found_in_order(store: Database, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    heads = kept_heads(tmp_path)
    ours = Audit(lambda: store.connect("auditor"), lambda *progress: told.append(progress))
    assert list(ours.run([], heads)) == []
    assert heads.audited() == (2, 2, 5_400, 0)
    assert told[-1] == ("heads", 5_400, 5_400)


def test_what_was_recorded_since_the_newest_heads_is_no_fault(store: Database, tmp_path: Path) -> None:
    fill(store, 5_401, 5_433)
    assert audit(store, tmp_path) == []


@pytest.mark.parametrize(
    "change",
    ["root = sha256(root)", "events = events + 1", "events = 3"],
)
def test_a_head_that_was_altered(store: Database, tmp_path: Path, change: str) -> None:
    """It is named by the first event of its patient; what was signed still fits the log."""
    with tampering(store) as superuser:
        superuser.execute(f"update log.patient_heads set {change} where patient_id = %s", [patient(store, 405)])
    assert places(audit(store, tmp_path)) == {("heads", 401)}


def test_a_head_that_is_gone_and_one_of_nobody(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("delete from log.patient_heads where patient_id = %s", [patient(store, 405)])
        superuser.execute("insert into log.patient_heads values (%s, 1, %s)", [UUID(int=2**128 - 1), bytes(32)])
    assert places(audit(store, tmp_path)) == {("heads", 401), ("heads", None)}


def test_a_head_without_the_last_events(store: Database, tmp_path: Path) -> None:
    """The first event that it does not have is named."""
    short = of_all(store, 5_400, lambda position, _: position in (409, 410))
    (theirs,) = (each for each in short if each.patient_id == patient(store, 405))
    with tampering(store) as superuser:
        superuser.execute(
            "update log.patient_heads set events = %s, root = %s where patient_id = %s",
            [theirs.events, theirs.root, theirs.patient_id],
        )
    (found,) = audit(store, tmp_path)
    assert (found.position, found.what) == (409, "the head of its patient ends before it, at 8 events")


def test_a_stream_left_out_of_heads_that_the_log_itself_signed(store: Database, tmp_path: Path) -> None:
    """By someone who holds the log's key and exchanges what is kept outside as well: events 406 to 410 are a stream."""
    short = of_all(store, 5_400, lambda position, _: 406 <= position <= 410)
    note, right = note_of(short, 5_400), newest(tmp_path)
    exchange(tmp_path, right, note)
    with tampering(store) as superuser:
        put(superuser, short, 5_400, note)
    found = audit(store, tmp_path)
    assert places(found) == {("heads", 406), ("heads", 5_400), ("heads", None)}
    assert any("signed of the first 5400 events are not the log's" in each.what for each in found)
    assert any("two trees of heads" in each.what for each in audit(store, tmp_path, right))


def test_a_patient_left_out_of_earlier_heads(store: Database, tmp_path: Path) -> None:
    """Nothing is kept of each patient as of then: the size of the log is what can be said."""
    gone = patient(store, 405)
    note = note_of([each for each in of_all(store, 5_203) if each.patient_id != gone], 5_203)
    exchange(tmp_path, next(Outside(tmp_path, "heads").notes()), note)
    with tampering(store) as superuser:
        superuser.execute("update log.heads set note = %s where size = 5203", [note])
    (found,) = audit(store, tmp_path)
    assert found == (
        "heads",
        LogName.EVENTS,
        5_203,
        "the heads that were signed of the first 5203 events are not the log's",
    )


def test_an_older_head_served(store: Database, tmp_path: Path) -> None:
    """The database is as if the newest heads had never been; the folder knows them."""
    with tampering(store) as superuser:
        put(superuser, of_all(store, 5_203), 5_203, next(Outside(tmp_path, "heads").notes()))
        superuser.execute("delete from log.heads where size = 5400")
    (found,) = audit(store, tmp_path)
    assert found.position == 5_400
    assert found.what == "heads of 5400 events are kept outside, and the database does not have them"


def test_proofs_from_older_heads_than_were_signed(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        put(superuser, of_all(store, 5_203), 5_203, next(Outside(tmp_path, "heads").notes()))
    (found,) = audit(store, tmp_path)
    assert (found.position, found.what) == (5_204, "proofs are made from heads of 5203 events; 5400 were signed")


def test_an_auditors_own_copy_tells_of_heads_taken_away_everywhere(store: Database, tmp_path: Path) -> None:
    own, older = newest(tmp_path), next(Outside(tmp_path, "heads").notes())
    with tampering(store) as superuser:
        put(superuser, of_all(store, 5_203), 5_203, older)
        superuser.execute("delete from log.heads where size = 5400")
    exchange(tmp_path, own, older)
    assert audit(store, tmp_path) == []
    assert places(audit(store, tmp_path, own)) == {("heads", 5_400)}


def test_heads_that_are_not_brought_outside(store: Database, tmp_path: Path) -> None:
    for size in (5_420, 5_440):
        fill(store, size - 19 if size > 5_420 else 5_401, size)
        with_heads(store, tmp_path, outside=False)
    assert audit(store, tmp_path) == []
    with tampering(store) as superuser:
        superuser.execute("update log.heads set signed_at = signed_at - interval '1 hour' where size = 5420")
        superuser.execute("update log.heads set signed_at = signed_at - interval '2 hours' where size < 5420")
    assert audit(store, tmp_path) == []
    fill(store, 5_441, 5_450)
    with_heads(store, tmp_path, outside=False)
    (found,) = audit(store, tmp_path)
    assert (found.position, found.what) == (
        5_401,
        "the newest heads kept outside are of 5400 events, and 5420 were signed",
    )


def test_a_note_of_the_heads_altered(store: Database, tmp_path: Path) -> None:
    exchange(tmp_path, b"\nlog 5203\n", b"\nlog 5204\n")
    (found,) = audit(store, tmp_path)
    assert found.what == f"a note of the heads that is kept outside: the signature by {NAME}/heads is wrong"


def test_a_note_of_the_heads_altered_in_the_database(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("update log.heads set note = overlay(note placing '\\x58'::bytea from 1) where size = 5203")
    (found,) = audit(store, tmp_path)
    assert found.what.startswith("the heads of 5203 events in the database: nobody whose key is known")


def test_a_note_of_the_heads_told_to_be_of_another_size(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute(
            "update log.heads set note = (select note from log.heads where size = 5203) where size = 5400"
        )
    assert "the heads of 5203 events stand in the database as those of 5400" in {
        each.what for each in audit(store, tmp_path)
    }


def test_a_wrong_key(store: Database, tmp_path: Path) -> None:
    other = Signer(NAME, Ed25519PrivateKey.generate()).verifier
    found = [each for each in audit(store, tmp_path, known=other) if each.check == "heads"]
    assert sum("nobody whose key is known" in each.what for each in found) == 4


def test_heads_of_more_events_than_there_are(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("delete from log.events where position > 5390")
    assert ("heads", 5_391) in places(audit(store, tmp_path))


def test_an_index_that_is_not_of_the_heads(store: Database, tmp_path: Path) -> None:
    with tampering(store) as superuser:
        superuser.execute("update log.heads_index set index = overlay(index placing '\\xff'::bytea from 9)")
    (found,) = audit(store, tmp_path)
    assert found.what == "the index of the heads of 5400 events is not of these heads"


def test_fewer_patients_than_before(store: Database, tmp_path: Path) -> None:
    heads = note_of(of_all(store, 5_300)[:500], 5_300)
    assert any("500 patients; earlier ones 521" in each.what for each in audit(store, tmp_path, heads))


def test_heads_of_an_earlier_epoch_are_checked_for_their_signatures(store: Database, tmp_path: Path) -> None:
    later = Verifier(f"{NAME}/abc", verifier().public)
    heads = kept_heads(tmp_path, known=later)
    assert list(Audit(lambda: store.connect("auditor"), lambda *_: None).run([], heads)) == []
    assert heads.audited() == (0, 0, 0, 2)


def test_of_very_many_heads_the_newest_and_some_others_are_made_anew(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in range(10, 70, 10):
        fill(database, size - 9, size)
        with_heads(database, tmp_path)
    monkeypatch.setattr(heads_audit, "MOST_ENTRIES", 18)
    some, every = kept_heads(tmp_path), kept_heads(tmp_path, every=True)
    for heads, recomputed in ((some, 3), (every, 6)):
        assert list(Audit(lambda: database.connect("auditor"), lambda *_: None).run([], heads)) == []
        assert heads.audited() == (6, recomputed, 60, 0)


def test_an_audit_beside_a_process_that_makes_heads(store: Database, tmp_path: Path) -> None:
    """What is signed while the audit runs is no fault."""
    began = datetime.now(UTC)
    heads = kept_heads(tmp_path)

    def grow(what: str, done: int, _of: int) -> None:
        if what == "heads" and done == 0:
            fill(store, 5_401, 5_450)
            with_heads(store, tmp_path)

    assert list(Audit(lambda: store.connect("auditor"), grow).run([], heads)) == []
    with store.connect("auditor") as auditor:
        row = auditor.execute("select count(*) from log.heads where signed_at > %s", [began]).fetchone()
    assert row == (1,)
