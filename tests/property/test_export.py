"""Exports of any small log: each is proved, and any one byte altered in any file is noticed."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.evidence.canonical import canonical
from infra.evidence.heads import GROUP, Head, HeadProofs, Index, indexed, needed
from infra.evidence.merkle import Tree, leaf_hash, verify_inclusion
from infra.evidence.verify import Export, check_export, parse_key, read_json
from tests.ledger import Ledger, ledger, person

NAMES = ("maria", "john", "ann")
happenings = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from("abc")), min_size=1, max_size=40)


def head_of(entry: bytes) -> Head:
    return Head(UUID(bytes=entry[:16]), int.from_bytes(entry[16:20], "big"), entry[20:])


def proved(log: Ledger, files: dict[str, bytes]) -> list[str]:
    """What the verifier finds wrong."""
    export = Export({name: len(content) for name, content in files.items()}, files.__getitem__)
    return check_export(export, parse_key(str(log.key.verifier), "key"), None).wrong


@settings(max_examples=60, deadline=None)
@given(happenings, st.data())
def test_every_export_is_proved(happened: list[tuple[str, str]], data: st.DataObject) -> None:
    log = ledger(happened)
    patients = data.draw(st.lists(st.sampled_from(sorted({name for name, _ in happened})), min_size=1, unique=True))
    older = data.draw(st.none() | st.integers(0, len(happened)))
    assert proved(log, log.export(*map(person, patients), older=older)) == []


@settings(max_examples=150, deadline=None)
@given(happenings, st.data())
def test_any_byte_altered_is_noticed(happened: list[tuple[str, str]], data: st.DataObject) -> None:
    log = ledger(happened)
    files = log.export(person(happened[0][0]), older=data.draw(st.integers(1, len(happened))))
    name = data.draw(st.sampled_from(sorted(name for name, content in files.items() if content)))
    content = files[name]
    at = data.draw(st.integers(0, len(content) - 1))
    altered = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    assert proved(log, {**files, name: altered})


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3 * GROUP + 5), st.data())
def test_heads_are_proved_from_their_index_alone(size: int, data: st.DataObject) -> None:
    entries = sorted(person(str(number)).bytes + bytes(36) for number in range(size))
    index, root = indexed(entries)
    assert root == Tree(map(leaf_hash, entries)).root()
    kept = Index.from_bytes(index.to_bytes())
    assert kept == index
    place = data.draw(st.integers(0, size - 1))
    head = head_of(entries[place])
    groups = {number: entries[number * GROUP : (number + 1) * GROUP] for number in needed(kept, [head.patient_id])}
    assert len(groups) <= 2
    found, proof = HeadProofs(kept, groups).proof(head)
    assert found == place
    verify_inclusion(leaf_hash(entries[place]), place, size, proof, root)


def test_a_patient_who_is_not_in_the_heads_is_not_proved() -> None:
    log = ledger([("maria", "plan"), ("john", "plan")])
    [head] = [each for each in map(head_of, log.entries()) if each.patient_id == person("maria")]
    with pytest.raises(ValueError, match="not in list"):
        log.proofs().proof(head._replace(events=2))


json_values = st.recursive(
    st.text() | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_writer_and_verifier_agree_about_canonical_json(value: Any) -> None:
    content = canonical(value)
    assert read_json(Export({"x": len(content)}, lambda _: content), "x") == value
