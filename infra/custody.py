"""How the keys stand: what wraps them, and which are destroyed or about to be."""

from typing import Any, NamedTuple

import psycopg

from infra.keys import KeyVersion, ManagedKeyProvider

Connection = psycopg.Connection[Any]

MISSING = "missing"
_UNDER = "select log.key_version(wrapped), count(*) from log.keys group by 1"
_MONTHS_UNDER = "select log.key_version(wrapped), count(*) from log.monthly_keys group by 1"


class Version(NamedTuple):
    """A version of the key-encryption key and how many keys it wraps. `state`: current, open, retired, or missing
    where keys are wrapped by a version that the provider does not have."""

    version: str
    state: str
    since: Any
    patients: int
    months: int


class Status(NamedTuple):
    versions: list[Version]


def status(connection: Connection, provider: ManagedKeyProvider) -> Status:
    """`connection` of role custodian. Raises KeyUnusable, psycopg.Error."""
    patients = dict(connection.execute(_UNDER).fetchall())
    months = dict(connection.execute(_MONTHS_UNDER).fetchall())
    known = provider.versions()
    lost = sorted({*patients, *months} - {each.name for each in known})
    versions = [*known, *(KeyVersion(name, MISSING, None) for name in lost)]
    return Status([Version(*each, patients.get(each.name, 0), months.get(each.name, 0)) for each in versions])
