#!/usr/bin/env python3
"""Checks an evidence export offline, without trusting whoever made it or runs the log.

    python verify.py EXPORT [--key KEY] [--checkpoint FILE]

EXPORT is the zip or the folder into which it was unpacked. KEY is the log's verifier key (or a file that holds it) as
you have it from elsewhere; FILE is a checkpoint of the log that you kept from an earlier day.
Needs Python 3.9 or later and the package `cryptography`, and nothing else. Take this file from a source that you trust.

Exit code: 0 all that was checked holds; 1 something does not hold, and each such thing is named with its file;
2 the export cannot be read or checked at all.

Formats: RFC 6962 section 2.1 (hashes and proofs), C2SP signed-note, tlog-checkpoint and tlog-proof, RFC 8785 (JSON).
"""

from __future__ import annotations

import argparse
import binascii
import json
import os
import re
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

FORMAT = "cancer-plan-evidence/1"
MOST_FILES = 500_000
MOST_BYTES = 2_000_000_000  # of all files together
MOST_BYTES_OF_ONE = 64_000_000
MOST_BYTES_OF_NOTE = 1_000_000
MOST_BYTES_HELD = 100_000_000  # larger exports are read twice
MOST_SIGNATURES = 100
MOST_TOLD = 20
ED25519 = b"\x01"
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
# AES-256-GCM as the log stores it: a nonce of 12 bytes, then as many bytes as the text has, then a tag of 16.
SEAL_BYTES = 12 + 16
# Both ends of a difference are UTC without saying so.
YEAR_2000 = datetime(2000, 1, 1)  # noqa: DTZ001
MICROSECOND = timedelta(microseconds=1)
NOT_LISTED = frozenset(("manifest.json", "manifest.note"))
KEPT = "the checkpoint that you kept"
T = TypeVar("T")


class Wrong(Exception):
    """Something does not hold; `where` is the file that shows it."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{shown(where)}: {what}")


class Unreadable(Exception):
    """The export, or a file given on the command line, is not something that can be checked."""


def shown(text: str) -> str:
    """Names in an export may be hostile: no control characters reach the terminal, and no long lines."""
    plain = "".join(each if each.isprintable() else "?" for each in text[:120])
    return plain if len(text) <= len(plain) else f"{plain}…"


# --- The files of an export -------------------------------------------------------------------------------------------


class Export:
    """Files by name, read one at a time and never written anywhere."""

    def __init__(self, sizes: dict[str, int], read: Callable[[str], bytes]) -> None:
        if len(sizes) > MOST_FILES or sum(sizes.values()) > MOST_BYTES:
            raise Unreadable(f"more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes")
        for name, size in sizes.items():
            parts = name.split("/")
            if "\\" in name or "\0" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
                raise Unreadable(f"a file has a name that leads outside the export: {shown(name)}")
            if size > MOST_BYTES_OF_ONE:
                raise Unreadable(f"{shown(name)} is larger than {MOST_BYTES_OF_ONE:,} bytes")
        self.names = frozenset(sizes)
        self._read = read
        self._held: dict[str, bytes] | None = {} if sum(sizes.values()) <= MOST_BYTES_HELD else None

    def read(self, name: str) -> bytes:
        if name not in self.names:
            raise Wrong(name, "is missing from the export")
        if self._held is None:
            return self._read_now(name)
        if name not in self._held:
            self._held[name] = self._read_now(name)
        return self._held[name]

    def _read_now(self, name: str) -> bytes:
        try:
            return self._read(name)
        except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise Wrong(name, f"cannot be read ({type(error).__name__})") from None

    def numbers(self, folder: str, ending: str) -> set[int]:
        """Of the files `<folder>/<number><ending>`."""
        pattern = re.compile(re.escape(folder) + "/(0|[1-9][0-9]{0,18})" + re.escape(ending))
        found = (pattern.fullmatch(name) for name in self.names)
        return {int(match[1]) for match in found if match}


def open_export(path: Path) -> Export:
    if path.is_dir():
        return of_folder(path)
    try:
        return of_zip(zipfile.ZipFile(path))
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise Unreadable(f"not a folder and not a zip file that can be read ({type(error).__name__})") from None


def of_zip(archive: zipfile.ZipFile) -> Export:
    sizes: dict[str, int] = {}
    for each in archive.infolist():
        if each.filename in sizes:
            raise Unreadable(f"two files have one name: {shown(each.filename)}")
        if each.is_dir() or each.flag_bits & 1 or stat.S_ISLNK(each.external_attr >> 16):
            raise Unreadable(f"a folder, an encrypted file or a link is in the zip: {shown(each.filename)}")
        sizes[each.filename] = each.file_size

    def read(name: str) -> bytes:
        with archive.open(name) as file:
            return bounded(file.read(MOST_BYTES_OF_ONE + 1))

    return Export(sizes, read)


def of_folder(root: Path) -> Export:
    sizes: dict[str, int] = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise Unreadable(f"not a file: {shown(path.relative_to(root).as_posix())}")
            if stat.S_ISREG(mode):
                sizes[path.relative_to(root).as_posix()] = path.lstat().st_size
        if len(sizes) > MOST_FILES:
            break

    def read(name: str) -> bytes:
        with (root / name).open("rb") as file:
            return bounded(file.read(MOST_BYTES_OF_ONE + 1))

    return Export(sizes, read)


def bounded(content: bytes) -> bytes:
    if len(content) > MOST_BYTES_OF_ONE:
        raise ValueError("too large")
    return content


# --- Hashes and proofs: RFC 6962, section 2.1 -------------------------------------------------------------------------


def hash_leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def hash_tree(leaves: list[bytes]) -> bytes:
    """Root over leaf hashes: join neighbours, an odd last one goes up as it is, until one is left."""
    if not leaves:
        return sha256(b"").digest()
    while len(leaves) > 1:
        odd = leaves[-1:] if len(leaves) % 2 else []
        leaves = [hash_node(leaves[i], leaves[i + 1]) for i in range(0, len(leaves) - 1, 2)] + odd
    return leaves[0]


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """The root to which a proof leads from leaf `index` of `size`; None where it has a hash too many or too few."""
    place, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if place % 2 or place == last:
            result = hash_node(sibling, result)
            while place % 2 == 0:
                place, last = place // 2, last // 2
        else:
            result = hash_node(result, sibling)
        place, last = place // 2, last // 2
    return result if last == 0 else None


def roots_by_consistency(old: int, new: int, old_root: bytes, proof: list[bytes]) -> tuple[bytes, bytes] | None:
    """The older and the newer root to which a proof leads, 0 < old < new; None where its length is wrong."""
    hashes = [old_root, *proof] if old & (old - 1) == 0 else proof
    if not hashes:
        return None
    place, last = old - 1, new - 1
    while place % 2:
        place, last = place // 2, last // 2
    of_old = of_new = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return None
        if place % 2 or place == last:
            of_old, of_new = hash_node(each, of_old), hash_node(each, of_new)
            while place and place % 2 == 0:
                place, last = place // 2, last // 2
        else:
            of_new = hash_node(of_new, each)
        place, last = place // 2, last // 2
    return (of_old, of_new) if last == 0 else None


# --- Keys, signed notes, checkpoints, proof files ---------------------------------------------------------------------


class Key(NamedTuple):
    """An Ed25519 public key (32 bytes) under a name."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{to_base64(ED25519 + self.public)}"

    def called(self, part: str) -> Key:
        """The same key under the name of a part of the log."""
        return self._replace(name=f"{self.name}/{part}")


class Note(NamedTuple):
    """`signatures` are (name, 4 bytes of key id, signature)."""

    lines: list[str]
    text: bytes
    signatures: list[tuple[str, bytes, bytes]]


class Tree(NamedTuple):
    """What a checkpoint says: the first `size` leaves have this root; `further` are lines after the third."""

    origin: str
    size: int
    root: bytes
    further: list[str]


class Proof(NamedTuple):
    """`place` is the number of the leaf, from 0; `note` the signed tree in which it is."""

    place: int
    hashes: list[bytes]
    note: bytes


def parse_key(told: str, where: str) -> Key:
    found = re.fullmatch(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\n?", told)
    raw = strict_base64(found[3], where) if found else b""
    if found is None or raw[:1] != ED25519 or len(raw) != 1 + 32:
        raise Wrong(where, "is not a verifier key for Ed25519: <name>+<8 hex digits>+<base64>")
    key = Key(found[1], raw[1:])
    if key.key_id.hex() != found[2]:
        raise Wrong(where, "the id of the key is not that of its name and bytes")
    return key


def strict_base64(encoded: str, where: str) -> bytes:
    """Padded base64 as RFC 4648 writes it, and no other way to write the same bytes."""
    try:
        raw = binascii.a2b_base64(encoded)
    except ValueError:
        raise Wrong(where, "holds something that is not base64") from None
    if to_base64(raw) != encoded:
        raise Wrong(where, "holds something that is not base64 as RFC 4648 writes it")
    return raw


def to_base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def strict_hash(encoded: str, where: str) -> bytes:
    raw = strict_base64(encoded, where)
    if len(raw) != len(sha256().digest()):
        raise Wrong(where, "holds a hash that is not 32 bytes long")
    return raw


def strict_number(digits: str, where: str) -> int:
    if re.fullmatch("0|[1-9][0-9]{0,18}", digits, re.ASCII) is None:
        raise Wrong(where, "holds a number that is not decimal digits without a leading zero")
    return int(digits)


def strict_text(content: bytes, where: str) -> str:
    """UTF-8 without control characters except newline, ending in one."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Wrong(where, "is not UTF-8") from None
    if len(content) > MOST_BYTES_OF_NOTE or re.search("[\x00-\x09\x0b-\x1f\x7f\ufeff]", text) or text[-1:] != "\n":
        raise Wrong(where, "is too long, or has control characters, or does not end in a newline")
    return text


def parse_note(content: bytes, where: str) -> Note:
    text, gap, signed = strict_text(content, where).rpartition("\n\n")
    signatures = signed[:-1].split("\n")
    if not gap or not text or not signed or len(signatures) > MOST_SIGNATURES:
        raise Wrong(where, "is not a signed note: text, an empty line, then signatures")
    return Note(text.split("\n"), (text + "\n").encode(), [parse_signature(line, where) for line in signatures])


def parse_signature(line: str, where: str) -> tuple[str, bytes, bytes]:
    found = re.fullmatch(r"— ([^+\s]+) ([A-Za-z0-9+/=]+)", line)
    if found is None:
        raise Wrong(where, "has a signature line that is not a dash, a name and base64")
    raw = strict_base64(found[2], where)
    return found[1], raw[:4], raw[4:]


def open_note(content: bytes, key: Key, where: str) -> Note:
    """The note, signed by this key. Signatures of others (witnesses, keys to come) are ignored."""
    note = parse_note(content, where)
    ours = [signature for name, key_id, signature in note.signatures if (name, key_id) == (key.name, key.key_id)]
    if not ours:
        told = f"is not signed by the key {shown(key.name)} ({key.key_id.hex()})"
        raise Wrong(where, f"{told}, but by the same one {of_another(note.lines[0])}" if is_of(key, note) else told)
    if not all(is_signed(key, note.text, signature) for signature in ours):
        raise Wrong(where, f"the signature by {shown(key.name)} is wrong: text or signature was altered")
    return note


def is_of(key: Key, note: Note) -> bool:
    """Whether the holder of this key signed the note for the log that its first line names."""
    other = key._replace(name=note.lines[0])
    ours = [signature for name, key_id, signature in note.signatures if (name, key_id) == (other.name, other.key_id)]
    return bool(ours) and all(is_signed(other, note.text, signature) for signature in ours)


def of_another(name: str) -> str:
    return (
        f"for {shown(name)}: another note of the same key, or this log before or after it was opened anew (README.md)"
    )


def is_signed(key: Key, text: bytes, signature: bytes) -> bool:
    # Imported here, so that where the package is missing this can be said in words.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def open_tree(content: bytes, key: Key, where: str) -> Tree:
    note = open_note(content, key, where)
    if len(note.lines) < len(("origin", "size", "root")) or note.lines[0] != key.name:
        raise Wrong(where, "is not three lines (origin, size, root) that begin with the name of the key")
    return Tree(note.lines[0], strict_number(note.lines[1], where), strict_hash(note.lines[2], where), note.lines[3:])


def parse_proof(content: bytes, where: str) -> Proof:
    head, _, note = content.partition(b"\n\n")
    lines = strict_text(head + b"\n", where)[:-1].split("\n")
    if lines[0] != PROOF_HEADER:
        raise Wrong(where, f"does not begin with {PROOF_HEADER}")
    rest = [line for line in lines[1:2] if not line.startswith("extra ")] + lines[2:]
    if not rest or not rest[0].startswith("index "):
        raise Wrong(where, "has no line with the index of the leaf")
    return Proof(strict_number(rest[0][6:], where), [strict_hash(line, where) for line in rest[1:]], note)


# --- What an export says ----------------------------------------------------------------------------------------------


class Patient(NamedTuple):
    """How many events there are of a patient, says the manifest."""

    patient_id: str
    events: int


class Event(NamedTuple):
    """One event as events.json tells it; `number` is its place in the log, from 0."""

    number: int
    stream_id: str
    version: int
    patient_id: str
    patient_seq: int
    recorded: int
    text: str
    envelope_head: bytes

    def envelope(self, sealed: bytes) -> bytes:
        return self.envelope_head + sha256(sealed).digest()


def read_json(export: Export, name: str) -> Any:
    """What a file of canonical JSON (RFC 8785) holds. The names in ours are ASCII, and there are no fractions."""
    content = export.read(name)
    try:
        value = json.loads(content, parse_float=no_number, parse_constant=no_number, parse_int=whole_number)
        again = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise Wrong(name, "is not JSON, or holds numbers that readers do not agree about") from None
    if again != content:
        raise Wrong(name, "is not canonical JSON (RFC 8785)")
    return value


def no_number(_: str) -> None:
    raise ValueError


def whole_number(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) >= 2**53:
        raise ValueError
    return int(digits)


def member(value: Any, name: str, kind: type[T], where: str) -> T:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind) or (isinstance(found, bool) and kind is int):
        raise Wrong(where, f"lacks {name}, or it is not what it should be")
    return found


def identifier(value: Any, name: str, where: str) -> str:
    """A UUID as it is written."""
    text = member(value, name, str, where)
    if re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.ASCII) is None:
        raise Wrong(where, f"{name} is not a UUID")
    return text


def uuid_bytes(uuid: str) -> bytes:
    return bytes.fromhex(uuid.replace("-", ""))


def integer(value: Any, name: str, most: int, where: str) -> int:
    found = member(value, name, int, where)
    if not 0 <= found <= most:
        raise Wrong(where, f"{name} is out of range")
    return found


def moment(value: Any, name: str, where: str) -> int:
    """Microseconds since 2000-01-01T00:00:00Z."""
    text = member(value, name, str, where)
    is_written_so = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text, re.ASCII)
    try:
        at = datetime.fromisoformat(text[:-1] if is_written_so else "")
    except ValueError:
        raise Wrong(where, f"{name} is not a moment such as 2026-03-02T09:15:30.123456Z") from None
    return (at - YEAR_2000) // MICROSECOND


def read_event(told: Any) -> Event:
    """The envelope of layout 1 without its end, which is the SHA-256 of the sealed bytes."""
    where = "events.json"
    position = integer(told, "position", 2**53 - 1, where)
    if position == 0:
        raise Wrong(where, "positions are numbered from 1")
    stream_id, patient_id = identifier(told, "stream_id", where), identifier(told, "patient_id", where)
    version, patient_seq = (integer(told, name, 2**31 - 1, where) for name in ("version", "patient_seq"))
    stored = member(told, "type", str, where).encode("utf-8", "replace")
    precision = member(told, "occurred_precision", str, where)
    if precision not in ("Y", "M", "D", "I"):
        raise Wrong(where, "occurred_precision is not Y, M, D or I")
    recorded = moment(told, "recorded_at", where)
    head = b"".join(
        (
            b"\x01",
            position.to_bytes(8, "big"),
            recorded.to_bytes(8, "big", signed=True),
            uuid_bytes(stream_id),
            version.to_bytes(4, "big"),
            uuid_bytes(patient_id),
            patient_seq.to_bytes(4, "big"),
            len(stored).to_bytes(4, "big"),
            stored,
            moment(told, "occurred_at", where).to_bytes(8, "big", signed=True),
            precision.encode(),
            uuid_bytes(identifier(told, "key_id", where)),
        )
    )
    text = member(told, "text", str, where)
    return Event(position - 1, stream_id, version, patient_id, patient_seq, recorded, text, head)


# --- The checks -------------------------------------------------------------------------------------------------------


class Findings:
    """`holds` and `wrong` are sentences."""

    def __init__(self) -> None:
        self.holds: list[str] = []
        self.wrong: list[str] = []

    def of(self, check: Callable[..., T], *given: Any) -> T | None:
        """What a check found, or None with a sentence in `wrong`."""
        try:
            return check(*given)
        except Wrong as error:
            self.wrong.append(str(error))
            return None


def check_export(export: Export, elsewhere: Key | None, kept: bytes | None) -> Findings:
    findings = Findings()
    own = findings.of(check_key, export, elsewhere, findings)
    key = elsewhere or own
    log = findings.of(check_checkpoint, export, key, findings) if key else None
    if key is None or log is None:
        return findings
    heads = findings.of(check_heads, export, key, log, findings)
    patients = findings.of(check_manifest, export, key, log, heads, findings) if heads else None
    events = findings.of(check_listing, export, findings)
    if events is not None:
        check_events(export, events, log, findings)
    if heads is not None and patients is not None and events is not None:
        check_completeness(export, patients, events, heads, findings)
    findings.of(check_growth, export, key, log, kept, findings)
    return findings


def check_key(export: Export, elsewhere: Key | None, findings: Findings) -> Key:
    key = parse_key(export.read("key").decode("utf-8", "replace"), "key")
    if elsewhere is None:
        findings.holds.append(
            f"The key of the log is {shown(str(key))}. It came with the export: compare it with a copy from elsewhere."
        )
    elif elsewhere != key:
        told = f"is not the key that you gave ({shown(str(elsewhere))})"
        is_same = elsewhere.public == key.public
        raise Wrong("key", f"{told}, but the same one {of_another(key.name)}" if is_same else told)
    else:
        findings.holds.append("The key of the log is the one that you gave.")
    return key


def check_checkpoint(export: Export, key: Key, findings: Findings) -> Tree:
    log = open_tree(export.read("checkpoint"), key, "checkpoint")
    findings.holds.append(f"The checkpoint is signed: {log.size:,} events in the log {shown(log.origin)}.")
    return log


class Heads(NamedTuple):
    """The signed tree of heads, as bytes and as read, and the key that signs exports."""

    note: bytes
    tree: Tree
    exports: Key


def check_heads(export: Export, key: Key, log: Tree, findings: Findings) -> Heads:
    note = export.read("heads")
    tree = open_tree(note, key.called("heads"), "heads")
    told = [line.partition(" ") for line in tree.further]
    if [name for name, _, _ in told] != ["log", "exports"]:
        raise Wrong("heads", "does not say the size of the log and the key that signs exports")
    size = strict_number(told[0][2], "heads")
    if size != log.size:
        raise Wrong(
            "heads",
            f"is of a log of {size:,} events, the checkpoint of {log.size:,}: one of them is older, and what was "
            "recorded between them could be left out",
        )
    exports = parse_key(told[1][2], "heads")
    if exports.name != f"{key.name}/exports":
        raise Wrong("heads", "the key that signs exports has a name of another log")
    findings.holds.append(f"The heads of {tree.size:,} patients at that checkpoint are signed.")
    return Heads(note, tree, exports)


def check_manifest(export: Export, key: Key, log: Tree, heads: Heads, findings: Findings) -> list[Patient]:
    note = open_note(export.read("manifest.note"), heads.exports, "manifest.note")
    digest = to_base64(sha256(export.read("manifest.json")).digest())
    if note.lines != [heads.exports.name, digest]:
        raise Wrong("manifest.json", "is not the one that was signed: it was altered")
    manifest = read_json(export, "manifest.json")
    expected = {
        "format": FORMAT,
        "filters": [],
        "keys": [str(key), str(key.called("heads")), str(heads.exports)],
        "checkpoint": tree_told(log),
        "heads": tree_told(heads.tree),
    }
    for name, value in expected.items():
        if member(manifest, name, object, "manifest.json") != value:
            raise Wrong("manifest.json", f"{name} is not what this version of verify.py and the other files say")
    check_files(export, member(manifest, "files", dict, "manifest.json"), findings)
    patients = [read_patient(each) for each in member(manifest, "patients", list, "manifest.json")]
    if identifier(manifest, "asked_for", "manifest.json") not in [patient.patient_id for patient in patients]:
        raise Wrong("manifest.json", "the patient who was asked for is not among those that it names")
    return patients


def tree_told(tree: Tree) -> dict[str, Any]:
    return {"origin": tree.origin, "size": tree.size, "root": to_base64(tree.root)}


def check_files(export: Export, listed: dict[str, Any], findings: Findings) -> None:
    before = len(findings.wrong)
    for name in sorted(export.names - NOT_LISTED - listed.keys()):
        findings.wrong.append(str(Wrong(name, "is in the export but not in its manifest: it was added")))
    for name in sorted(listed):
        findings.of(check_file, export, name, listed[name])
    if len(findings.wrong) == before:
        findings.holds.append("The manifest is signed, and every file is the one that it lists.")


def check_file(export: Export, name: str, digest: Any) -> None:
    if sha256(export.read(name)).hexdigest() != digest:
        raise Wrong(name, "is not the file that the manifest lists: it was altered")


def read_patient(told: Any) -> Patient:
    where = "manifest.json"
    return Patient(identifier(told, "patient_id", where), integer(told, "events", 2**31 - 1, where))


def check_listing(export: Export, findings: Findings) -> list[Event]:
    """Events in the order of the log, each with exactly the files that it should have."""
    told = read_json(export, "events.json")
    if not isinstance(told, list):
        raise Wrong("events.json", "is not a list")
    events = [read_event(each) for each in told]
    numbers = [event.number for event in events]
    if numbers != sorted(set(numbers)):
        raise Wrong("events.json", "is not in the order of the log, or names an event twice")
    texts = [event.number for event in events if event.text == "included"]
    for folder, ending, wanted in (
        ("leaves", ".leaf", numbers),
        ("proofs", ".tlog-proof", numbers),
        ("ciphertexts", ".bin", numbers),
        ("payloads", ".jsonl", texts),
    ):
        for number in sorted(export.numbers(folder, ending) ^ set(wanted)):
            there = "is missing" if number in wanted else "is here, but events.json does not list it"
            findings.wrong.append(str(Wrong(f"{folder}/{number}{ending}", there)))
    return events


def check_events(export: Export, events: list[Event], log: Tree, findings: Findings) -> None:
    before = len(findings.wrong)
    note = export.read("checkpoint")
    for event in events:
        findings.of(check_event, export, event, log, note)
        findings.of(check_text, export, event)
    if len(findings.wrong) == before:
        findings.holds.append(f"Each of {len(events):,} events is in the log, as it is here and at its place.")
    texts = sum(event.text == "included" for event in events)
    findings.holds.append(
        f"Of {texts:,} events the words are given. That they are what the sealed bytes say is the signed word of "
        "whoever runs the log; it is not proved: see README.md."
    )


def check_event(export: Export, event: Event, log: Tree, note: bytes) -> None:
    leaf = export.read(f"leaves/{event.number}.leaf")
    if leaf != event.envelope(export.read(f"ciphertexts/{event.number}.bin")):
        raise Wrong(f"leaves/{event.number}.leaf", "is not made of what events.json and the sealed bytes say")
    where = f"proofs/{event.number}.tlog-proof"
    proof = parse_proof(export.read(where), where)
    if proof.place != event.number:
        raise Wrong(where, "is of another place in the log")
    check_inclusion(proof, hash_leaf(leaf), log, note, where)


def check_inclusion(proof: Proof, leaf: bytes, tree: Tree, note: bytes, where: str) -> None:
    if proof.note != note:
        raise Wrong(where, "rests on another signed note than the export")
    if proof.place >= tree.size:
        raise Wrong(where, "is of a place that the tree does not have")
    if root_by_inclusion(leaf, proof.place, tree.size, proof.hashes) != tree.root:
        raise Wrong(where, "does not lead to the signed root: the leaf or the proof was altered, or it never was there")


def check_text(export: Export, event: Event) -> None:
    """All that can be told of a text without the patient's key: that it has the length of what was sealed."""
    if event.text != "included":
        return
    where = f"payloads/{event.number}.jsonl"
    text = export.read(where)
    if len(text) + SEAL_BYTES != len(export.read(f"ciphertexts/{event.number}.bin")):
        raise Wrong(where, "has not the length of what was sealed")
    try:
        fact, provenance = (json.loads(line) for line in text.split(b"\n"))
        is_read = isinstance(fact, dict) and isinstance(provenance, dict)
    except (ValueError, RecursionError):
        is_read = False
    if not is_read:
        raise Wrong(where, "is not two lines of JSON, the fact and its provenance")


def check_completeness(
    export: Export, patients: list[Patient], events: list[Event], heads: Heads, findings: Findings
) -> None:
    before = len(findings.wrong)
    findings.of(check_order, events)
    for stranger in {event.patient_id for event in events} - {patient.patient_id for patient in patients}:
        findings.wrong.append(str(Wrong("manifest.json", f"does not name the patient {stranger}")))
    for patient in patients:
        of_patient = [event for event in events if event.patient_id == patient.patient_id]
        findings.of(check_patient, export, patient, of_patient, heads)
    if len(findings.wrong) == before:
        told = ", ".join(f"{patient.events:,} of patient {patient.patient_id}" for patient in patients[:MOST_TOLD])
        findings.holds.append(f"Nothing is left out: the signed heads count exactly these events, {told}.")


def check_order(events: list[Event]) -> None:
    """Times follow positions, and each stream's versions are dense."""
    recorded = [event.recorded for event in events]
    if recorded != sorted(recorded):
        raise Wrong("events.json", "an event is said to be recorded before one that stands before it in the log")
    versions: dict[str, int] = {}
    for event in events:
        versions[event.stream_id] = versions.get(event.stream_id, 0) + 1
        if event.version != versions[event.stream_id]:
            raise Wrong("events.json", f"the versions of the stream {event.stream_id} are not 1, 2, 3 …")


def check_patient(export: Export, patient: Patient, events: list[Event], heads: Heads) -> None:
    found = [event.patient_seq for event in events]
    missing = sorted(set(range(1, min(patient.events, MOST_FILES) + 1)) - set(found))
    if missing:
        told = ", ".join(map(str, missing[:MOST_TOLD]))
        raise Wrong("events.json", f"of patient {patient.patient_id} these events are left out: {told}")
    if found != list(range(1, len(found) + 1)):
        raise Wrong("events.json", f"the events of patient {patient.patient_id} are not 1, 2, 3 … in this order")
    leaves = [hash_leaf(export.read(f"leaves/{event.number}.leaf")) for event in events]
    entry = uuid_bytes(patient.patient_id) + len(leaves).to_bytes(4, "big") + hash_tree(leaves)
    where = f"patients/{patient.patient_id}.entry"
    told_entry = export.read(where)
    if told_entry != entry:
        count = int.from_bytes(told_entry[16:20], "big")
        raise Wrong(where, f"counts {count:,} events; here are {len(leaves):,}, or they are not the same ones")
    where = f"patients/{patient.patient_id}.tlog-proof"
    check_inclusion(parse_proof(export.read(where), where), hash_leaf(entry), heads.tree, heads.note, where)


def check_growth(export: Export, key: Key, log: Tree, kept: bytes | None, findings: Findings) -> None:
    """From the older checkpoint in the export, and the one that the auditor kept, to the export's own."""
    older = None
    if "checkpoint.old" in export.names:
        older = open_tree(export.read("checkpoint.old"), key, "checkpoint.old")
        check_consistency(older, log, read_consistency(export))
        findings.holds.append(f"The log has only grown since it had {older.size:,} events (checkpoint.old).")
    elif "consistency" in export.names:
        raise Wrong("consistency", "is here without the older checkpoint that it begins with")
    if kept is not None:
        check_kept(open_tree(kept, key, KEPT), log, older)
        findings.holds.append("The checkpoint that you kept is of this same log.")


def check_kept(kept: Tree, log: Tree, older: Tree | None) -> None:
    same = [tree for tree in (log, older) if tree is not None and tree.size == kept.size]
    if any(tree.root != kept.root for tree in same):
        raise Wrong(
            KEPT,
            f"FORK: of the same {kept.size:,} events you were shown another history than the one this export rests on, "
            "and both are signed",
        )
    if not same:
        told = "is newer than this export" if kept.size > log.size else "has no consistency proof in this export"
        raise Wrong(KEPT, f"{told} ({kept.size:,} events): ask for an export that goes from there")


def read_consistency(export: Export) -> list[bytes]:
    content = export.read("consistency")
    lines = strict_text(content, "consistency")[:-1].split("\n") if content else []
    return [strict_hash(line, "consistency") for line in lines]


def check_consistency(older: Tree, log: Tree, proof: list[bytes]) -> None:
    if older.size > log.size:
        raise Wrong("checkpoint.old", "is newer than the checkpoint of the export")
    if older.size in (0, log.size):
        if proof or older.root != (log.root if older.size else sha256(b"").digest()):
            raise Wrong("consistency", f"FORK: two roots of {older.size:,} events are signed, or the proof is too long")
    elif roots_by_consistency(older.size, log.size, older.root, proof) != (older.root, log.root):
        raise Wrong(
            "consistency",
            "does not lead from the older checkpoint to the newer one: the proof was altered, or what was in the log "
            "is no longer there",
        )


# --- The command ------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check an evidence export offline.")
    parser.add_argument("export", type=Path, help="the zip, or the folder into which it was unpacked")
    parser.add_argument("--key", help="the log's verifier key from elsewhere, or a file that holds it")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint that you kept from an earlier day")
    given = parser.parse_args(arguments)
    try:
        findings = check_export(open_export(given.export), key_elsewhere(given.key), content_of(given.checkpoint))
    except (Unreadable, Wrong) as error:
        return say([f"Cannot be checked: {error}"], 2)
    except ImportError:
        return say(["Cannot be checked: the package `cryptography` is missing (pip install cryptography)"], 2)
    except Exception as error:  # noqa: BLE001 whatever hostile input brings about must not look like an answer
        return say([f"Cannot be checked: the export is not well-formed ({type(error).__name__})"], 2)
    told = [f"holds  {each}" for each in findings.holds] + [f"WRONG  {each}" for each in findings.wrong[:MOST_TOLD]]
    if findings.wrong:
        return say([*told, f"NOT PROVED: {len(findings.wrong):,} thing(s) do not hold."], 1)
    condition = "" if given.key else "if the key above is the log's, "
    return say([*told, f"PROVED: {condition}this is the complete record as it stood at the checkpoint."], 0)


def key_elsewhere(told: str | None) -> Key | None:
    if told is None:
        return None
    is_file = "+" not in told or Path(told).is_file()
    text = (content_of(Path(told)) or b"").decode("utf-8", "replace") if is_file else told
    return parse_key(text, "--key")


def content_of(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES_OF_NOTE + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"{shown(str(path))} cannot be read ({type(error).__name__})") from None


def say(lines: list[str], code: int) -> int:
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    return code


if __name__ == "__main__":
    sys.exit(main())
