"""Merkle trees of RFC 6962, section 2.1, over SHA-256. Hashes are 32 raw bytes; leaves are numbered from 0.

A node `(level, place)` is the root of the 2**level leaves from place * 2**level on; only whole ones are ever asked for.
Proofs are made from such nodes, wherever they are kept: a `Reader` gets all that it needs in one call.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


class Node(NamedTuple):
    level: int
    place: int


Reader = Callable[[Sequence[Node]], Sequence[bytes]]


class ProofRefused(Exception):
    """A proof does not show what it should; the message says in which way."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """In one pass, holding one hash for each level."""
    return Peaks().extend(leaf_hashes).root()


def root_of_whole(hashes: bytes) -> bytes:
    """Of a power of two of leaf hashes one after the other, level by level: thrice as quick as `root`."""
    while len(hashes) > HASH_BYTES:
        pairs = range(0, len(hashes), 2 * HASH_BYTES)
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return hashes


class Peaks:
    """The roots of the whole subtrees into which `size` leaves fall, largest first: all that a growing tree needs."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(self.hashes)}")

    def append(self, leaf: bytes) -> None:
        at_level = self.size
        while at_level & 1:
            leaf = node(self.hashes.pop(), leaf)
            at_level >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def extend(self, leaf_hashes: Iterable[bytes]) -> "Peaks":
        for each in leaf_hashes:
            self.append(each)
        return self

    def root(self) -> bytes:
        return _joined(self.hashes)


class Tree:
    """All nodes of a growing tree in memory, 64 bytes a leaf."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        for each in leaf_hashes:
            self.append(each)

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        for level in self._levels:
            level.extend(leaf)
            if len(level) // HASH_BYTES % 2:
                return
            leaf = node(bytes(level[-2 * HASH_BYTES : -HASH_BYTES]), bytes(level[-HASH_BYTES:]))
        self._levels.append(bytearray(leaf))

    def read(self, nodes: Sequence[Node]) -> list[bytes]:
        """A Reader. Raises IndexError for a node that is not whole yet."""
        return [self._read(each) for each in nodes]

    def _read(self, wanted: Node) -> bytes:
        found = bytes(self._levels[wanted.level][wanted.place * HASH_BYTES : (wanted.place + 1) * HASH_BYTES])
        if len(found) != HASH_BYTES:
            raise IndexError(f"the tree has no node {wanted}")
        return found

    def root(self, size: int | None = None) -> bytes:
        return root_of(self.size if size is None else size, self.read)

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        return inclusion_proof(index, self.size if size is None else size, self.read)

    def consistency_proof(self, old: int, size: int | None = None) -> list[bytes]:
        return consistency_proof(old, self.size if size is None else size, self.read)


def peaks(size: int) -> list[Node]:
    """Which nodes the peaks of the first `size` leaves are, largest first."""
    return list(_whole_nodes(0, size))


def root_of(size: int, read: Reader) -> bytes:
    """Root of the first `size` leaves."""
    return _joined(read(peaks(size)))


def inclusion_proof(index: int, size: int, read: Reader) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of the first `size` leaves, the leaf's sibling first."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not among the first {size}")
    spans = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _largest_power_below(end - begin)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin = middle
    return _roots(spans[::-1], read)


def consistency_proof(old: int, size: int, read: Reader) -> list[bytes]:
    """The hashes that show that the first `size` leaves begin with the first `old` (RFC 6962, 2.1.2)."""
    if not 0 <= old <= size:
        raise ValueError(f"{old} leaves are not the beginning of {size}")
    if old in (0, size):
        return []
    spans = []
    begin, end, is_whole = 0, size, True
    while old != end:
        middle = begin + _largest_power_below(end - begin)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((begin, middle))
            begin, is_whole = middle, False
    return _roots(([] if is_whole else [(begin, end)]) + spans[::-1], read)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Raises ProofRefused unless `leaf` (a leaf hash) is number `index` of the `size` leaves under root `expected`."""
    if not 0 <= index < size:
        raise ProofRefused(f"leaf {index} is not among {size}")
    _only_hashes(leaf, expected, *proof)
    result, place, last = leaf, index, size - 1
    for each in proof:
        if last == 0:
            raise ProofRefused("the inclusion proof is too long")
        if place & 1 or place == last:
            result = node(each, result)
            while not place & 1:
                place, last = place >> 1, last >> 1
        else:
            result = node(result, each)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofRefused("the inclusion proof is too short")
    if result != expected:
        raise ProofRefused("the inclusion proof leads to another root")


def verify_consistency(old: int, size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raises ProofRefused unless the tree of `size` leaves under `new_root` extends that of `old` under `old_root`."""
    if not 0 <= old <= size:
        raise ProofRefused(f"a tree of {size} leaves does not extend one of {old}")
    _only_hashes(old_root, new_root, *proof)
    if old in (0, size):
        _trivial(old, proof, old_root, EMPTY_ROOT if old == 0 else new_root)
        return
    # A whole subtree is not in the proof: whoever checks has its root already.
    hashes = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not hashes:
        raise ProofRefused("the consistency proof is empty")
    found_old, found_new = _folded(old, size, hashes)
    if found_old != old_root:
        raise ProofRefused("the consistency proof does not lead to the older root")
    if found_new != new_root:
        raise ProofRefused("the consistency proof does not lead to the newer root")


def _folded(old: int, size: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Both roots to which a consistency proof leads (RFC 9162, 2.1.4.2)."""
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    of_old = of_new = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            raise ProofRefused("the consistency proof is too long")
        if place & 1 or place == last:
            of_old, of_new = node(each, of_old), node(each, of_new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            of_new = node(of_new, each)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofRefused("the consistency proof is too short")
    return of_old, of_new


def _trivial(old: int, proof: Sequence[bytes], old_root: bytes, expected: bytes) -> None:
    if proof:
        raise ProofRefused("there is nothing to prove, and yet the consistency proof is not empty")
    if old_root != expected:
        raise ProofRefused(f"there are two roots of {old} leaves")


def _only_hashes(*given: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in given):
        raise ProofRefused(f"a hash has {HASH_BYTES} bytes")


def _largest_power_below(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)


def _whole_nodes(begin: int, end: int) -> Iterator[Node]:
    """The whole subtrees into which a span falls that the recursion of RFC 6962 may meet, from the left."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield Node(level, begin >> level)
        begin += 1 << level


def _roots(spans: Sequence[tuple[int, int]], read: Reader) -> list[bytes]:
    """Root of each span, all nodes read at once."""
    wanted = [list(_whole_nodes(*span)) for span in spans]
    hashes = iter(read([each for nodes in wanted for each in nodes]))
    return [_joined([next(hashes) for _ in nodes]) for nodes in wanted]


def _joined(hashes: Sequence[bytes]) -> bytes:
    """Peaks, largest first, to their root."""
    if not hashes:
        return EMPTY_ROOT
    result = hashes[-1]
    for each in reversed(hashes[:-1]):
        result = node(each, result)
    return result
