"""One log from its first leaf to its last: each row against its leaf, each leaf against its tile, and the whole against
every checkpoint on the way. Memory does not grow with the log."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from infra.evidence.checkpoints import Checkpoint
from infra.evidence.merkle import HASH_BYTES, Peaks, root
from infra.evidence.rows import LeafRow
from infra.evidence.tiles import WIDTH, LogName, split


class Finding(NamedTuple):
    """What is not as it should be. `position` is the first place concerned, None where it is not one place."""

    check: str
    log: LogName
    position: int | None
    what: str


class StoredTile(NamedTuple):
    """None of both where no such tile is stored."""

    hashes: bytes | None
    root: bytes | None


Found = Iterator[Finding]
# Given the place of a whole tile of leaves.
TileReader = Callable[[int], StoredTile]


class Walk:
    """`checkpoints` come by size. After `run`, `leaves` is how many leaves there are, `held` how many checkpoints fit,
    and `through` the size of the last of these."""

    def __init__(self, log: LogName, checkpoints: Iterable[Checkpoint], tile: TileReader) -> None:
        self.leaves = 0
        self.held = 0
        self.through = 0
        self._log = log
        self._checkpoints = iter(checkpoints)
        self._next = next(self._checkpoints, None)
        self._tile = tile
        self._peaks = Peaks()
        self._recent = bytearray()
        self._last_moment: int | None = None
        self._is_whole = True  # as far as leaves can be told apart by their numbers, and no checkpoint contradicts

    def run(self, rows: Iterable[LeafRow]) -> Found:
        for row in rows:
            yield from self._row(row)
            self._last_moment = row.moment
            if self._is_whole:
                self._peaks.append(row.stored)
                self._recent += row.stored
                yield from self._grown()
        yield from self._end()

    def _row(self, row: LeafRow) -> Found:
        if row.position != self.leaves + 1:
            way = "is missing" if row.position > self.leaves + 1 else "comes twice"
            yield self._finding(
                "positions", min(self.leaves + 1, row.position), f"{way}; {row.position} is stored next"
            )
            self._is_whole = False
        self.leaves = row.position
        if row.recomputed is None:
            yield self._finding("leaves", row.position, "the row that was sealed is gone")
        elif row.recomputed != row.stored:
            yield self._finding("leaves", row.position, "what is stored is not what its leaf was made of")
        if self._log is LogName.EVENTS and self._last_moment is not None and row.moment < self._last_moment:
            yield self._finding("times", row.position, "was recorded before the one in front of it")

    def _grown(self) -> Found:
        """After one more leaf: the tile that it completes, and the checkpoints of this size."""
        if len(self._recent) == WIDTH * HASH_BYTES:
            yield from self._whole_tile(bytes(self._recent))
            self._recent.clear()
        while self._next is not None and self._next.size <= self.leaves:
            yield from self._compared(self._next)
            self._next = next(self._checkpoints, None) if self._is_whole else None

    def _compared(self, checkpoint: Checkpoint) -> Found:
        if checkpoint.size < self.leaves:
            yield self._finding("checkpoints", None, f"one of {checkpoint.size} leaves was kept after a larger one")
        elif checkpoint.root == self._peaks.root():
            self.held += 1
            self.through = checkpoint.size
        elif checkpoint.size == self.through:
            yield self._finding("checkpoints", None, f"two roots were signed for {self.through} leaves: the log forked")
        else:
            self._is_whole = False
            last = checkpoint.size
            what = f"leaves from here to {last} are not those that were signed; up to {self.through} they are"
            yield self._finding("checkpoints", self.through + 1, what)

    def _whole_tile(self, leaves: bytes) -> Found:
        place = self.leaves // WIDTH - 1
        hashes, stored_root = self._tile(place)
        if hashes is None:
            if self._next is not None:
                yield self._finding("tiles", place * WIDTH + 1, "the tile of these 256 leaves is missing")
        elif hashes != leaves:
            yield self._finding("tiles", _first_other(hashes, leaves, place), "its leaf is not the one in its tile")
        elif stored_root != root(split(leaves)):
            yield self._finding("tiles", place * WIDTH + 1, "the tile of these 256 leaves has another root")

    def _end(self) -> Found:
        """Checkpoints of more leaves than there are; every note is looked at, whatever was found before."""
        rest = [] if self._next is None else [self._next.size]
        most = max([*rest, *(each.size for each in self._checkpoints)], default=0)
        if self._is_whole and most > self.leaves:
            what = f"the end is cut: {most} leaves were signed, and {self.leaves} are stored"
            yield self._finding("checkpoints", self.leaves + 1, what)

    def _finding(self, check: str, position: int | None, what: str) -> Finding:
        return Finding(check, self._log, position, what)


def _first_other(one: bytes, other: bytes, place: int) -> int:
    differing = next(
        number for number, (here, there) in enumerate(zip(split(one), split(other), strict=True)) if here != there
    )
    return place * WIDTH + differing + 1
