"""Real servers for the tests, each started at its first use and stopped at the end of the session.

A part that is missing on a laptop skips the tests that need it; where `CI` is set it fails them.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from uuid import uuid4

import psycopg
import pytest
import structlog

from infra.children import StartError
from infra.kafka_broker import KafkaBroker, KafkaUnavailable
from infra.keys import FileKeyProvider, KeyRing
from infra.migrate import migrate, prepare
from infra.postgres import EmbeddedPostgres
from infra.settings import Role
from infra.writing.log import Log
from infra.writing.writer import Writer


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that a test runs in this process sends all logs to its own output, which then closes."""
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [each for each in root.handlers if type(each).__module__ == "infra.logging"]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's unprivileged account can reach, which pytest's own `tmp_path` is not for root."""
    folder = Path(tempfile.mkdtemp(prefix="cancer-plan-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server_folder(open_folder: Path) -> Iterator[Path]:
    """A DATA_DIR of its own for one test."""
    folder = Path(tempfile.mkdtemp(dir=open_folder))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """One PostgreSQL server for the session; fast and not durable."""
    server = EmbeddedPostgres(open_folder / "shared", durable=False)
    try:
        server.start()
    except StartError as error:
        _without(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka_broker(open_folder: Path) -> Iterator[KafkaBroker]:
    """One Kafka broker for the session, without topics; a test makes its own under names of its own."""
    broker = KafkaBroker(open_folder / "shared")
    try:
        broker.start()
    except (KafkaUnavailable, StartError) as error:
        _without(str(error))
    yield broker
    broker.stop()


class Database(NamedTuple):
    """A migrated, empty database: `url(role)` for each service role, and a key ring."""

    server: EmbeddedPostgres
    name: str
    keys: KeyRing

    def url(self, role: str) -> str:
        return self.server.url(role, self.name)

    def connect(self, role: str) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.url(role), autocommit=True)

    def log(self) -> Log:
        return Log(lambda: self.connect("writer"), self.keys)


@pytest.fixture(scope="session")
def template(postgres_server: EmbeddedPostgres) -> str:
    with psycopg.connect(postgres_server.url(), autocommit=True) as superuser:
        prepare(superuser, "template_migrated")
    for role in Role:
        postgres_server.set_password(role)
    with psycopg.connect(postgres_server.url("owner", "template_migrated"), autocommit=True) as owner:
        migrate(owner)
    return "template_migrated"


@pytest.fixture(scope="session")
def key_provider(tmp_path_factory: pytest.TempPathFactory) -> FileKeyProvider:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    FileKeyProvider.generate(path)
    return FileKeyProvider(path)


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, template: str, key_provider: FileKeyProvider) -> Iterator[Database]:
    """A database for one test, cloned from the migrated template in some thirty milliseconds."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as superuser:
        superuser.execute(f'create database "{name}" owner owner template {template} strategy file_copy')
        yield Database(postgres_server, name, KeyRing(key_provider))
        superuser.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    with closing(Writer(database.log(), database.keys)) as writer:
        yield writer
