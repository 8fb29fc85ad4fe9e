"""A database whose log is signed, with heads, and exports made from it."""

import hashlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.evidence import signing_key
from infra.evidence.heads_keeper import HeadsKeeper, MadeHeads
from infra.evidence.notes import Signer
from projections.reading.evidence import Exports, Made
from projections.reading.reads import Reader
from tests.api_world import World
from tests.conftest import Database
from tests.signing import NAME, PRIVATE, signed

EXPORTS = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"exports").digest())
KEY = str(Signer(NAME, PRIVATE).verifier)
AUDITOR = Reader(actor="auditor-1", role="auditor", any_patient=True, purpose="clinical-audit")


def seal(database: Database, folder: Path) -> bytes:
    """Signs what is there and its heads; gives the checkpoint."""
    checkpoint = signed(database, folder)
    make_heads(database, folder)
    return checkpoint.note


def make_heads(database: Database, folder: Path) -> MadeHeads | None:
    checkpoint = signed(database, folder).checkpoint
    with database.connect("sealer") as sealer:
        return keeper().make(sealer, Signer(NAME, PRIVATE), checkpoint)


def seal_world(world: World, folder: Path) -> int:
    """As the sealer of this installation does, which reads the key that the API made; gives the size."""
    checkpoint = signed(world.database, folder / "outside").checkpoint
    public = signing_key.read_public(world.settings.exports_public_file())
    with world.database.connect("sealer") as sealer:
        HeadsKeeper(public).make(sealer, Signer(NAME, PRIVATE), checkpoint)
    return checkpoint.size


def keeper() -> HeadsKeeper:
    return HeadsKeeper(EXPORTS.public_key().public_bytes_raw())


def exports(database: Database, private: Ed25519PrivateKey = EXPORTS) -> Exports:
    def connect() -> AbstractContextManager["psycopg.Connection[Any]"]:
        return database.connect("reader")

    return Exports(connect, database.keys, private, "0.1.0")


def exported(database: Database, patient_id: UUID, **how: Any) -> Made:
    return exports(database).export(patient_id, how.pop("reader", AUDITOR), **how)
