"""What a development system stands on before its first process starts: database, roles, keys, tokens, topics."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from infra.children import StartError, is_free
from infra.evidence import signing_key
from infra.keys import FileKeyProvider
from infra.local_issuer import local_issuer
from infra.migrate import migrate, prepare
from infra.postgres import EmbeddedPostgres
from infra.settings import DATABASE, Role, Settings, as_environment

ROOT = Path(__file__).parents[1]


@contextmanager
def only_one(data_dir: Path) -> Iterator[bool]:
    """Holds DATA_DIR for this process. Gives whether the one before ended uncleanly, so that its children may still
    be on their way out. Raises StartError where another process holds it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"another `make run` uses {data_dir}; stop it or set DATA_DIR to another folder") from None
        lock.seek(0)
        was_cut_short = bool(lock.read())
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield was_cut_short
        finally:
            lock.truncate(0)


def absolute(settings: Settings) -> Settings:
    """The same settings for processes that run in another folder."""
    folders = {"data_dir": settings.data_dir.absolute(), "examples_dir": settings.examples_dir.absolute()}
    if settings.checkpoints_dir is not None:
        folders["checkpoints_dir"] = settings.checkpoints_dir.absolute()
    return settings.model_copy(update=folders)


def remembered_port(settings: Settings) -> int | None:
    """The port that the server had before; None, for any, where a stranger has it now and nobody insists on it."""
    port = settings.postgres_port
    if port is None or "POSTGRES_PORT" in os.environ or is_free(port):
        return port
    # Our own server may be ending there; its lock file says so, and the launcher waits for it.
    return port if (settings.data_dir / "postgres/cluster/data/postmaster.pid").exists() else None


def prepare_database(server: EmbeddedPostgres) -> list[str]:
    """Roles with passwords, the database, and the migrations; returns the names of those that were new."""
    with psycopg.connect(server.url(), autocommit=True) as superuser:
        prepare(superuser, DATABASE)
    for role in Role:
        server.set_password(role)
    with psycopg.connect(server.url(Role.OWNER, DATABASE), autocommit=True) as owner:
        return migrate(owner)


def prepare_secrets(settings: Settings) -> None:
    """The key-encryption key, the keys that sign and the local issuer's keys, made where they are missing
    and never replaced."""
    path = settings.key_encryption_file()
    if settings.key_provider == "file" and not path.exists():
        _refuse_if_keys_are_wrapped(settings, path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        FileKeyProvider.generate(path)
    for signing in (settings.signing_key_file(), settings.exports_key_file()):
        signing_key.read_or_make(signing)
    _ = local_issuer(settings).jwks_path


def _refuse_if_keys_are_wrapped(settings: Settings, path: Path) -> None:
    with psycopg.connect(settings.database_url(Role.OWNER)) as owner:
        row = owner.execute("select exists (select from log.keys)").fetchone()
    if row is not None and row[0]:
        raise StartError(f"the key file {path} is gone, and what is stored cannot be read without it; put it back")


def environment_of(settings: Settings, roles: tuple[Role, ...]) -> Mapping[str, str]:
    """For one child: our settings, and the database URLs of its roles alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL_")}
    given = {name: value for name, value in as_environment(settings).items() if not name.startswith("DATABASE_URL_")}
    urls = {f"DATABASE_URL_{role.upper()}": settings.database_url(role) for role in roles}
    return {**inherited, **given, **urls, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
