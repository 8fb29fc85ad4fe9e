"""Signers over a folder, and what a superuser who means ill can do to a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.evidence.notes import Signer, Verifier
from infra.evidence.outside import Outside
from infra.evidence.signer import LogSigner, Signed, log_names
from infra.evidence.tiles import LogName
from tests.conftest import Database

NAME = "pathway.example/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIERS = [Signer(name, PRIVATE).verifier for name in log_names(NAME).values()]

# Events as they might be, without anyone's words: numbers %s to %s, ten to a patient, five to a stream.
_FILL = """
    insert into log.events
    select n, t, s, v, p, q, 'pathway.opened.v1', t, 'I', b, k,
           log.leaf(n, t, s, v, p, q, 'pathway.opened.v1', t, 'I', b, k)
      from generate_series(%s::bigint, %s::bigint) as n,
           lateral (select timestamptz '2026-03-01' + n * interval '1 second' as t,
                           md5('stream' || (n - 1) / 5)::uuid as s, ((n - 1) %% 5 + 1)::integer as v,
                           md5('patient' || (n - 1) / 10)::uuid as p, ((n - 1) %% 10 + 1)::integer as q,
                           decode(md5(n::text), 'hex') as b, md5('key' || (n - 1) / 10)::uuid as k) as made
     order by n"""


def fill(database: Database, first: int, last: int) -> None:
    """Events `first` to `last`, as the owner may insert them."""
    with database.connect("owner") as owner:
        owner.execute(_FILL, [first, last])


def signer(folder: Path, log: LogName = LogName.EVENTS, private: Ed25519PrivateKey = PRIVATE) -> LogSigner:
    return LogSigner(log, log_names(NAME)[log], private, Outside(folder, log))


def signed(database: Database, folder: Path, log: LogName = LogName.EVENTS) -> Signed:
    """The checkpoint of a log that is not empty."""
    with database.connect("sealer") as sealer:
        made = signer(folder, log).sign(sealer)
    assert made is not None
    return made


def verifier(log: LogName = LogName.EVENTS) -> Verifier:
    return Signer(log_names(NAME)[log], PRIVATE).verifier


@contextmanager
def tampering(database: Database) -> Iterator["psycopg.Connection[Any]"]:
    """A superuser for whom no trigger fires and no constraint of a foreign key holds."""
    with psycopg.connect(database.url("postgres"), autocommit=True) as superuser:
        superuser.execute("set session_replication_role = replica")
        yield superuser
