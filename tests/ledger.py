"""A small log in memory, signed and exportable, for tests of what an outsider gets and checks."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.evidence.checkpoints import sign_checkpoint
from infra.evidence.envelopes import Stored, envelope
from infra.evidence.export import Account, Older, Record, Signed, Text, export_files
from infra.evidence.heads import GROUP, HeadProofs, heads_of, indexed, sign_heads
from infra.evidence.merkle import Tree, leaf_hash
from infra.evidence.notes import Signer

ORIGIN = "pathway.example/log"
BEGAN = datetime(2026, 3, 2, 9, 15, 30, 123456, tzinfo=UTC)
TEXT = b'{"concern":"work"}\n{"source":"/nhs/england/RXX/pas/test"}'
_NAMES = UUID("5b0c1f0e-8a9d-4e53-9a67-0f1de0a5c9d1")


def signer(name: str = ORIGIN, seed: str = "log") -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest()))


EXPORTS = signer(f"{ORIGIN}/exports", "exports")


def person(name: str) -> UUID:
    return uuid5(_NAMES, name)


REPORTS = {"report.html": b"<!doctype html>", "report.pdf": b"%PDF-1.7"}


class Ledger(NamedTuple):
    """Events in order, each of (patient, stream); `key` signs for the log."""

    events: tuple[Stored, ...]
    key: Signer = signer()

    @property
    def tree(self) -> Tree:
        return Tree(event.leaf_hash for event in self.events)

    def at(self, size: int) -> "Ledger":
        return self._replace(events=self.events[:size])

    def checkpoint(self) -> bytes:
        return sign_checkpoint(self.key, len(self.events), self.tree.root())

    def entries(self) -> list[bytes]:
        rows = [(event.patient_id.bytes, event.leaf_hash) for event in self.events if event.patient_id]
        return [head.entry() for head in heads_of(sorted(rows, key=itemgetter(0)))]

    def heads(self, exports: Signer = EXPORTS) -> bytes:
        index, heads_root = indexed(self.entries())
        return sign_heads(self.key, index.size, heads_root, len(self.events), exports.verifier)

    def proofs(self) -> HeadProofs:
        entries = self.entries()
        groups = {at // GROUP: entries[at : at + GROUP] for at in range(0, len(entries), GROUP)}
        return HeadProofs(indexed(entries)[0], groups)

    def record(self, *patients: UUID, text: str = "included") -> Record:
        events = [event for event in self.events if event.patient_id in patients]
        opened = TEXT if text == "included" else b""
        return Record(patients[0], events, {event.position: Text(text, opened) for event in events})

    def export(self, *patients: UUID, older: int | None = None, text: str = "included") -> dict[str, bytes]:
        named = None if older is None else Older(self.at(older).checkpoint(), older)
        signed = Signed(self.key.verifier, self.checkpoint(), self.heads(), named)
        account = Account(BEGAN + timedelta(days=1), "auditor", "0.1.0", len(self.events))
        record = self.record(*patients, text=text)
        return export_files(signed, record, lambda: REPORTS, self.proofs(), self.tree.read, account, EXPORTS)


def ledger(happenings: Sequence[tuple[str, str]], key: Signer | None = None) -> Ledger:
    """From (name of a patient, name of one of their streams), recorded a second after each other."""
    events: list[Stored] = []
    for position, (patient, stream) in enumerate(happenings, start=1):
        stream_id = uuid5(person(patient), stream)
        version = 1 + sum(event.stream_id == stream_id for event in events)
        seq = 1 + sum(event.patient_id == person(patient) for event in events)
        at = BEGAN + timedelta(seconds=position)
        events.append(
            sealed(
                position=position, recorded_at=at, stream_id=stream_id, version=version, patient_id=person(patient),
                patient_seq=seq, type="care-plan.need-raised.v1", occurred_at=at - timedelta(days=position),
                occurred_precision="D", payload=b"nonce.12byte" + bytes(len(TEXT)) + b"tag: 16 bytes...",
                key_id=person(f"key of {patient}"), leaf_hash=b"",
            )
        )  # fmt: skip
    return Ledger(tuple(events), key or signer())


def sealed(**columns: Any) -> Stored:
    event = Stored(**columns)
    return event._replace(leaf_hash=leaf_hash(envelope(event)))
