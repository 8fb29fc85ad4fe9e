"""Following the log over HTTP: what is signed, that it grows only, and its tiles."""

from base64 import b64decode
from pathlib import Path

import pytest

from infra.evidence.checkpoints import open_checkpoint
from infra.evidence.merkle import Tree, root_of, verify_consistency
from infra.evidence.notes import Signer
from infra.evidence.outside import Outside
from infra.evidence.signer import LogSigner, Signed
from infra.evidence.tiles import LogName, Tile, hashes_of, tile_path, tiles_of
from tests.api_world import World
from tests.signing import PRIVATE, fill

pytestmark = pytest.mark.postgres

NAME = "localhost/log"


def sign(world: World, folder: Path) -> Signed:
    with world.database.connect("sealer") as sealer:
        made = LogSigner(LogName.EVENTS, NAME, PRIVATE, Outside(folder, LogName.EVENTS)).sign(sealer)
    assert made is not None
    return made


def get(world: World, path: str, role: str = "operator") -> bytes:
    answer = world.client.get(f"/v1/log/{path}", headers=world.staff(role))
    assert answer.status_code == 200, answer.text
    return answer.content


def problem(world: World, path: str) -> tuple[int, str]:
    answer = world.client.get(f"/v1/log/{path}", headers=world.staff("operator"))
    return answer.status_code, answer.json()["type"]


def test_the_newest_checkpoint(world: World, tmp_path: Path) -> None:
    assert problem(world, "checkpoint") == (404, "/problems/not-found")
    fill(world.database, 1, 10)
    first = sign(world, tmp_path)
    assert get(world, "checkpoint") == first.note
    fill(world.database, 11, 20)
    second = sign(world, tmp_path)
    assert get(world, "checkpoint", "auditor") == second.note
    assert open_checkpoint(second.note, [Signer(NAME, PRIVATE).verifier]).size == 20
    assert problem(world, "checkpoint?log=accesses") == (404, "/problems/not-found")


def test_an_outsider_checks_that_the_log_only_grew(world: World, tmp_path: Path) -> None:
    fill(world.database, 1, 300)
    old = sign(world, tmp_path).checkpoint
    fill(world.database, 301, 700)
    new = sign(world, tmp_path).checkpoint
    lines = get(world, "consistency?from=300&to=700").decode().splitlines()
    verify_consistency(300, 700, [b64decode(line) for line in lines], old.root, new.root)
    assert get(world, "consistency?from=0&to=700") == b""
    for wrong in ("from=700&to=300", "from=300&to=701", "from=-1&to=3", "from=1", "from=1&to=x"):
        assert problem(world, f"consistency?{wrong}") == (400, "/problems/invalid-request")


def test_an_outsider_computes_the_root_from_tiles(world: World, tmp_path: Path) -> None:
    fill(world.database, 1, 700)
    checkpoint = sign(world, tmp_path).checkpoint

    def read(nodes: list[object]) -> list[bytes]:
        widths = {Tile(0, 0): 256, Tile(0, 1): 256, Tile(0, 2): 188, Tile(1, 0): 2}
        wanted = tiles_of(nodes)  # type: ignore[arg-type]
        tiles = {tile: get(world, f"tile/{tile_path(tile, widths[tile])}") for tile in wanted}
        return hashes_of(nodes, tiles)  # type: ignore[arg-type]

    assert root_of(700, read) == checkpoint.root  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    [
        "0/002",
        "0/003",
        "1/000",
        "2/000",
        "0/000.p/256",
        "0/000.p/0",
        "64/000",
        "0/x000/001",
        "0/1",
        "0",
        "x",
        "0/002.p/189",
    ],
)
def test_what_is_no_tile(world: World, tmp_path: Path, path: str) -> None:
    fill(world.database, 1, 700)
    sign(world, tmp_path)
    assert problem(world, f"tile/{path}") == (404, "/problems/not-found")


def test_a_whole_tile_may_be_kept_for_good(world: World, tmp_path: Path) -> None:
    fill(world.database, 1, 256)
    sign(world, tmp_path)
    answer = world.client.get("/v1/log/tile/0/000", headers=world.staff("publisher"))
    assert "immutable" in answer.headers["cache-control"]
    leaves = [answer.content[begin : begin + 32] for begin in range(0, 256 * 32, 32)]
    assert Tree(leaves).root() == sign(world, tmp_path).checkpoint.root


def test_nobody_follows_without_a_token(world: World) -> None:
    for path in ("checkpoint", "consistency?from=0&to=0", "tile/0/000"):
        assert world.client.get(f"/v1/log/{path}").status_code == 401
