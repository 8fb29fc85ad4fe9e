"""Names of tiles, and nodes from tiles, against a tree that holds everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.evidence.merkle import Node, Tree, leaf_hash
from infra.evidence.tiles import WIDTH, LeavesMissing, Tile, TilePath, hashes_of, parse_path, tile_path, tiles_of

LEAVES = [leaf_hash(str(number).encode()) for number in range(3 * WIDTH + 17)]
TREE = Tree(LEAVES)


@given(st.integers(0, 63), st.integers(0, 2**60), st.integers(1, 256))
def test_a_path_names_its_tile(level: int, place: int, width: int) -> None:
    tile = Tile(level, place)
    assert parse_path(tile_path(tile, width)) == TilePath(tile, width)


def test_paths_of_the_specification() -> None:
    assert tile_path(Tile(0, 1_234_067)) == "0/x001/x234/067"
    assert tile_path(Tile(0, 1_234_067), 8) == "0/x001/x234/067.p/8"
    assert tile_path(Tile(5, 0)) == "5/000"


@given(st.text("0123456789x/.p", max_size=14))
def test_what_is_read_as_a_path_is_written_so(path: str) -> None:
    found = parse_path(path)
    assert found is None or tile_path(*found) == path


@pytest.mark.parametrize(
    "path", ["0/x000/001", "0/000.p/256", "64/000", "0/0001", "00/000", "0/000/", "0/x001", "0/000.p/01"]
)
def test_other_spellings_are_none(path: str) -> None:
    assert parse_path(path) is None


def held() -> dict[Tile, bytes]:
    tiles = {Tile(0, place): b"".join(LEAVES[place * WIDTH : (place + 1) * WIDTH]) for place in range(4)}
    return tiles | {Tile(1, 0): b"".join(TREE.read([Node(8, place) for place in range(3)]))}


@given(st.data())
def test_each_whole_node_comes_out_of_its_tile(data: st.DataObject) -> None:
    level = data.draw(st.integers(0, 9))
    wanted = Node(level, data.draw(st.integers(0, (len(LEAVES) >> level) - 1)))
    assert hashes_of([wanted], {tile: held()[tile] for tile in tiles_of([wanted])}) == TREE.read([wanted])


def test_a_node_that_is_not_whole_is_missed() -> None:
    with pytest.raises(LeavesMissing):
        hashes_of([Node(0, len(LEAVES))], held())
    with pytest.raises(LeavesMissing):
        hashes_of([Node(8, 3)], held())
