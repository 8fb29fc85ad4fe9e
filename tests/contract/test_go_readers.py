"""What the log signs and proves, read by the `sumdb` packages of Go: accepted as it is, refused when altered."""

import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from psycopg.rows import dict_row

from infra.evidence.checkpoints import parse_proof
from infra.evidence.merkle import consistency_proof, inclusion_proof
from infra.evidence.tiles import LogName, Tile, Tiles, tile_path
from tests.conftest import Database
from tests.forgeries import maria
from tests.leaves import envelope
from tests.signing import fill, signed, verifier

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300)]

SOURCE = Path(__file__).parent / "go_reader"
OLD, NEW, INDEX = 300, 1_100, 777


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of tests/contract/go_reader, built here; its one module comes from the module proxy."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if go is None:
        pytest.skip("no Go toolchain: Go's readers were not tried")
    program = tmp_path_factory.mktemp("go") / "reader"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."], cwd=SOURCE, capture_output=True, text=True, check=False, timeout=240
    )
    if built.returncode != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"Go's readers could not be built: {built.stderr[-500:]}"
        )
    return program


@pytest.fixture
def evidence(database: Database, tmp_path: Path) -> dict[str, Any]:
    fill(database, 1, OLD)
    old = signed(database, tmp_path)
    fill(database, OLD + 1, NEW)
    new = signed(database, tmp_path)
    with database.connect("auditor") as auditor:
        tiles = Tiles(auditor, LogName.EVENTS)
        held = tiles.hashes([Tile(0, place) for place in range(5)] + [Tile(1, 0)])
        return {
            "key": str(verifier()),
            "old": old.note.decode(),
            "new": new.note.decode(),
            "leaf": _leaf(database),
            "index": INDEX,
            "inclusion": inclusion_proof(INDEX, NEW, tiles.read),
            "consistency": consistency_proof(OLD, NEW, tiles.read),
            "tiles": {tile_path(tile, len(hashes) // 32): hashes for tile, hashes in held.items()},
        }


def _leaf(database: Database) -> bytes:
    with database.connect("auditor") as auditor:
        cursor = auditor.cursor(row_factory=dict_row)
        row = cursor.execute(
            "select *, occurred_precision::text as occurred_precision from log.events where position = %s", [INDEX + 1]
        ).fetchone()
    assert row is not None
    return envelope(row)


def read(reader: Path, told: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        return b64encode(value).decode()

    given = orjson.dumps(told, default=text)
    done = subprocess.run([str(reader)], input=given, capture_output=True, check=True, timeout=30)
    return done.stdout.decode().strip()


def test_go_accepts_what_we_sign_and_prove(reader: Path, evidence: dict[str, Any]) -> None:
    assert read(reader, evidence) == "accepted"


def altered(hashes: list[bytes]) -> list[bytes]:
    return [bytes([hashes[0][0] ^ 1]) + hashes[0][1:], *hashes[1:]]


SPOILT: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "the text of the checkpoint": ("new", lambda note: note.replace("\n1100\n", "\n1101\n")),
    "the signature": ("new", lambda note: note[:-6] + ("A" if note[-6] != "A" else "B") + note[-5:]),
    "the older checkpoint": ("old", lambda note: note.replace("\n300\n", "\n301\n")),
    "the key": ("key", lambda key: key[:-3] + ("AA=" if key[-3:] != "AA=" else "BA=")),
    "the leaf": ("leaf", lambda leaf: leaf + b"\x00"),
    "the place": ("index", lambda index: index + 1),
    "the inclusion proof": ("inclusion", altered),
    "the length of the inclusion proof": ("inclusion", lambda hashes: hashes[1:]),
    "the consistency proof": ("consistency", altered),
    "a tile": ("tiles", lambda tiles: {path: altered([held])[0] for path, held in tiles.items()}),
}


def test_go_accepts_every_leaf_and_head_of_an_export_and_no_other(reader: Path) -> None:
    """What an export holds, read from its files; heads are a tree of their own under a name of their own."""
    files = maria()
    key, heads_key = orjson.loads(files["manifest.json"])["keys"][:2]
    for name, content in files.items():
        if not name.endswith(".tlog-proof"):
            continue
        is_head = name.startswith("patients/")
        leaf = files[name.replace(".tlog-proof", ".entry" if is_head else ".leaf").replace("proofs/", "leaves/")]
        proof = parse_proof(content)
        told = {
            "key": heads_key if is_head else key, "old": "", "new": proof.checkpoint.decode(), "leaf": leaf,
            "index": proof.index, "inclusion": proof.hashes, "consistency": [], "tiles": {},
        }  # fmt: skip
        assert read(reader, told) == "accepted", name
        assert read(reader, {**told, "leaf": leaf[:-1] + b"?"}).startswith("refused: inclusion"), name


@pytest.mark.parametrize("what", SPOILT)
def test_go_refuses_what_was_altered(reader: Path, evidence: dict[str, Any], what: str) -> None:
    name, spoil = SPOILT[what]
    spoilt = {**evidence, name: spoil(evidence[name])}
    assert spoilt != evidence
    assert read(reader, spoilt).startswith("refused:")
