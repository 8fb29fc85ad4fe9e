"""Heads made anew from the leaves of a log, at several of its sizes in one pass, and held against what is kept of each
patient."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from infra.evidence import rows
from infra.evidence.heads import GROUP, Index, root_over
from infra.evidence.merkle import HASH_BYTES, Peaks, leaf_hash, root_of_whole
from infra.evidence.tiles import LogName
from infra.evidence.walk import Finding, Found


class KeptHead(NamedTuple):
    """The head of one patient that proofs are made from."""

    events: int
    root: bytes


class Tree:
    """The heads at one size of the log, as entries are added in the order of patients."""

    def __init__(self) -> None:
        self.size = 0
        self._firsts: list[bytes] = []
        self._roots: list[bytes] = []
        self._group = bytearray()

    def append(self, patient_id: bytes, hashed: bytes) -> None:
        if not self._group:
            self._firsts.append(patient_id)
        self._group += hashed
        self.size += 1
        if len(self._group) == GROUP * HASH_BYTES:
            self._roots.append(root_of_whole(bytes(self._group)))
            self._group.clear()

    def index(self) -> Index:
        return Index(self.size, tuple(self._firsts), tuple(self._roots))

    def root(self) -> bytes:
        rest = [bytes(self._group[at : at + HASH_BYTES]) for at in range(0, len(self._group), HASH_BYTES)]
        return root_over(self._roots, rest)


class Trees:
    """The heads at several sizes of the log, ascending, in one pass over the leaves. Those at `kept_at` are compared
    with what is kept of each patient."""

    def __init__(self, sizes: Sequence[int], kept_at: int) -> None:
        self.at = {size: Tree() for size in sizes}
        self.kept_at = kept_at

    def grow(self, leaves: Iterable[rows.Columns], heads: Iterable[tuple[bytes, int, bytes]]) -> Found:
        """Both in the order of patients, leaves also in that of the patient's sequence."""
        kept = iter(heads)
        next_kept = next(kept, None)
        for patient_id, group in groupby(leaves, key=itemgetter(0)):
            positions, hashes = _patient(group)
            while next_kept is not None and next_kept[0] < (patient_id or b""):
                yield finding(None, "a head is kept of a patient of whom the log has no event")
                next_kept = next(kept, None)
            theirs = None
            if next_kept is not None and next_kept[0] == patient_id:
                theirs, next_kept = KeptHead(*next_kept[1:]), next(kept, None)
            self._add(patient_id or b"", positions, hashes)
            yield from self._compared(positions, hashes, theirs)
        for _ in [next_kept, *kept] if next_kept is not None else []:
            yield finding(None, "a head is kept of a patient of whom the log has no event")

    def _add(self, patient_id: bytes, positions: list[int], hashes: list[bytes]) -> None:
        """To each tree the patient's entry as of its size; it is hashed again only where the patient has more."""
        peaks, counted, hashed = Peaks(), 0, b""
        for size, tree in self.at.items():
            count = bisect_right(positions, size)
            if count > counted:
                root = peaks.extend(hashes[counted:count]).root()
                hashed = leaf_hash(patient_id + count.to_bytes(4, "big") + root)
                counted = count
            if counted:
                tree.append(patient_id, hashed)

    def _compared(self, positions: list[int], hashes: list[bytes], kept: KeptHead | None) -> Found:
        count = bisect_right(positions, self.kept_at)
        if kept is None:
            if count:
                yield finding(positions[0], "the heads have nothing of this event's patient")
            return
        if kept == (count, Peaks().extend(hashes[:count]).root()):
            return
        if kept.events < count and kept.root == Peaks().extend(hashes[: kept.events]).root():
            yield finding(positions[kept.events], f"the head of its patient ends before it, at {kept.events} events")
        else:
            yield finding(positions[0], "the head of this event's patient is not of the patient's events")


def _patient(group: Iterable[rows.Columns]) -> tuple[list[int], list[bytes]]:
    columns = [(rows.number(position), leaf or b"") for _, position, leaf in group]
    return [position for position, _ in columns], [leaf for _, leaf in columns]


def finding(position: int | None, what: str) -> Finding:
    return Finding("heads", LogName.EVENTS, position, what)
