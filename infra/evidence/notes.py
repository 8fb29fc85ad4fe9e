"""Signed notes (C2SP signed-note) under Ed25519. A note is bytes, its text is str; what is signed is the text."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MOST_BYTES = 1_000_000
MOST_SIGNATURES = 100
_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_DASH = "— "
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f]")
_BYTE_ORDER_MARK = "\ufeff"
_VERIFIER = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


class NoteRefused(Exception):
    """A note, checkpoint, key or proof file is not what it should be; the message says in which way."""


class Signature(NamedTuple):
    """`signed` is the signature without the key id."""

    name: str
    key_id: bytes
    signed: bytes


class Opened(NamedTuple):
    """`verified` are the signatures of keys that the reader knows, all of which hold; there is at least one."""

    text: str
    verified: tuple[Signature, ...]


@dataclass(frozen=True)
class Verifier:
    """A key that a reader knows; `str` gives the verifier key string that is published."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(letter.isspace() for letter in self.name):
            raise NoteRefused("a key name is not empty and has neither space nor plus")

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(_ED25519 + self.public)}"

    def accepts(self, text: str, signed: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signed, text.encode())
        except InvalidSignature:
            return False
        return True

    @classmethod
    def parse(cls, told: str) -> "Verifier":
        """Raises NoteRefused for a malformed string, another algorithm, or an id that is not the key's."""
        found = _VERIFIER.fullmatch(told.strip("\n"))
        if found is None:
            raise NoteRefused("not a verifier key: it is <name>+<8 hex digits>+<base64>")
        key = from_base64(found[3])
        if key[:1] != _ED25519 or len(key) != 1 + 32:
            raise NoteRefused("the verifier key is not an Ed25519 key")
        verifier = cls(found[1], key[1:])
        if verifier.key_id.hex() != found[2]:
            raise NoteRefused("the id of the verifier key is not that of its name and key")
        return verifier


@dataclass(frozen=True)
class Signer:
    """A private key under its name."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """The note with our signature alone. Raises NoteRefused for a text that no note may hold."""
        if not text.endswith("\n") or _is_forbidden(text):
            raise NoteRefused("the text of a note ends in a newline and has no control characters")
        key_id = self.verifier.key_id
        return f"{text}\n{_DASH}{self.name} {to_base64(key_id + self.private.sign(text.encode()))}\n".encode()


def open_note(note: bytes, known: Sequence[Verifier]) -> Opened:
    """The text, after every signature of a known key held; those of other keys are ignored.

    Raises NoteRefused where the note is malformed, a known key's signature is wrong, or no key is known.
    """
    text, signatures = split_note(note)
    keys = {(each.name, each.key_id): each for each in known}
    ours = tuple(each for each in signatures if (each.name, each.key_id) in keys)
    for each in ours:
        if not keys[each.name, each.key_id].accepts(text, each.signed):
            raise NoteRefused(f"the signature by {each.name} is wrong")
    if not ours:
        raise NoteRefused("nobody whose key is known has signed the note")
    return Opened(text, ours)


def split_note(note: bytes) -> tuple[str, list[Signature]]:
    """Text and signatures, none of them checked. Raises NoteRefused where the note is malformed."""
    if len(note) > MOST_BYTES:
        raise NoteRefused(f"the note is larger than {MOST_BYTES:,} bytes")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise NoteRefused("the note is not UTF-8") from None
    if _is_forbidden(whole):
        raise NoteRefused("the note has a control character or a byte order mark")
    text, gap, signed = whole.rpartition("\n\n")
    if not gap or not text or not signed.endswith("\n"):
        raise NoteRefused("the note is not text, an empty line and signatures, each line ending in a newline")
    lines = signed[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteRefused(f"the note has more than {MOST_SIGNATURES} signatures")
    return text + "\n", [_signature(line) for line in lines]


def _signature(line: str) -> Signature:
    name, gap, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not gap:
        raise NoteRefused("a signature line is a dash, a name and base64, with one space between")
    if not name or "+" in name or any(letter.isspace() for letter in name):
        raise NoteRefused("a key name is not empty and has neither space nor plus")
    raw = from_base64(encoded)
    if len(raw) <= _KEY_ID_BYTES:
        raise NoteRefused("a signature is shorter than its key id")
    return Signature(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])


def _is_forbidden(text: str) -> bool:
    return _CONTROL.search(text) is not None or text.startswith(_BYTE_ORDER_MARK)


def to_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def from_base64(encoded: str) -> bytes:
    """Standard base64 with padding and nothing else; raises NoteRefused."""
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NoteRefused("not base64") from None
    if to_base64(raw) != encoded:
        raise NoteRefused("not base64 as RFC 4648 writes it")
    return raw
