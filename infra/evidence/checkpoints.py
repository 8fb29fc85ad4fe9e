"""Checkpoints (C2SP tlog-checkpoint) and proof files (C2SP tlog-proof@v1)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from infra.evidence.merkle import HASH_BYTES, verify_inclusion
from infra.evidence.notes import NoteRefused, Signer, Verifier, from_base64, open_note, split_note, to_base64

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_PROOF_HEADER = "c2sp.org/tlog-proof@v1"


class Checkpoint(NamedTuple):
    """The first `size` leaves of the log `origin` have this `root`."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


@dataclass(frozen=True)
class Proof:
    """What a proof file tells: a leaf is number `index` of the log whose `checkpoint`, a signed note, ends the file."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes


def sign_checkpoint(signer: Signer, size: int, root: bytes) -> bytes:
    """The note; the origin is the key's name."""
    return signer.sign(Checkpoint(signer.name, size, root).text())


def parse_checkpoint(text: str) -> Checkpoint:
    """The text of a note; lines after the third are allowed by the format and ignored. Raises NoteRefused."""
    origin, *rest = text.removesuffix("\n").split("\n")
    if len(rest) < len(("size", "root")) or not text.endswith("\n") or not origin or not all(rest):
        raise NoteRefused("a checkpoint is three lines: origin, size, root")
    root = from_base64(rest[1])
    if len(root) != HASH_BYTES:
        raise NoteRefused(f"the root of a checkpoint has {HASH_BYTES} bytes")
    return Checkpoint(origin, _decimal(rest[0]), root)


def open_checkpoint(note: bytes, known: Sequence[Verifier]) -> Checkpoint:
    """Raises NoteRefused unless a known key of the checkpoint's own origin has signed it."""
    opened = open_note(note, known)
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin not in {each.name for each in opened.verified}:
        raise NoteRefused("the log that the checkpoint names has not signed it")
    return checkpoint


def unverified_checkpoint(note: bytes) -> Checkpoint:
    """What a note claims, its signatures unchecked. Raises NoteRefused where it is malformed."""
    return parse_checkpoint(split_note(note)[0])


def write_proof(index: int, hashes: Sequence[bytes], checkpoint: bytes) -> bytes:
    """A `.tlog-proof` file."""
    lines = (_PROOF_HEADER, f"index {index}", *(to_base64(each) for each in hashes), "")
    return "".join(f"{line}\n" for line in lines).encode() + checkpoint


def parse_proof(file: bytes) -> Proof:
    """An `extra` line is skipped: it is not authenticated. Raises NoteRefused."""
    head, gap, checkpoint = file.partition(b"\n\n")
    try:
        header, *lines = head.decode().split("\n")
    except UnicodeDecodeError:
        raise NoteRefused("the proof is not UTF-8") from None
    if header != _PROOF_HEADER or not gap:
        raise NoteRefused(f"a proof begins with {_PROOF_HEADER} and has an empty line before its checkpoint")
    if lines and lines[0].startswith("extra "):
        from_base64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise NoteRefused("the proof lacks its index")
    index = _decimal(lines[0].removeprefix("index "))
    hashes = tuple(from_base64(line) for line in lines[1:])
    if any(len(each) != HASH_BYTES for each in hashes):
        raise NoteRefused(f"a hash of the proof has not {HASH_BYTES} bytes")
    split_note(checkpoint)
    return Proof(index, hashes, checkpoint)


def verify_proof(file: bytes, leaf: bytes, known: Sequence[Verifier]) -> Checkpoint:
    """The checkpoint under which `leaf` (a leaf hash) was shown to be. Raises NoteRefused, ProofRefused."""
    proof = parse_proof(file)
    checkpoint = open_checkpoint(proof.checkpoint, known)
    verify_inclusion(leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return checkpoint


def _decimal(digits: str) -> int:
    if _DECIMAL.fullmatch(digits) is None:
        raise NoteRefused("a number is decimal, without sign or leading zero")
    return int(digits)
