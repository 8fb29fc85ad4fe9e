"""What the requests of one process share, opened when it starts and closed when it stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import Depends, Request
from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from starlette.concurrency import run_in_threadpool

from api.epochs import Epoch
from api.identity import Identity, trusts
from consumers.pipeline import Pipeline
from domain import cancer_codes
from infra.connections import appending
from infra.custody.agreement import refuse_unapplied
from infra.custody.guarding import Guard
from infra.custody.providers import guard, key_provider, ledger
from infra.evidence import signing_key
from infra.evidence.signer import log_names
from infra.evidence.tiles import LogName
from infra.keys import KeyRing
from infra.settings import Issuer, Role, Settings
from infra.version import version
from infra.writing.log import Log
from infra.writing.metrics import WriteMetrics
from infra.writing.writer import Writer
from projections.reading.accesses import Accesses
from projections.reading.changes import Changes
from projections.reading.evidence import Exports
from projections.reading.reads import Reading

_POOL_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Services:
    """`keys` is for the pool's threads that show and retry rejected messages; reading and writing have their own,
    since a key ring belongs to one thread. `rejections` connects as role writer, `proving` as reader. `epoch` says
    which log this is, `origins` are what its checkpoints call its two parts in their first epoch."""

    settings: Settings
    reading: Reading
    accesses: Accesses
    changes: Changes
    writer: Writer
    pipeline: Pipeline
    identity: Identity
    keys: KeyRing
    rejections: "ConnectionPool[Connection[Any]]"
    proving: "ConnectionPool[Connection[Any]]"
    origins: dict[LogName, str]
    epoch: Epoch
    exports: Exports


@asynccontextmanager
async def opened(
    settings: Settings, metrics: WriteMetrics | None = None, most_connections: int = 10
) -> AsyncIterator[Services]:
    """Raises SettingsError, KeyUnusable, psycopg.Error, PoolTimeout where something that must be there is not;
    Unapplied, LedgerBroken where a restore has brought back what was destroyed."""
    origins = log_names(settings.log_name())
    provider = key_provider(settings)
    with psycopg.connect(settings.database_url(Role.READER)) as reader:
        refuse_unapplied(reader, ledger(settings))
    guarding = guard(settings)
    readers: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        settings.database_url(Role.READER), open=False, min_size=2, max_size=most_connections,
        timeout=_POOL_WAIT_SECONDS, max_waiting=200, kwargs={"autocommit": True},
        configure=guarding.look_async,
    )  # fmt: skip
    writing = settings.database_url(Role.WRITER)
    rejections, proving = _few(writing, guarding), _few(settings.database_url(Role.READER), guarding)
    async with readers:
        await readers.wait()
        keys = KeyRing(provider)
        with rejections, proving:
            read_keys, export_keys = KeyRing(provider), KeyRing(provider)
            writer = Writer(Log(lambda: guarding.opened(lambda: appending(writing)), keys), keys, metrics=metrics)
            writer.heed_destructions_for(read_keys)
            writer.heed_destructions_for(export_keys)
            try:
                yield Services(
                    settings=settings,
                    reading=Reading(readers, read_keys),
                    accesses=Accesses(readers, read_keys),
                    changes=Changes(readers),
                    writer=writer,
                    pipeline=Pipeline(keys, cancer_codes.load()),
                    identity=Identity(trusts(*(_issuer(settings, of) for of in ("patient", "staff", "system")))),
                    keys=KeyRing(provider),
                    rejections=rejections,
                    proving=proving,
                    origins=origins,
                    epoch=Epoch(readers),
                    exports=Exports(proving.connection, export_keys, _export_key(settings), version()),
                )
            finally:
                await run_in_threadpool(writer.close)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def of_request(request: Request) -> Services:
    return services_of(request)


Shared = Annotated[Services, Depends(of_request)]


def _few(url: str, guarding: Guard) -> "ConnectionPool[Connection[Any]]":
    """For what is asked now and then, by threads."""
    return ConnectionPool(
        url, open=False, min_size=0, max_size=2, timeout=_POOL_WAIT_SECONDS, kwargs={"autocommit": True},
        configure=guarding.look,
    )  # fmt: skip


def _issuer(settings: Settings, of: Any) -> Issuer:
    """In development, where none is set, the local issuer vouches for everyone."""
    keys = settings.data_dir / "issuer" / "jwks.json"
    return settings.issuer(of) or Issuer(settings.local_issuer, settings.local_audience, str(keys))


def _export_key(settings: Settings) -> Ed25519PrivateKey:
    path = settings.exports_key_file()
    return signing_key.read_or_make(path) if settings.in_development else signing_key.read(path)
