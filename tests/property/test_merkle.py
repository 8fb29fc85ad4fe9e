"""Trees, proofs and their checks, against the recursion of RFC 6962 written down as it stands there."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infra.evidence.merkle import (
    EMPTY_ROOT,
    Node,
    Peaks,
    ProofRefused,
    Tree,
    leaf_hash,
    node,
    root,
    verify_consistency,
    verify_inclusion,
)

SIZES = st.integers(1, 70)


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def split(count: int) -> int:
    k = 1
    while 2 * k < count:
        k *= 2
    return k


def naive_root(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_link(old: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return [*naive_link(old, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_link(old - k, leaves[k:], False), naive_root(leaves[:k])]


def test_the_hashes_of_the_source() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"") == sha256(b"\x00").digest()
    assert root([]) == EMPTY_ROOT
    # A known vector of RFC 6962 implementations: the eight leaves of Certificate Transparency's own tests.
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    known = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert root(leaf_hash(bytes.fromhex(each)) for each in leaves).hex() == known


@given(st.integers(0, 300))
def test_roots(count: int) -> None:
    leaves = hashes(count)
    tree = Tree(leaves)
    assert root(leaves) == tree.root() == naive_root(leaves)
    assert tree.size == count


@given(st.integers(0, 300), st.data())
def test_a_tree_grows_from_its_peaks_and_its_past_stays(count: int, data: st.DataObject) -> None:
    before = data.draw(st.integers(0, count))
    leaves = hashes(count)
    grown = Peaks().extend(leaves[:before])
    again = Peaks(grown.size, grown.hashes).extend(leaves[before:])
    assert again.root() == naive_root(leaves)
    assert Tree(leaves).root(before) == grown.root()


@given(SIZES, st.data())
def test_inclusion(count: int, data: st.DataObject) -> None:
    leaves, index = hashes(count), data.draw(st.integers(0, count - 1))
    proof = Tree(hashes(count + data.draw(st.integers(0, 9)))).inclusion_proof(index, count)
    assert proof == naive_path(index, leaves)
    verify_inclusion(leaves[index], index, count, proof, naive_root(leaves))


@given(SIZES, st.data())
def test_consistency(count: int, data: st.DataObject) -> None:
    leaves, old = hashes(count), data.draw(st.integers(0, count))
    proof = Tree(leaves).consistency_proof(old)
    assert proof == (naive_link(old, leaves) if old else [])
    verify_consistency(old, count, proof, naive_root(leaves[:old]), naive_root(leaves))


def spoilt(proof: list[bytes], data: st.DataObject) -> list[bytes]:
    """One hash altered, one left out, one too many, or two exchanged."""
    places = st.integers(0, max(0, len(proof) - 1))
    place = data.draw(places)
    ways = [[*proof, leaf_hash(b"more")], [leaf_hash(b"more"), *proof]]
    if proof:
        altered = bytes([proof[place][0] ^ 1]) + proof[place][1:]
        ways += [[*proof[:place], altered, *proof[place + 1 :]], proof[:place] + proof[place + 1 :]]
        ways += [[*proof[:place], proof[place][:31], *proof[place + 1 :]]]
    if len(proof) > 1:
        ways.append(proof[::-1])
    chosen = data.draw(st.sampled_from(ways))
    assume(chosen != proof)
    return chosen


@given(SIZES, st.data())
def test_a_spoilt_inclusion_proof_is_refused(count: int, data: st.DataObject) -> None:
    leaves, index = hashes(count), data.draw(st.integers(0, count - 1))
    proof = Tree(leaves).inclusion_proof(index)
    with pytest.raises(ProofRefused):
        verify_inclusion(leaves[index], index, count, spoilt(proof, data), naive_root(leaves))


@given(SIZES, st.data())
def test_an_inclusion_proof_holds_for_one_place_leaf_and_root(count: int, data: st.DataObject) -> None:
    leaves, index = hashes(count), data.draw(st.integers(0, count - 1))
    proof, top = Tree(leaves).inclusion_proof(index), naive_root(leaves)
    other = data.draw(st.integers(-1, count + 1).filter(lambda each: each != index))
    refused = [(leaves[index], other, top), (leaf_hash(b"another"), index, top), (leaves[index], index, leaf_hash(b""))]
    for leaf, place, expected in refused:
        with pytest.raises(ProofRefused):
            verify_inclusion(leaf, place, count, proof, expected)


@given(SIZES, st.data())
def test_a_spoilt_consistency_proof_is_refused(count: int, data: st.DataObject) -> None:
    leaves, old = hashes(count), data.draw(st.integers(0, count))
    proof = Tree(leaves).consistency_proof(old)
    with pytest.raises(ProofRefused):
        verify_consistency(old, count, spoilt(proof, data), naive_root(leaves[:old]), naive_root(leaves))


@given(st.integers(2, 70), st.data())
def test_a_fork_is_refused(count: int, data: st.DataObject) -> None:
    leaves, place = hashes(count), data.draw(st.integers(0, count - 2))
    old = data.draw(st.integers(place + 1, count))
    forked = [*leaves[:place], leaf_hash(b"another"), *leaves[place + 1 :]]
    for newer in (leaves, forked):
        proof = Tree(newer).consistency_proof(old)
        older = forked if newer is leaves else leaves
        with pytest.raises(ProofRefused):
            verify_consistency(old, count, proof, naive_root(older[:old]), naive_root(newer))


def test_what_is_not_there_is_not_proved() -> None:
    tree = Tree(hashes(5))
    with pytest.raises(ValueError, match="leaf 5"):
        tree.inclusion_proof(5)
    with pytest.raises(ValueError, match="6 leaves"):
        tree.consistency_proof(6)
    with pytest.raises(IndexError):
        tree.read([Node(1, 2)])
    with pytest.raises(ProofRefused):
        verify_consistency(6, 5, [], tree.root(), tree.root())
    with pytest.raises(ValueError, match="peaks"):
        Peaks(3, [tree.root()])
    assert tree.read([Node(1, 1)]) == [node(*hashes(4)[2:])]
