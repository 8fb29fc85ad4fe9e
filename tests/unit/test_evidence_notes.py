"""Signed notes, checkpoints and proof files: what is written, what is read, and all that is refused."""

import base64
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.evidence.checkpoints import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    parse_proof,
    sign_checkpoint,
    unverified_checkpoint,
    verify_proof,
    write_proof,
)
from infra.evidence.merkle import ProofRefused, Tree, leaf_hash
from infra.evidence.notes import NoteRefused, Signer, Verifier, open_note, split_note

# The key and note of the example in the documentation of Go's golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
NAME = "pathway.example/log"
SIGNER = Signer(NAME, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer("witness.example", Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
TEXT = "a line\nanother\n"
NOTE = SIGNER.sign(TEXT)


def joined(*notes: bytes) -> bytes:
    """The first note with the signatures of all."""
    return notes[0] + b"".join(each.rpartition(b"\n\n")[2] for each in notes[1:])


def test_a_note_of_gos_own_documentation_is_accepted() -> None:
    opened = open_note(GO_NOTE, [Verifier.parse(GO_KEY)])
    assert opened.text.startswith("If you think")
    assert [each.name for each in opened.verified] == ["PeterNeumann"]
    assert str(Verifier.parse(GO_KEY)) == GO_KEY


def test_what_we_sign_we_accept() -> None:
    opened = open_note(NOTE, [SIGNER.verifier])
    assert opened.text == TEXT
    line = NOTE.decode().split("\n")[3]
    assert line.startswith(f"— {NAME} ")
    assert len(base64.b64decode(line.split(" ")[2])) == 68
    assert Verifier.parse(str(SIGNER.verifier)) == SIGNER.verifier
    assert Verifier.parse(f"{SIGNER.verifier}\n") == SIGNER.verifier


def test_a_text_may_have_empty_lines_and_the_last_one_ends_it() -> None:
    text = "a\n\nb\n\n\nc\n"
    assert open_note(SIGNER.sign(text), [SIGNER.verifier]).text == text


def test_unknown_signatures_are_ignored_and_known_ones_must_all_hold() -> None:
    both = joined(NOTE, OTHER.sign(TEXT))
    assert len(open_note(both, [SIGNER.verifier]).verified) == 1
    assert len(open_note(both, [SIGNER.verifier, OTHER.verifier]).verified) == 2
    mixed = joined(NOTE, OTHER.sign("something else\n"))
    assert open_note(mixed, [SIGNER.verifier]).text == TEXT
    with pytest.raises(NoteRefused, match="witness"):
        open_note(mixed, [SIGNER.verifier, OTHER.verifier])


def test_a_known_key_that_signs_twice_must_be_right_twice() -> None:
    assert open_note(joined(NOTE, NOTE), [SIGNER.verifier]).text == TEXT
    with pytest.raises(NoteRefused, match="wrong"):
        open_note(joined(NOTE, SIGNER.sign("something else\n")), [SIGNER.verifier])


def test_sixteen_signatures_are_read_and_more_than_a_hundred_are_not() -> None:
    others = [
        Signer(f"w{number}", Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)).sign(TEXT)
        for number in range(100)
    ]
    assert open_note(joined(NOTE, *others[:99]), [SIGNER.verifier]).text == TEXT
    with pytest.raises(NoteRefused, match="100"):
        open_note(joined(NOTE, *others), [SIGNER.verifier])


def test_another_key_under_the_same_name_does_not_open_it() -> None:
    impostor = Signer(NAME, OTHER.private)
    with pytest.raises(NoteRefused, match="nobody"):
        open_note(impostor.sign(TEXT), [SIGNER.verifier])
    with pytest.raises(NoteRefused, match="nobody"):
        open_note(NOTE, [])


def altered_signature(note: bytes) -> bytes:
    head, _, encoded = note[:-1].rpartition(b" ")
    raw = bytearray(base64.b64decode(encoded))
    raw[-1] ^= 1
    return head + b" " + base64.b64encode(raw) + b"\n"


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "text altered": lambda note: note.replace(b"a line", b"A line"),
    "text longer": lambda note: b"more\n" + note,
    "signature altered": altered_signature,
    "signature cut": lambda note: note[:-10] + b"\n",
    "signature short": lambda note: note.rpartition(b" ")[0] + b" " + base64.b64encode(b"1234") + b"\n",
    "carriage returns": lambda note: note.replace(b"\n", b"\r\n"),
    "tab": lambda note: note.replace(b"a line", b"a\tline"),
    "byte order mark": lambda note: b"\xef\xbb\xbf" + note,
    "not UTF-8": lambda note: note.replace(b"a line", b"a \xff line"),
    "no last newline": lambda note: note[:-1],
    "two last newlines": lambda note: note + b"\n",
    "no empty line": lambda note: note.replace(b"\n\n", b"\n"),
    "hyphen for the dash": lambda note: note.replace("—".encode(), b"-"),
    "no dash": lambda note: note.replace("— ".encode(), b""),
    "two spaces": lambda note: note.replace(b"log ", b"log  "),
    "no padding": lambda note: note.replace(b"=", b""),
    "plus in the name": lambda note: note.replace(b"example/log", b"example+log"),
    "no name": lambda note: note.replace(NAME.encode(), b""),
    "no signature": lambda note: note.partition(b"\n\n")[0] + b"\n\n",
    "no text": lambda note: b"\n\n" + note.partition(b"\n\n")[2],
    "too large": lambda note: b"x" * 1_000_000 + note,
    "nothing": lambda note: note[:0],
}


@pytest.mark.parametrize("way", SPOILT)
def test_a_spoilt_note_is_refused(way: str) -> None:
    spoilt = SPOILT[way](NOTE)
    assert spoilt != NOTE
    with pytest.raises(NoteRefused):
        open_note(spoilt, [SIGNER.verifier])


@pytest.mark.parametrize("text", ["no newline", "a\r\n", "a\x00\n", "\ufeffa\n"])
def test_a_text_that_no_note_may_hold_is_not_signed(text: str) -> None:
    with pytest.raises(NoteRefused):
        SIGNER.sign(text)


@pytest.mark.parametrize(
    "told",
    [
        "", "a+b", str(SIGNER.verifier).replace("log", "lag"), str(SIGNER.verifier)[:-8], f"{SIGNER.verifier} ",
        "a+00000000+Ag==", str(SIGNER.verifier).replace(SIGNER.verifier.key_id.hex(), "00000000"),
    ],
)  # fmt: skip
def test_a_spoilt_verifier_key_is_refused(told: str) -> None:
    with pytest.raises(NoteRefused):
        Verifier.parse(told)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b"])
def test_a_key_name_has_neither_space_nor_plus(name: str) -> None:
    with pytest.raises(NoteRefused):
        Verifier(name, SIGNER.verifier.public)


def test_a_checkpoint_reads_as_it_was_written() -> None:
    top = leaf_hash(b"x")
    note = sign_checkpoint(SIGNER, 12, top)
    encoded = base64.b64encode(top).decode()
    assert note.decode().startswith(f"{NAME}\n12\n{encoded}\n\n— {NAME} ")
    assert open_checkpoint(note, [SIGNER.verifier]) == unverified_checkpoint(note) == Checkpoint(NAME, 12, top)


def test_extensions_are_read_over() -> None:
    checkpoint = Checkpoint(NAME, 0, leaf_hash(b"x"))
    assert parse_checkpoint(checkpoint.text() + "more\n") == checkpoint


def test_a_checkpoint_is_signed_by_the_log_it_names() -> None:
    note = OTHER.sign(Checkpoint(NAME, 1, leaf_hash(b"x")).text())
    with pytest.raises(NoteRefused, match="has not signed"):
        open_checkpoint(note, [SIGNER.verifier, OTHER.verifier])


@pytest.mark.parametrize("size", ["01", "+1", "-1", "", "1.0", "１", "1 "])
def test_a_size_is_plain_decimal(size: str) -> None:
    root = base64.b64encode(leaf_hash(b"x")).decode()
    with pytest.raises(NoteRefused):
        parse_checkpoint(f"{NAME}\n{size}\n{root}\n")


@pytest.mark.parametrize(
    "text", ["", "a\n1\n", "\n1\n{}\n", "a\n1\nAAAA\n", "a\n1\n{}", "a\n1\n{}\n\nb\n", "a\n1\n{}=\n"]
)
def test_a_checkpoint_is_three_lines(text: str) -> None:
    with pytest.raises(NoteRefused):
        parse_checkpoint(text.format(base64.b64encode(leaf_hash(b"x")).decode()))


def proved(count: int, index: int) -> tuple[bytes, bytes]:
    leaves = [leaf_hash(bytes([number])) for number in range(count)]
    tree = Tree(leaves)
    return leaves[index], write_proof(index, tree.inclusion_proof(index), sign_checkpoint(SIGNER, count, tree.root()))


@pytest.mark.parametrize(("count", "index"), [(1, 0), (2, 1), (7, 6), (40, 13)])
def test_a_proof_file_proves_its_leaf_and_no_other(count: int, index: int) -> None:
    leaf, file = proved(count, index)
    assert verify_proof(file, leaf, [SIGNER.verifier]).size == count
    with pytest.raises(ProofRefused):
        verify_proof(file, leaf_hash(b"another"), [SIGNER.verifier])
    with pytest.raises(NoteRefused):
        verify_proof(file, leaf, [OTHER.verifier])


def test_the_proof_of_an_only_leaf_is_empty() -> None:
    _, file = proved(1, 0)
    assert file.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + NAME.encode())


def test_the_checkpoint_of_a_proof_is_kept_to_the_byte() -> None:
    leaf, file = proved(7, 3)
    with_extra = file.replace(b"@v1\n", b"@v1\nextra AAAA\n")
    assert parse_proof(with_extra) == parse_proof(file)
    assert verify_proof(with_extra, leaf, [SIGNER.verifier]).size == 7
    assert file.endswith(parse_proof(file).checkpoint)
    assert split_note(parse_proof(file).checkpoint)[0].startswith(NAME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"index 3", b"index 03"), (b"index 3", b"index 2"), (b"index 3", b"index 7"), (b"index 3\n", b""),
        (b"@v1", b"@v2"), (b"\n\n", b"\n"), (b"\n", b"\r\n"), (b"@v1\n", b"@v1\nextra ?\n"), (b"index 3", b"index -3"),
        (b"index 3\n", b"index 3\nAAAA\n"), (b"index 3\n", b"index 3\nextra AAAA\n"),
    ],
)  # fmt: skip
def test_a_spoilt_proof_file_is_refused(old: bytes, new: bytes) -> None:
    leaf, file = proved(7, 3)
    assert old in file
    with pytest.raises((NoteRefused, ProofRefused)):
        verify_proof(file.replace(old, new), leaf, [SIGNER.verifier])
