"""Tiles and checkpoints over a real database: what is signed, what is kept where, and what is refused."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from infra.evidence.checkpoints import open_checkpoint
from infra.evidence.epochs import NothingBroken, Reason, reopen
from infra.evidence.merkle import Tree, consistency_proof, inclusion_proof, root_of, verify_consistency
from infra.evidence.outside import Outside
from infra.evidence.sealing import Measurements, Sealing
from infra.evidence.signer import SigningRefused, newest_kept
from infra.evidence.tiles import HEIGHT, LeavesMissing, LogName, Tile, Tiles
from tests.conftest import Database
from tests.signing import NAME, fill, signed, signer, tampering, verifier

pytestmark = pytest.mark.postgres


def leaves(database: Database) -> list[bytes]:
    with database.connect("auditor") as auditor:
        rows = auditor.execute("select leaf_hash from log.events order by position", binary=True).fetchall()
    return [row[0] for row in rows]


def journal(folder: Path) -> Path:
    (found,) = (folder / "events").glob("*.notes")
    return found


def refused(database: Database, folder: Path) -> str:
    with database.connect("sealer") as sealer, pytest.raises(SigningRefused) as caught:
        signer(folder).sign(sealer)
    return caught.value.reason


@pytest.mark.slow
def test_tiles_give_the_nodes_of_the_tree(database: Database) -> None:
    """Past 65,536 leaves, where the first tile of the second level is whole."""
    for first, last in ((1, 300), (301, 512), (513, 66_300)):
        fill(database, first, last)
        with database.connect("sealer") as sealer:
            assert Tiles(sealer, LogName.EVENTS).extend() == last
    tree = Tree(leaves(database))
    with database.connect("reader") as reader:
        tiles = Tiles(reader, LogName.EVENTS)
        counts = reader.execute("select level, count(*) from log.tiles group by level order by level").fetchall()
        assert counts == [(0, 258), (1, 1)]
        choice = random.Random(1)
        for size in (
            1,
            255,
            256,
            257,
            65_535,
            65_536,
            65_537,
            66_300,
            *(choice.randrange(1, 66_300) for _ in range(9)),
        ):
            old, index = choice.randrange(size + 1), choice.randrange(size)
            assert root_of(size, tiles.read) == tree.root(size)
            assert consistency_proof(old, size, tiles.read) == tree.consistency_proof(old, size)
            assert inclusion_proof(index, size, tiles.read) == tree.inclusion_proof(index, size)


def test_tiles_made_twice_and_at_once_are_the_same(database: Database) -> None:
    fill(database, 1, 2_000)

    def extend() -> None:
        with database.connect("sealer") as sealer:
            Tiles(sealer, LogName.EVENTS).extend()

    threads = [Thread(target=extend) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    with database.connect("sealer") as sealer:
        tiles = Tiles(sealer, LogName.EVENTS)
        assert root_of(tiles.extend(), tiles.read) == Tree(leaves(database)).root()


def test_a_tile_that_grows_is_put_together_from_what_is_there(database: Database) -> None:
    fill(database, 1, 600)
    with database.connect("sealer") as sealer:
        tiles = Tiles(sealer, LogName.EVENTS)
        tiles.extend()
        wanted = [Tile(0, 1), Tile(0, 2), Tile(1, 0), Tile(2, 0), Tile(0, 3)]
        found = tiles.hashes(wanted)
        assert [len(found[each]) // 32 for each in wanted] == [256, 88, 2, 0, 0]
        with pytest.raises(LeavesMissing):
            root_of(601, tiles.read)
    assert found[Tile(0, 2)] == b"".join(leaves(database)[512:])
    assert found[Tile(1, 0)][:32] == Tree(leaves(database)[: 1 << HEIGHT]).root()


def test_a_checkpoint_is_kept_in_the_folder_and_in_the_database(database: Database, tmp_path: Path) -> None:
    with database.connect("sealer") as sealer:
        assert signer(tmp_path).sign(sealer) is None  # nothing was recorded
    fill(database, 1, 300)
    first = signed(database, tmp_path)
    assert first.is_new
    assert (first.checkpoint.origin, first.checkpoint.size) == (NAME, 300)
    assert first.checkpoint.root == Tree(leaves(database)).root()
    assert open_checkpoint(first.note, [verifier()]) == first.checkpoint
    assert not signed(database, tmp_path).is_new

    fill(database, 301, 310)
    second = signed(database, tmp_path)
    outside = Outside(tmp_path, LogName.EVENTS)
    assert list(outside.notes()) == [first.note, second.note]
    assert outside.newest() == (tmp_path / "events.checkpoint").read_bytes() == second.note
    with database.connect("reader") as reader:
        kept = newest_kept(reader, LogName.EVENTS, NAME)
        assert kept is not None
        assert kept.note == second.note
        proof = consistency_proof(300, 310, Tiles(reader, LogName.EVENTS).read)
    verify_consistency(300, 310, proof, first.checkpoint.root, second.checkpoint.root)


def test_a_cut_tail_is_not_signed(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 300)
    signed(database, tmp_path)
    with tampering(database) as superuser:
        superuser.execute("delete from log.events where position > 299")
    assert refused(database, tmp_path) == "shrunk"


def test_a_fork_is_not_signed(database: Database, tmp_path: Path) -> None:
    """The end was taken away and something else recorded in its place, as after a restore that nobody announced."""
    fill(database, 1, 300)
    signed(database, tmp_path)
    with tampering(database) as superuser:
        superuser.execute("delete from log.events where position > 299")
        superuser.execute("update log.events set position = position")
    with database.connect("writer") as writer:
        writer.execute(
            "select log.append_library_events(array[gen_random_uuid()], array[1], array['t'], array[''::bytea])"
        )
    assert refused(database, tmp_path) == "forked"
    fill(database, 301, 700)
    assert refused(database, tmp_path) == "forked"


def test_a_gap_is_not_signed(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 300)
    with tampering(database) as superuser:
        superuser.execute("delete from log.events where position = 100")
    assert refused(database, tmp_path) == "gap"


@pytest.mark.parametrize("spoil", ["wrong key", "altered", "empty"])
def test_what_is_outside_must_be_ours(database: Database, tmp_path: Path, spoil: str) -> None:
    fill(database, 1, 3)
    note = signed(database, tmp_path).note
    other = {"altered": note.replace(b"\n3\n", b"\n2\n"), "empty": b""}.get(spoil, note)
    journal(tmp_path).write_bytes(other + b"\n")
    (tmp_path / "events.checkpoint").write_bytes(other)
    ours = signer(tmp_path, private=Ed25519PrivateKey.generate()) if spoil == "wrong key" else signer(tmp_path)
    with database.connect("sealer") as sealer, pytest.raises(SigningRefused) as caught:
        ours.sign(sealer)
    assert caught.value.reason == ("another-epoch" if spoil == "empty" else "outside-damaged")


def test_notes_that_are_gone_are_missed(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 3)
    signed(database, tmp_path)
    journal(tmp_path).unlink()
    (tmp_path / "events.checkpoint").unlink()
    assert refused(database, tmp_path) == "nothing-outside"


@pytest.mark.parametrize("lost", ["journal", "newest", "journal's end"])
def test_either_file_alone_is_enough(database: Database, tmp_path: Path, lost: str) -> None:
    fill(database, 1, 3)
    first = signed(database, tmp_path)
    fill(database, 4, 5)
    signed(database, tmp_path)
    match lost:
        case "journal":
            journal(tmp_path).unlink()
        case "newest":
            (tmp_path / "events.checkpoint").unlink()
        case _:
            journal(tmp_path).write_bytes(first.note + b"\n")
    with tampering(database) as superuser:
        superuser.execute("delete from log.events where position > 4")
    assert refused(database, tmp_path) == "shrunk"


def cut_short(keep: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def then_fail(note: bytes) -> None:
        keep(note)
        raise OSError("the power went")

    return then_fail


def test_a_note_kept_just_before_a_crash_counts(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, 1, 3)
    ours = signer(tmp_path)
    with database.connect("sealer") as sealer:
        with monkeypatch.context() as patched:
            patched.setattr(ours.outside, "keep", cut_short(ours.outside.keep))
            with pytest.raises(OSError, match="power"):
                ours.sign(sealer)
        assert newest_kept(sealer, LogName.EVENTS, NAME) is None
        kept = ours.outside.newest()
        again = ours.sign(sealer)
        assert again is not None
        assert (again.note, again.is_new) == (kept, False)
        found = newest_kept(sealer, LogName.EVENTS, NAME)
        assert found is not None
        assert found.note == kept


def test_a_note_in_the_journal_alone_counts(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 3)
    first = signed(database, tmp_path)
    fill(database, 4, 5)
    signed(database, tmp_path)
    (tmp_path / "events.checkpoint").write_bytes(first.note)
    with tampering(database) as superuser:
        superuser.execute("delete from log.events where position > 4")
    assert refused(database, tmp_path) == "shrunk"


@pytest.mark.parametrize("left", [1, 20, 75, 77, 100, 150])
def test_half_a_note_is_taken_off(database: Database, tmp_path: Path, left: int) -> None:
    """A run that was cut short while it wrote has shown the note to nobody."""
    fill(database, 1, 3)
    first = signed(database, tmp_path)
    with journal(tmp_path).open("ab") as file:
        file.write(first.note.replace(b"\n3\n", b"\n4\n")[:left])
    fill(database, 4, 5)
    second = signed(database, tmp_path)
    assert journal(tmp_path).read_bytes() == first.note + b"\n" + second.note + b"\n"


def both(folder: Path) -> list[Any]:
    return [signer(folder, log) for log in LogName]


def restored(database: Database, to: int) -> None:
    """As a restore to an earlier moment leaves the database."""
    with tampering(database) as superuser:
        superuser.execute("delete from log.events where position > %s", [to])
        superuser.execute("delete from log.tiles where log = 'events' and (place + 1) * 256 > %s", [to])
        superuser.execute("delete from log.checkpoints where size > %s", [to])


def test_after_a_restore_a_new_epoch_names_the_break(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 600)
    before = signed(database, tmp_path)
    restored(database, 299)
    assert refused(database, tmp_path) == "shrunk"
    with database.connect("owner") as owner:
        epoch = reopen(owner, both(tmp_path), Reason.RESTORE)
        row = owner.execute(
            "select type, convert_from(payload, 'UTF8')::json from log.events where position = 300"
        ).fetchone()
    assert row is not None
    type_, told = row
    assert type_ == "log.epoch-opened.v1"
    assert told["follows"]["events"] == before.note.decode()
    assert (told["epoch"], told["reason"], told["broken"]) == (str(epoch), "restore", {"events": "shrunk"})

    after = signed(database, tmp_path)
    assert after.checkpoint.origin == f"{NAME}/{epoch.hex[:12]}"
    assert after.checkpoint.size == 300
    assert list(Outside(tmp_path, LogName.EVENTS).notes()) == [before.note, after.note]
    with database.connect("owner") as owner, pytest.raises(NothingBroken):
        reopen(owner, both(tmp_path), Reason.RESTORE)


def test_a_database_of_before_a_new_epoch_is_refused(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 600)
    signed(database, tmp_path)
    with database.connect("owner") as owner:
        old = owner.execute("select epoch, branch, follows::text from log.epoch").fetchone()
    restored(database, 299)
    with database.connect("owner") as owner:
        reopen(owner, both(tmp_path), Reason.RESTORE)
    signed(database, tmp_path)
    with tampering(database) as superuser:
        superuser.execute("update log.epoch set epoch = %s, branch = %s, follows = %s::jsonb", old)
    assert refused(database, tmp_path) == "another-epoch"


def test_the_access_log_follows_into_the_new_epoch(database: Database, tmp_path: Path) -> None:
    with database.connect("reader") as reader:
        reader.execute("insert into access.reads (actor, role, purpose, outcome) values ('a', 'auditor', 'p', 'read')")
    with database.connect("sealer") as sealer:
        sealer.execute("select log.seal_accesses()")
    fill(database, 1, 3)
    signed(database, tmp_path)
    before = signed(database, tmp_path, LogName.ACCESSES)
    restored(database, 1)
    with database.connect("owner") as owner:
        epoch = reopen(owner, both(tmp_path), Reason.FAILOVER)
    with database.connect("sealer") as sealer:
        assert sealer.execute("select log.seal_accesses()").fetchone() == (1,)
    after = signed(database, tmp_path, LogName.ACCESSES)
    assert before.checkpoint[:2] == (f"{NAME}/accesses", 1)
    assert after.checkpoint[:2] == (f"{NAME}/accesses/{epoch.hex[:12]}", 2)


def sealing(database: Database, folder: Path) -> Sealing:
    return Sealing(lambda: database.connect("sealer"), both(folder), None, Measurements(CollectorRegistry()), 0.05)


def test_a_refusal_is_an_alarm_and_the_other_log_is_signed(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 3)
    ours = sealing(database, tmp_path)
    with ours.connect() as connection:
        ours.round(connection)
        with tampering(database) as superuser:
            superuser.execute("delete from log.events where position = 3")
        with database.connect("reader") as reader:
            reader.execute(
                "insert into access.reads (actor, role, purpose, outcome) values ('a', 'auditor', 'p', 'read')"
            )
        with pytest.raises(SigningRefused):
            ours.round(connection)
        assert newest_kept(connection, LogName.ACCESSES, f"{NAME}/accesses") is not None
    assert alarm_of(ours) == 1
    assert ours.measurements.refused.labels("accesses")._value.get() == 0


@contextmanager
def running(ours: Sealing) -> Iterator[None]:
    stopping = Event()
    thread = Thread(target=ours.run, args=(stopping.is_set,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def test_one_process_leads_and_another_takes_over(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 3)
    ours = [sealing(database, tmp_path) for _ in range(2)]
    with ExitStack() as second:
        with running(ours[0]):
            wait_for(lambda: size_of(ours[0]) == 3)
            second.enter_context(running(ours[1]))
            fill(database, 4, 5)
            wait_for(lambda: size_of(ours[0]) == 5)
            assert size_of(ours[1]) == 0
        fill(database, 6, 7)
        wait_for(lambda: size_of(ours[1]) == 7)
    assert [open_checkpoint(each, [verifier()]).size for each in Outside(tmp_path, LogName.EVENTS).notes()] == [3, 5, 7]


def test_whoever_leads_no_more_does_not_go_on_alarming(database: Database, tmp_path: Path) -> None:
    fill(database, 1, 3)
    former, leader = (sealing(database, tmp_path) for _ in range(2))
    former.measurements.refused.labels("events").set(1)  # as it found before its connection was lost
    with running(leader):
        wait_for(lambda: size_of(leader) == 3)
        with running(former):
            wait_for(lambda: alarm_of(former) == 0)


def alarm_of(ours: Sealing) -> float:
    refused: float = ours.measurements.refused.labels("events")._value.get()
    return refused


def size_of(ours: Sealing) -> float:
    size: float = ours.measurements.size.labels("events")._value.get()
    return size


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)
