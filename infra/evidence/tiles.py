"""The interior of a log's Merkle tree in tiles of 256 hashes (C2SP tlog-tiles, height 8), kept in PostgreSQL.

Tile `place` of `level` L holds the nodes of tree level 8 * L from 256 * place on. Whole tiles are stored and never
change; one that still grows is put together from what is below it when somebody asks.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import psycopg

from infra.evidence.merkle import HASH_BYTES, Node, root, root_of_whole

HEIGHT = 8
WIDTH = 1 << HEIGHT
_LEAVES_AT_ONCE = 256 * WIDTH
_PATH = re.compile(r"([0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_HASHES = "select level, place, hashes from log.tile_hashes(%b, %b::int4[], %b::int8[])"
_STORE = """insert into log.tiles (log, level, place, root, hashes)
            select %b, %b, t.place, t.root, t.hashes from unnest(%b::int8[], %b::bytea[], %b::bytea[])
                as t(place, root, hashes)
            on conflict do nothing"""
_STORED = "select coalesce(max(place) + 1, 0) from log.tiles where log = %b and level = %b"


class LogName(StrEnum):
    """The two logs: what was recorded, and who read or changed it."""

    EVENTS = "events"
    ACCESSES = "accesses"


_HEADS = {
    LogName.EVENTS: "select coalesce(max(position), 0) from log.events",
    LogName.ACCESSES: "select coalesce(max(position), 0) from access.leaves",
}
_LEAVES = {
    LogName.EVENTS: "select leaf_hash from log.events where position > %b and position <= %b order by position",
    LogName.ACCESSES: "select leaf_hash from access.leaves where position > %b and position <= %b order by position",
}

Connection = psycopg.Connection[Any]


class LeavesMissing(Exception):
    """Leaves of a span are not all there: the log has a gap."""


class Tile(NamedTuple):
    level: int
    place: int


class TilePath(NamedTuple):
    """`width` is how many hashes are asked for: 256 for a whole tile."""

    tile: Tile
    width: int


class Tiles:
    """The nodes of one log, through `connection` of a role that may call log.tile_hashes."""

    def __init__(self, connection: Connection, log: LogName) -> None:
        self._connection = connection
        self._log = log

    def read(self, nodes: Sequence[Node]) -> list[bytes]:
        """A merkle.Reader, in one statement. Raises LeavesMissing for a node that is not whole."""
        return hashes_of(nodes, self.hashes(tiles_of(nodes)))

    def hashes(self, tiles: Sequence[Tile]) -> dict[Tile, bytes]:
        """What each tile holds now; nothing for one that does not exist."""
        wanted = [self._log, [each.level for each in tiles], [each.place for each in tiles]]
        rows = self._connection.execute(_HASHES, wanted, binary=True)
        return {Tile(level, place): hashes for level, place, hashes in rows}

    def head(self) -> int:
        """How many leaves the log has."""
        return self._number(_HEADS[self._log])

    def extend(self) -> int:
        """Stores the tiles that have become whole; returns the log's size. Raises LeavesMissing.

        Tiles follow from leaves alone, so that a run cut short or two at once do no harm.
        """
        size = self.head()
        level = 0
        while self._extend(level, size >> HEIGHT * (level + 1)):
            level += 1
        return size

    def _extend(self, level: int, whole: int) -> int:
        begin = self._number(_STORED, self._log, level)
        step = _LEAVES_AT_ONCE // WIDTH
        for first in range(begin, whole, step):
            places = range(first, min(first + step, whole))
            hashes = self._leaf_tiles(places) if level == 0 else self._upper_tiles(level, places)
            roots = [root(split(each)) for each in hashes]
            self._connection.execute(_STORE, [self._log, level, list(places), roots, hashes], binary=True)
        return whole

    def _leaf_tiles(self, places: range) -> list[bytes]:
        span = [places.start * WIDTH, places.stop * WIDTH]
        leaves = [row[0] for row in self._connection.execute(_LEAVES[self._log], span, binary=True)]
        if len(leaves) != len(places) * WIDTH:
            raise LeavesMissing(f"{self._log}: only {len(leaves)} leaves from {span[0]} to {span[1]}")
        return [b"".join(leaves[begin : begin + WIDTH]) for begin in range(0, len(leaves), WIDTH)]

    def _upper_tiles(self, level: int, places: range) -> list[bytes]:
        tiles = [Tile(level, place) for place in places]
        found = self.hashes(tiles)
        return [found[each] for each in tiles]

    def _number(self, query: str, *given: object) -> int:
        row = self._connection.execute(query, given).fetchone()
        return int(row[0]) if row else 0


def tiles_of(nodes: Sequence[Node]) -> list[Tile]:
    """The tiles from which these nodes can be computed, each once."""
    return list(dict.fromkeys(_place_of(each)[0] for each in nodes))


def hashes_of(nodes: Sequence[Node], tiles: Mapping[Tile, bytes]) -> list[bytes]:
    """The nodes, from the hashes of the tiles that `tiles_of` names. Raises LeavesMissing."""
    return [_hash_of(each, tiles) for each in nodes]


def _hash_of(node: Node, tiles: Mapping[Tile, bytes]) -> bytes:
    tile, begin, count = _place_of(node)
    held = tiles.get(tile, b"")[begin * HASH_BYTES : (begin + count) * HASH_BYTES]
    if len(held) != count * HASH_BYTES:
        raise LeavesMissing(f"tile {tile.level}/{tile.place} does not hold all of {node}")
    return root_of_whole(held)


def _place_of(node: Node) -> tuple[Tile, int, int]:
    """Tile, first hash and number of hashes under a node."""
    level, height = divmod(node.level, HEIGHT)
    first = node.place << height
    return Tile(level, first >> HEIGHT), first % WIDTH, 1 << height


def split(hashes: bytes) -> list[bytes]:
    return [hashes[begin : begin + HASH_BYTES] for begin in range(0, len(hashes), HASH_BYTES)]


def parse_path(path: str) -> TilePath | None:
    """`<level>/<place>[.p/<width>]` with places as x001/x234/067; None for what is no such path."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    level, groups, width = found.groups()
    place = int(groups.replace("x", "").replace("/", ""))
    if tile_path(Tile(int(level), place)) != f"{level}/{groups}" or int(width or 0) >= WIDTH:
        return None
    return TilePath(Tile(int(level), place), int(width or WIDTH))


def tile_path(tile: Tile, width: int = WIDTH) -> str:
    digits = f"{tile.place % 1000:03}"
    rest = tile.place // 1000
    while rest:
        digits = f"x{rest % 1000:03}/{digits}"
        rest //= 1000
    return f"{tile.level}/{digits}" + ("" if width == WIDTH else f".p/{width}")
