"""Servers of one run: a durable PostgreSQL and a Kafka broker in a temporary folder, both stopped at its end."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from infra.kafka_broker import KafkaBroker
from infra.keys import FileKeyProvider, KeyRing
from infra.migrate import migrate, prepare
from infra.postgres import EmbeddedPostgres
from infra.secret_files import secret
from infra.settings import Role
from tests.conftest import Database

_TEMPLATE = "template_migrated"


class Lab:
    """`say` shows what is being done. `database` gives a migrated, empty database under a name of its own."""

    def __init__(self, folder: Path, stack: ExitStack, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say
        self._stack = stack
        self._server = stack.enter_context(EmbeddedPostgres(folder, durable=True))
        self._broker: KafkaBroker | None = None
        self.key_file = folder / "keys.json"
        FileKeyProvider.generate(self.key_file)
        self._made: dict[str, Any] = {}
        self._make_template()

    def database(self, name: str) -> Database:
        self._create(name, _TEMPLATE)
        return Database(self._server, name, self.keys())

    def copy(self, name: str, of: Database) -> Database:
        """Nobody may be connected to the original."""
        self._create(name, f'"{of.name}"')
        return Database(self._server, name, self.keys())

    def empty(self, name: str) -> Database:
        """A database without our tables, owned by the role owner."""
        self._create(name, "template0")
        return Database(self._server, name, self.keys())

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What takes long to make is made for the first who asks."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def keys(self, limit: int = 50_000) -> KeyRing:
        """A ring that holds nothing yet."""
        return KeyRing(FileKeyProvider(self.key_file), limit)

    def password(self, role: str) -> str:
        return secret(self.folder / "secrets", f"{role}.password")

    @property
    def port(self) -> int:
        return self._server.port

    def broker(self) -> KafkaBroker:
        """Started at the first use."""
        if self._broker is None:
            self.say("starting Kafka")
            self._broker = self._stack.enter_context(KafkaBroker(self.folder))
        return self._broker

    def _make_template(self) -> None:
        with psycopg.connect(self._server.url(), autocommit=True) as superuser:
            prepare(superuser, _TEMPLATE)
        for role in Role:
            self._server.set_password(role)
        with psycopg.connect(self._server.url("owner", _TEMPLATE), autocommit=True) as owner:
            migrate(owner)

    def _create(self, name: str, template: str) -> None:
        with psycopg.connect(self._server.url(), autocommit=True) as superuser:
            superuser.execute(f'create database "{name}" owner owner template {template} strategy file_copy')


@contextmanager
def laboratory(say: Callable[[str], None]) -> Iterator[Lab]:
    folder = Path(tempfile.mkdtemp(prefix="cancer-plan-bench-"))
    folder.chmod(0o755)  # the server's unprivileged account must reach it
    try:
        with ExitStack() as stack:
            say("starting PostgreSQL")
            yield Lab(folder, stack, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
