"""Whether this installation can work: each part tried as the process that needs it would, and said in one line."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import psycopg
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from infra.custody.agreement import refuse_unapplied
from infra.custody.ledger import LedgerBroken
from infra.custody.providers import key_provider, ledger
from infra.custody.rotation import CustodyRefused
from infra.evidence import signing_key
from infra.keys import RETIRED, KeyRing, KeyUnusable
from infra.migrate import pending
from infra.settings import Role, Settings, SettingsError

_SECONDS = 5
Issued: TypeAlias = Literal["patient", "staff", "system"]
_ISSUED: tuple[Issued, ...] = ("patient", "staff", "system")


_LOST = """select count(*) filter (where k.patient_id is null), count(*)
              from log.patient_heads h left join log.keys k using (patient_id)
             where not exists (select from log.destructions d
                                where d.patient_id = h.patient_id and d.carried_out_at is not null)"""


class Check(NamedTuple):
    """`detail` says what was found, or what to do."""

    what: str
    passed: bool
    detail: str


class _NotSo(Exception):
    """A check found something else than it should; the text says what."""


def checks(settings: Settings) -> Iterable[Check]:
    """One at a time, so that a slow one shows which it is."""
    for role in Role:
        yield _tried(f"database as {role}", partial(_connects, settings, role))
    yield _tried("migrations", partial(_is_migrated, settings))
    yield _tried("key file", partial(_has_keys, settings))
    yield _tried("checkpoint key", partial(_has_signing_key, settings))
    yield _tried("retired keys", partial(_is_of_this_database, settings))
    yield _tried("destroyed keys", partial(_are_destroyed, settings))
    yield _tried("patients' keys", partial(_are_there, settings))
    yield _tried("kafka", partial(_has_broker, settings))
    for of in _ISSUED:
        yield _tried(f"issuer of {of} tokens", partial(_has_issuer, settings, of))


def _tried(what: str, attempt: Callable[[], str]) -> Check:
    try:
        return Check(what, True, attempt())
    except (SettingsError, KeyUnusable, CustodyRefused, LedgerBroken, _NotSo) as error:
        return Check(what, False, str(error))
    except psycopg.Error as error:
        return Check(what, False, f"PostgreSQL does not answer ({type(error).__name__}); is it running?")
    except KafkaError as error:
        return Check(what, False, f"Kafka does not answer ({type(error).__name__}); is it running?")


def _connects(settings: Settings, role: Role) -> str:
    with psycopg.connect(settings.database_url(role), connect_timeout=_SECONDS) as connection:
        row = connection.execute("select current_user, current_setting('server_version')").fetchone()
    if row is None:
        raise _NotSo("no answer")
    return f"{row[0]}, PostgreSQL {row[1].split()[0]}"


def _is_migrated(settings: Settings) -> str:
    with psycopg.connect(settings.database_url(Role.OWNER), connect_timeout=_SECONDS) as connection:
        missing = pending(connection)
    if missing:
        raise _NotSo(f"{len(missing)} not applied; run `python -m infra migrate`")
    return "all applied"


def _has_keys(settings: Settings) -> str:
    standing = [each.name for each in key_provider(settings).versions() if each.state != RETIRED]
    if settings.key_provider == "file" and settings.key_encryption_file().stat().st_mode & 0o077:
        raise _NotSo(f"others may read it: chmod 600 {settings.key_encryption_file()}")
    if len(standing) > 1:
        return f"{', '.join(standing)}: finish the rotation with `python -m infra keys rotate`"
    return f"version {standing[0]}"


def _has_signing_key(settings: Settings) -> str:
    path = settings.signing_key_file()
    signing_key.read(path)
    if path.stat().st_mode & 0o077:
        raise _NotSo(f"others may read it: chmod 600 {path}")
    return str(path)


def _is_of_this_database(settings: Settings) -> str:
    """A key file from before a rotation would wrap what nobody can open again."""
    with psycopg.connect(settings.database_url(Role.CUSTODIAN), connect_timeout=_SECONDS) as custodian:
        retired = {row[0] for row in custodian.execute("select version from log.retired_key_versions")}
    revived = retired & {each.name for each in key_provider(settings).versions() if each.state != RETIRED}
    if revived:
        raise _NotSo(f"version {', '.join(sorted(revived))} was retired: this is an old copy of the key file")
    return f"{len(retired)} versions retired"


def _are_destroyed(settings: Settings) -> str:
    told = ledger(settings)
    with psycopg.connect(settings.database_url(Role.CUSTODIAN), connect_timeout=_SECONDS) as custodian:
        refuse_unapplied(custodian, told)
    return f"{len(told.destructions())}, none of them back"


def _are_there(settings: Settings) -> str:
    """What a missing key sealed would read as if it had been destroyed. One is tried, for a key file of elsewhere has
    versions of the same names."""
    with psycopg.connect(settings.database_url(Role.AUDITOR), connect_timeout=_SECONDS) as auditor:
        lost, of = auditor.execute(_LOST).fetchone() or (0, 0)
        newest = auditor.execute("select key_id, wrapped from log.keys order by created_at desc limit 1").fetchone()
    if newest is not None:
        KeyRing(key_provider(settings)).unwrap(*newest)
    if lost:
        raise _NotSo(f"those of {lost} people are gone, and nobody destroyed them: bring them back from a backup")
    return f"of {of} people, none missing"


def _has_broker(settings: Settings) -> str:
    admin = KafkaAdminClient(**settings.kafka(), bootstrap_timeout_ms=_SECONDS * 1000)
    try:
        topics = set(admin.list_topics())
    finally:
        admin.close()
    wanted = {settings.events_topic, settings.signals_topic, settings.checkpoints_topic}
    if not wanted <= topics:
        raise _NotSo(f"topics missing: {', '.join(sorted(wanted - topics))}")
    return f"{len(wanted)} topics"


def _has_issuer(settings: Settings, of: Issued) -> str:
    issuer = settings.issuer(of)
    return "the local issuer" if issuer is None else issuer.issuer
