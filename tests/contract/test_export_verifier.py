"""Exports through the real verifier, run where the project cannot be imported: what holds, and what is noticed.

Two adversaries: someone who alters an export that they were given, and whoever makes exports and signs a manifest over
what they altered. The latter holds the exports' key, and not the log's.
"""

import ast
import sys
from pathlib import Path

import pytest

from infra.evidence.export import zipped
from tests.forgeries import EXPECTED, HISTORY, JOHN, MARIA, OLDER, Files, exchanged_places, maria, resigned
from tests.ledger import Ledger, sealed, signer
from tests.outsider import Outsider, Verdict, laid_out

KEY = str(HISTORY.key.verifier)


@pytest.fixture(scope="module")
def outsider(tmp_path_factory: pytest.TempPathFactory) -> Outsider:
    return Outsider(tmp_path_factory.mktemp("packages"))


def checked(outsider: Outsider, folder: Path, *exports: Files, key: str = KEY) -> list[Verdict]:
    runs = []
    for number, files in enumerate(exports):
        path = folder / f"{number}.zip"
        path.write_bytes(zipped(files))
        runs.append([str(path), "--key", key])
    return outsider.check(runs)


def test_an_export_is_proved_as_zip_and_as_folder(outsider: Outsider, tmp_path: Path) -> None:
    zip_file = tmp_path / "export.zip"
    zip_file.write_bytes(zipped(maria()))
    folder = laid_out(maria(), tmp_path / "export")
    kept = tmp_path / "kept"
    kept.write_bytes(HISTORY.at(OLDER).checkpoint())
    (tmp_path / "key").write_text(f"{KEY}\n")
    for export in (zip_file, folder):
        found = outsider.run(str(export), "--key", str(tmp_path / "key"), "--checkpoint", str(kept))
        assert found.code == 0, found.told
        assert "PROVED: this is the complete record" in found.told


def test_the_verifier_that_comes_with_an_export_checks_it(outsider: Outsider, tmp_path: Path) -> None:
    folder = laid_out(maria(), tmp_path / "export")
    found = outsider.run(str(folder), verifier=folder / "verify.py")
    assert found.code == 0
    assert "compare it with a copy from elsewhere" in found.told
    assert "if the key above is the log's" in found.told


def test_the_verifier_says_which_package_it_needs(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    found = Outsider(tmp_path / "none", packages=()).run(str(laid_out(maria(), tmp_path / "export")))
    assert found.code == 2
    assert "pip install cryptography" in found.told


def test_the_verifier_is_written_for_python_3_9_and_needs_nothing_of_the_project() -> None:
    source = (Path(__file__).parents[2] / "infra" / "evidence" / "verify.py").read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {each.module or "" for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    imported |= {name.name for each in ast.walk(tree) if isinstance(each, ast.Import) for name in each.names}
    assert {name.split(".")[0] for name in imported} - sys.stdlib_module_names == {"cryptography"}


def test_a_record_of_several_patients_is_proved_for_each(outsider: Outsider, tmp_path: Path) -> None:
    [found] = checked(outsider, tmp_path, HISTORY.export(MARIA, JOHN))
    assert found.code == 0
    assert f"4 of patient {MARIA}, 2 of patient {JOHN}" in found.told


@pytest.mark.parametrize("text", ["withheld", "destroyed"])
def test_proofs_hold_without_words(outsider: Outsider, tmp_path: Path, text: str) -> None:
    files = HISTORY.export(MARIA, text=text)
    assert not [name for name in files if name.startswith("payloads/")]
    [found] = checked(outsider, tmp_path, files)
    assert found.code == 0
    assert "Of 0 events the words are given" in found.told


def test_every_byte_class_altered_in_every_file_is_noticed(outsider: Outsider, tmp_path: Path) -> None:
    files = maria()
    altered = [(name, changed) for name, content in files.items() for changed in alterations(content)]
    found = checked(outsider, tmp_path, *({**files, name: changed} for name, changed in altered))
    for (name, changed), verdict in zip(altered, found, strict=True):
        assert verdict.code == 1, (name, changed[:80])
        assert name in verdict.told, (name, verdict.told)


def alterations(content: bytes) -> list[bytes]:
    """One bit at the beginning, in the middle and at the end; a newline more; the last byte less; nothing left."""
    places = (0, len(content) // 2, len(content) - 1)
    flipped = [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in places]
    return [*flipped, content + b"\n", content[:-1], b""]


def test_a_file_less_or_more_is_noticed(outsider: Outsider, tmp_path: Path) -> None:
    files = maria()
    lacking = {name: {other: each for other, each in files.items() if other != name} for name in files}
    more = {name: {**files, name: b"more"} for name in ("notes.txt", "leaves/99.leaf", "payloads/99.jsonl", "proofs/x")}
    cases = {**lacking, **more}
    for name, verdict in zip(cases, checked(outsider, tmp_path, *cases.values()), strict=True):
        assert verdict.code == 1
        assert name in verdict.told, (name, verdict.told)


def test_whoever_makes_exports_cannot_alter_or_leave_out_anything(outsider: Outsider, tmp_path: Path) -> None:
    found = checked(outsider, tmp_path, *(forged() for forged in EXPECTED))
    for (forged, (name, words)), verdict in zip(EXPECTED.items(), found, strict=True):
        lines = [line for line in verdict.told.splitlines() if line.startswith(f"WRONG  {name}: ")]
        assert verdict.code == 1, forged
        assert any(words in line for line in lines), (forged, verdict.told)


def test_signing_the_manifest_anew_is_no_alteration_by_itself(outsider: Outsider, tmp_path: Path) -> None:
    """What makes the test above mean something."""
    [found] = checked(outsider, tmp_path, resigned(maria()))
    assert found.code == 0


def test_other_words_of_the_same_length_are_only_the_exporters_word(outsider: Outsider, tmp_path: Path) -> None:
    """What is not proved, and said so: README.md of the export."""
    files = maria()
    other = files["payloads/2.jsonl"].replace(b"work", b"food")
    [found] = checked(outsider, tmp_path, resigned({**files, "payloads/2.jsonl": other}))
    assert found.code == 0
    assert "it is not proved" in found.told


def forked() -> Ledger:
    """The same log up to Maria's third event, which is another."""
    other = sealed(**{**HISTORY.events[3]._asdict(), "payload": HISTORY.events[3].payload[::-1]})
    return HISTORY._replace(events=(*HISTORY.events[:3], other, *HISTORY.events[4:]))


@pytest.mark.parametrize(
    ("export", "kept", "words"),
    [
        (forked().export(MARIA), HISTORY.checkpoint(), "FORK"),
        (forked().export(MARIA, older=4), HISTORY.at(4).checkpoint(), "FORK"),
        (HISTORY.export(MARIA), HISTORY.at(3).checkpoint(), "has no consistency proof"),
        (HISTORY.at(5).export(MARIA), HISTORY.checkpoint(), "is newer than this export"),
        (HISTORY.export(MARIA), signer(seed="other").sign("pathway.example/log\n0\n\n"), "not signed by the key"),
        (
            HISTORY.export(MARIA),
            signer("pathway.example/x").sign("pathway.example/x\n0\n\n"),
            "for pathway.example/x: another note of the same key, or this log before",
        ),
        (HISTORY.export(MARIA), signer("a", "other").sign("a\n0\n\n"), "(2ef4b2a5)\n"),
        (HISTORY.export(MARIA), b"", "newline"),
    ],
    ids=["fork", "older fork", "no consistency", "tail cut", "another key", "another epoch", "another log", "empty"],
)
def test_a_checkpoint_that_was_kept_shows_another_history(
    outsider: Outsider, tmp_path: Path, export: Files, kept: bytes, words: str
) -> None:
    (tmp_path / "kept").write_bytes(kept)
    folder = laid_out(export, tmp_path / "export")
    found = outsider.run(str(folder), "--key", KEY, "--checkpoint", str(tmp_path / "kept"))
    assert found.code == 1
    assert "the checkpoint that you kept" in found.told
    assert words in found.told


def test_a_fork_alone_is_not_noticed(outsider: Outsider, tmp_path: Path) -> None:
    """Which is why checkpoints are kept outside."""
    assert [each.code for each in checked(outsider, tmp_path, forked().export(MARIA))] == [0]


def test_a_log_of_another_key_is_not_the_log(outsider: Outsider, tmp_path: Path) -> None:
    impostor = HISTORY._replace(key=signer(seed="impostor")).export(MARIA)
    [found] = checked(outsider, tmp_path, impostor)
    assert found.code == 1
    assert "WRONG  key: is not the key that you gave" in found.told
    assert "WRONG  checkpoint: is not signed by the key" in found.told


def test_the_key_of_an_earlier_epoch_is_told_from_that_of_another_log(outsider: Outsider, tmp_path: Path) -> None:
    """After a restore that lost signed events; the auditor holds what was published before."""
    reopened = HISTORY._replace(key=signer("pathway.example/log/0123456789ab")).export(MARIA)
    [found] = checked(outsider, tmp_path, reopened)
    assert found.code == 1
    line = next(line for line in found.told.splitlines() if line.startswith("WRONG  key: "))
    assert "the same one for pathway.example/log/0123456789ab: " in line
    assert "opened anew" in line


def test_versions_that_the_log_itself_signed_wrong(outsider: Outsider, tmp_path: Path) -> None:
    """Maria's second event, the first of its stream, is recorded as the second, and all of it signed."""
    other = sealed(**HISTORY.events[2]._replace(version=2)._asdict())
    log = HISTORY._replace(events=(*HISTORY.events[:2], other, *HISTORY.events[3:]))
    [found] = checked(outsider, tmp_path, log.export(MARIA))
    assert found.code == 1
    assert "are not 1, 2, 3 …\n" in found.told


def test_events_told_in_another_order_than_the_patients(outsider: Outsider, tmp_path: Path) -> None:
    [found] = checked(outsider, tmp_path, exchanged_places())
    assert "are not 1, 2, 3 … in this order" in found.told


@pytest.mark.parametrize("key", ["nonsense", KEY[:-2], KEY.replace("+", "+0", 1), "a+00000000+AAAA"])
def test_a_key_that_is_none_is_told(outsider: Outsider, tmp_path: Path, key: str) -> None:
    found = outsider.run(str(laid_out(maria(), tmp_path / "export")), "--key", key)
    assert found.code == 2
    assert "Cannot be checked: " in found.told
