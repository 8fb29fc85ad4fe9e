"""The ledger of destroyed keys notices whatever is done to it, and survives whoever ends while writing."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from infra.custody.ledger import Destruction, Ledger, LedgerBroken
from infra.keys import FileKeyProvider

AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    FileKeyProvider.generate(tmp_path / "keys.json")
    (tmp_path / "kept").mkdir()
    return Ledger(tmp_path / "kept" / "destructions.jsonl", FileKeyProvider(tmp_path / "keys.json"))


def destruction(position: int) -> Destruction:
    return Destruction(
        destruction_id=str(uuid4()), patient_id=str(uuid4()), key_id=str(uuid4()), position=position, reason="r",
        requested_by="a", requested_at=AT, confirmed_by="b", confirmed_at=AT, carried_out_at=AT, marks=("00ff",),
    )  # fmt: skip


def filled(ledger: Ledger, count: int = 3) -> list[Destruction]:
    told = [destruction(position) for position in range(count)]
    for each in told:
        ledger.add(each)
    return told


def test_it_tells_what_was_added_in_order(ledger: Ledger) -> None:
    assert ledger.destructions() == []
    assert filled(ledger) == ledger.destructions()
    assert ledger.path.stat().st_mode & 0o077 == 0


def test_a_share_that_is_not_mounted_is_no_ledger_without_a_line(ledger: Ledger) -> None:
    away = Ledger(
        ledger.path.parent / "share" / "destructions.jsonl", FileKeyProvider(ledger.path.parents[1] / "keys.json")
    )
    with pytest.raises(LedgerBroken, match="is it mounted"):
        away.destructions()
    with pytest.raises(OSError, match="No such file"):
        away.add(destruction(1))
    unreadable = ledger.path.parent / "a-folder"
    unreadable.mkdir()
    with pytest.raises(LedgerBroken, match="cannot be read: IsADirectoryError"):
        Ledger(unreadable, FileKeyProvider(ledger.path.parents[1] / "keys.json")).destructions()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_changed_line_is_noticed(ledger: Ledger, number: int) -> None:
    filled(ledger)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    told = orjson.loads(lines[number])
    told["destruction"]["patient_id"] = str(uuid4())
    lines[number] = orjson.dumps(told) + b"\n"
    ledger.path.write_bytes(b"".join(lines))
    with pytest.raises(LedgerBroken, match=f"line {number + 1}"):
        ledger.destructions()
    with pytest.raises(LedgerBroken):
        ledger.add(destruction(9))


@pytest.mark.parametrize("order", [(1, 2), (0, 2), (1, 0, 2), (0, 0, 1, 2)])
def test_lines_taken_out_moved_or_doubled_are_noticed(ledger: Ledger, order: tuple[int, ...]) -> None:
    filled(ledger)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[each] for each in order))
    with pytest.raises(LedgerBroken):
        ledger.destructions()


@pytest.mark.parametrize("line", [b"{}\n", b"no json\n", b"[]\n", b'{"destruction": {}, "seal": ""}\n', b"\n"])
def test_what_is_no_line_of_it_is_noticed(ledger: Ledger, line: bytes) -> None:
    filled(ledger, 1)
    with ledger.path.open("ab") as file:
        file.write(line)
    with pytest.raises(LedgerBroken, match="line 2"):
        ledger.destructions()


def test_half_a_line_at_the_end_was_never_written(ledger: Ledger) -> None:
    told = filled(ledger)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole[:50])
    assert ledger.destructions() == told
    last = destruction(9)
    ledger.add(last)
    assert ledger.destructions() == [*told, last]


def test_another_installation_does_not_take_it_for_its_own(ledger: Ledger, tmp_path: Path) -> None:
    filled(ledger)
    FileKeyProvider.generate(tmp_path / "other.json")
    with pytest.raises(LedgerBroken):
        Ledger(ledger.path, FileKeyProvider(tmp_path / "other.json")).destructions()


def test_a_rotation_leaves_it_valid(ledger: Ledger, tmp_path: Path) -> None:
    told = filled(ledger)
    FileKeyProvider(tmp_path / "keys.json").add_version()
    assert Ledger(ledger.path, FileKeyProvider(tmp_path / "keys.json")).destructions() == told
