"""Real servers for the tests, each started at its first use and stopped at the end of the session.

A part that is missing on a laptop skips the tests that need it; where `CI` is set it fails them.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from infra.children import StartError
from infra.kafka_broker import KafkaBroker, KafkaUnavailable
from infra.postgres import EmbeddedPostgres


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


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


# The `database` fixture, a database for each test cloned from a migrated template, belongs here.
