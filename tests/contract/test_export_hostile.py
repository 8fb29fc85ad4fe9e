"""Hostile exports: nothing leads outside, nothing fills the memory, nothing ends in a traceback or passes."""

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from infra.evidence.export import zipped
from tests.forgeries import MARIA, Files, maria, resigned
from tests.outsider import Outsider, Verdict, laid_out


@pytest.fixture(scope="module")
def outsider(tmp_path_factory: pytest.TempPathFactory) -> Outsider:
    return Outsider(tmp_path_factory.mktemp("packages"))


def refused(found: Verdict) -> None:
    assert found.code == 2, found.told
    assert found.told.startswith("Cannot be checked: ")
    assert "Traceback" not in found.told


def zip_of(*entries: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, file in entries:
            archive.writestr(name, file)
    return content.getvalue()


def a_link() -> zipfile.ZipInfo:
    link = zipfile.ZipInfo("key")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return link


def encrypted() -> bytes:
    """The flag alone: a reader would ask for a password."""
    content = bytearray(zip_of(("key", b"x")))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def named_twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zip_of(("key", b"a"), ("key", b"b"))


def many_in_one() -> bytes:
    """Forty small files, each of which is said to unpack to 60 MB."""
    content = bytearray(zip_of(*((f"leaves/{number}.leaf", b"x") for number in range(40))))
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 24 : at + 28] = (60_000_000).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a zip"),
        (b"PK\x03\x04 and then nothing", "not a zip"),
        (zipped(maria())[:-40], "not a zip"),
        (zip_of(("../key", b"")), "leads outside"),
        (zip_of(("/etc/key", b"")), "leads outside"),
        (zip_of(("a/../../key", b"")), "leads outside"),
        (zip_of(("c:key", b"")), "leads outside"),
        (zip_of(("a\\key", b"")), "leads outside"),
        (zip_of(("key\x1b[2J", b"")), "lacks"),
        (zip_of((a_link(), b"/etc/passwd")), "a link"),
        (encrypted(), "encrypted"),
        (zip_of(("key", bytes(70_000_000)), method=zipfile.ZIP_DEFLATED), "larger than"),
    ],
    ids=["empty", "header only", "cut", "up", "absolute", "up within", "drive", "backslash", "escape", "link",
         "encrypted", "bomb"],
)  # fmt: skip
def test_a_hostile_zip(outsider: Outsider, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(content)
    found = outsider.run(str(path))
    if words == "lacks":
        assert found.code == 1
        assert "\x1b" not in found.told
        return
    refused(found)
    assert words in found.told or "not a folder and not a zip" in found.told


def test_many_bombs_in_one_zip(outsider: Outsider, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(many_in_one())
    found = outsider.run(str(path))
    refused(found)
    assert "2,000,000,000 bytes" in found.told


def test_one_name_for_two_files(outsider: Outsider, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(named_twice())
    refused(outsider.run(str(path)))


def test_bytes_that_do_not_unpack_are_told_with_their_file(outsider: Outsider, tmp_path: Path) -> None:
    content = bytearray(zip_of(*maria().items(), method=zipfile.ZIP_DEFLATED))
    at = content.index(b"verify.py") + 2_000
    content[at : at + 100] = bytes(100)
    path = tmp_path / "export.zip"
    path.write_bytes(bytes(content))
    found = outsider.run(str(path))
    assert found.code == 1
    assert "WRONG  verify.py: cannot be read" in found.told


def test_a_folder_with_a_link_or_a_pipe(outsider: Outsider, tmp_path: Path) -> None:
    linked, piped = laid_out(maria(), tmp_path / "linked"), laid_out(maria(), tmp_path / "piped")
    (linked / "more").symlink_to("/etc/passwd")
    os.mkfifo(piped / "more")
    for folder in (linked, piped):
        refused(outsider.run(str(folder)))


def test_what_is_not_there(outsider: Outsider, tmp_path: Path) -> None:
    folder = laid_out(maria(), tmp_path / "export")
    refused(outsider.run(str(tmp_path / "nothing")))
    refused(outsider.run(str(folder), "--key", str(tmp_path / "nothing")))
    refused(outsider.run(str(folder), "--checkpoint", str(tmp_path / "nothing")))
    (tmp_path / "empty").mkdir()
    found = outsider.run(str(tmp_path / "empty"))
    assert found == (1, "WRONG  key: is missing from the export\nNOT PROVED: 1 thing(s) do not hold.\n")


def hostile_files() -> dict[str, tuple[str, bytes]]:
    """What to put in the place of which file."""
    files = maria()
    note = files["checkpoint"]
    proof = f"patients/{MARIA}.tlog-proof"
    return {
        "a note of two megabytes": ("checkpoint", b"a" * 2_000_000 + note),
        "a note of a thousand signatures": ("checkpoint", note + note.split(b"\n\n")[1] * 1000),
        "a note without signatures": ("checkpoint", note.split(b"\n\n")[0] + b"\n\n"),
        "a note with a negative size": ("checkpoint", note.replace(b"\n6\n", b"\n-6\n")),
        "a note with a null byte": ("checkpoint", note.replace(b"6", b"\x00")),
        "a note that is not UTF-8": ("heads", b"\xff\xfe" + files["heads"]),
        "a note with an escape": ("heads", b"\x1b[2J" + files["heads"]),
        "a proof of nothing": (proof, b""),
        "a proof with a huge index": (proof, files[proof].replace(b"index ", b"index 99999999999999999999")),
        "a proof of ten thousand hashes": ("proofs/2.tlog-proof", files["proofs/2.tlog-proof"].replace(
            b"index 2\n", b"index 2\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * 10_000)),
        "JSON without end": ("events.json", b"[" * 200_000),
        "JSON of a huge number": ("events.json", b"[" + b"9" * 20_000 + b"]"),
        "JSON with a fraction": ("events.json", b"[1.5]"),
        "JSON that is no list": ("events.json", b"{}"),
        "JSON of numbers": ("events.json", b"[1,2,3]"),
        "JSON with half a letter": ("events.json", b'["\\ud800"]'),
        "an entry of nothing": (f"patients/{MARIA}.entry", b""),
        "words without end": ("payloads/2.jsonl", b"[" * len(files["payloads/2.jsonl"])),
    }  # fmt: skip


def test_hostile_content_is_wrong_and_named(outsider: Outsider, tmp_path: Path) -> None:
    cases = hostile_files()
    runs = []
    for number, (name, content) in enumerate(cases.values()):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(zipped(resigned({**maria(), name: content})))
        runs.append([str(path)])
    for (case, (name, _)), found in zip(cases.items(), outsider.check(runs), strict=True):
        assert found.code == 1, (case, found.told)
        assert f"WRONG  {name}: " in found.told, (case, found.told)
        assert "\x1b" not in found.told


@pytest.mark.parametrize("manifest", [{}, {"patients": "all"}, {"patients": [{}]}, {"files": []}, {"keys": None}])
def test_a_manifest_that_lacks_what_it_must_have(
    outsider: Outsider, tmp_path: Path, manifest: dict[str, object]
) -> None:
    files: Files = resigned(maria(), **manifest) if manifest else {**maria(), "manifest.json": b"{}"}
    found = outsider.run(str(laid_out(files, tmp_path / "export")))
    assert found.code == 1
    assert "WRONG  manifest.json: " in found.told
