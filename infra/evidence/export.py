"""An evidence export: everything with which an outsider checks one person's record offline (docs/evidence-export.md).

Pure: what is given has been read, and what comes back is files by name. Whether the words of an event go with it is
decided by whoever calls.
"""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from infra.evidence.canonical import canonical
from infra.evidence.checkpoints import Checkpoint, open_checkpoint, write_proof
from infra.evidence.envelopes import Stored, envelope
from infra.evidence.heads import Head, HeadProofs, SignedHeads, heads_of, heads_verifier, open_heads
from infra.evidence.merkle import (
    ProofRefused,
    Reader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from infra.evidence.notes import Signer, Verifier, to_base64

FORMAT = "cancer-plan-evidence/1"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class EvidenceBroken(Exception):
    """What is stored does not agree with itself; the message says where. Nothing is exported then."""


class Older(NamedTuple):
    """An earlier checkpoint of the log: the note as it was signed, and its size."""

    note: bytes
    size: int


class Signed(NamedTuple):
    """What the log has signed, and for which key: a checkpoint and the heads of the same size, and an older
    checkpoint where the auditor named one."""

    log: Verifier
    checkpoint: bytes
    heads: bytes
    older: Older | None = None


class Text(NamedTuple):
    """The words of an event. `standing` is included, withheld (from this reader), destroyed (with the key), or clear
    (never sealed: what is stored is the words); `opened` is what was sealed, empty unless included."""

    standing: str
    opened: bytes = b""


class Record(NamedTuple):
    """One person: the patient who was asked about, and all events of the patients who are that person, in the order of
    the log up to the checkpoint, with the text of each by position."""

    asked: UUID
    events: Sequence[Stored]
    texts: Mapping[int, Text]


class Account(NamedTuple):
    """Who made the export: when, in which role, with which version, and the events that the log had by then."""

    made_at: datetime
    role: str
    version: str
    log_size: int


def export_files(
    signed: Signed,
    record: Record,
    reports: Callable[[], Mapping[str, bytes]],
    proofs: HeadProofs,
    read: Reader,
    account: Account,
    signer: Signer,
) -> dict[str, bytes]:
    """All files by name. `reports` gives those that people read, when all else is there; `read` gives nodes of the
    log's tree; `signer` is the key that signs exports.

    Every proof is checked before it is given away: raises EvidenceBroken where one does not hold, NoteRefused.
    """
    log = open_checkpoint(signed.checkpoint, [signed.log])
    heads = open_heads(signed.heads, signed.log)
    if heads.log_size != log.size:
        raise EvidenceBroken(f"heads of {heads.log_size} events go with a checkpoint of {log.size}")
    heads_here = _heads(record)
    files = {
        "README.md": _beside("export_readme.md"),
        "verify.py": _beside("verify.py"),
        "key": f"{signed.log}\n".encode(),
        "checkpoint": signed.checkpoint,
        "heads": signed.heads,
        "events.json": canonical([_told(event, record.texts[event.position].standing) for event in record.events]),
        **_of_events(record, log, signed.checkpoint, read),
        **_of_patients(heads_here, signed.heads, heads.tree, proofs),
        **_of_growth(signed, log, read),
        **reports(),
    }
    keys = [signed.log, heads_verifier(signed.log), signer.verifier]
    manifest = canonical(_manifest(record, heads_here, log, heads, account, keys, files))
    return {**files, "manifest.json": manifest, "manifest.note": sign_manifest(signer, manifest)}


def _manifest(
    record: Record,
    heads_here: Sequence[Head],
    log: Checkpoint,
    heads: SignedHeads,
    account: Account,
    keys: Sequence[Verifier],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_at": _moment(account.made_at),
        "made_by": account.version,
        "role": account.role,
        "asked_for": str(record.asked),
        "patients": [{"patient_id": str(head.patient_id), "events": head.events} for head in heads_here],
        "filters": [],
        "events": len(record.events),
        "log_events_when_made": account.log_size,
        "keys": list(map(str, keys)),
        "checkpoint": told_tree(log),
        "heads": told_tree(heads.tree),
        "files": {name: sha256(content).hexdigest() for name, content in files.items()},
    }


def sign_manifest(signer: Signer, manifest: bytes) -> bytes:
    """A note of two lines: the name of the key, and the SHA-256 of the manifest's bytes."""
    return signer.sign(f"{signer.name}\n{to_base64(sha256(manifest).digest())}\n")


def told_tree(tree: Checkpoint) -> dict[str, Any]:
    return {"origin": tree.origin, "size": tree.size, "root": to_base64(tree.root)}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The same files give the same bytes. Sealed bytes do not compress, and the rest is small."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, file in files.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file)
    return content.getvalue()


def _of_events(record: Record, log: Checkpoint, note: bytes, read: Reader) -> dict[str, bytes]:
    files = {}
    for event in record.events:
        number = event.position - 1
        leaf = envelope(event)
        if leaf_hash(leaf) != event.leaf_hash:
            raise EvidenceBroken(f"the leaf at position {event.position} is not that of the event stored there")
        proof = inclusion_proof(number, log.size, read)
        with _held(f"the event at position {event.position} is not in the signed log"):
            verify_inclusion(event.leaf_hash, number, log.size, proof, log.root)
        files[f"leaves/{number}.leaf"] = leaf
        files[f"proofs/{number}.tlog-proof"] = write_proof(number, proof, note)
        files[f"ciphertexts/{number}.bin"] = event.payload
        text = record.texts[event.position]
        if text.standing == "included":
            files[f"payloads/{number}.jsonl"] = text.opened
    return files


def _of_patients(heads: Sequence[Head], note: bytes, tree: Checkpoint, proofs: HeadProofs) -> dict[str, bytes]:
    files = {}
    for head in heads:
        with _held(f"the heads have other events of patient {head.patient_id} than the log"):
            place, hashes = proofs.proof(head)
            verify_inclusion(leaf_hash(head.entry()), place, tree.size, hashes, tree.root)
        files[f"patients/{head.patient_id}.entry"] = head.entry()
        files[f"patients/{head.patient_id}.tlog-proof"] = write_proof(place, hashes, note)
    return files


@contextmanager
def _held(otherwise: str) -> Iterator[None]:
    try:
        yield
    except (ProofRefused, ValueError):
        raise EvidenceBroken(otherwise) from None


def _heads(record: Record) -> list[Head]:
    in_order = sorted(record.events, key=lambda event: (event.patient_id, event.patient_seq))
    return list(heads_of((event.patient_id.bytes, event.leaf_hash) for event in in_order if event.patient_id))


def _of_growth(signed: Signed, log: Checkpoint, read: Reader) -> dict[str, bytes]:
    if signed.older is None:
        return {}
    old = open_checkpoint(signed.older.note, [signed.log])
    proof = consistency_proof(old.size, log.size, read)
    with _held(f"the log is not one that grew from its checkpoint of {old.size} events"):
        verify_consistency(old.size, log.size, proof, old.root, log.root)
    lines = "".join(f"{to_base64(each)}\n" for each in proof)
    return {"checkpoint.old": signed.older.note, "consistency": lines.encode()}


def _told(event: Stored, text: str) -> dict[str, Any]:
    """Everything of the envelope except the hash of the sealed bytes, which are a file of their own."""
    return {
        "position": event.position,
        "recorded_at": _moment(event.recorded_at),
        "stream_id": str(event.stream_id),
        "version": event.version,
        "patient_id": str(event.patient_id),
        "patient_seq": event.patient_seq,
        "type": event.type,
        "occurred_at": _moment(event.occurred_at),
        "occurred_precision": event.occurred_precision,
        "key_id": str(event.key_id or UUID(int=0)),
        "text": text,
    }


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


@cache
def _beside(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()
