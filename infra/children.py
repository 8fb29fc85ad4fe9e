"""Child processes that cannot outlive their parent, and the ports they listen on."""

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1


class StartError(Exception):
    """A server cannot start; the message says what to do about it."""


@dataclass(frozen=True)
class Account:
    """The operating system's user under whom a child runs; without ids, whoever we are."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] | None = None


OURSELVES = Account()


def unprivileged_account() -> Account:
    """`nobody` when we are root, since PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return OURSELVES
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid, ())


def spawn(
    arguments: Sequence[str],
    *,
    log: Path,
    account: Account = OURSELVES,
    environment: Mapping[str, str] | None = None,
    last_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, its output appended to `log`.

    Linux sends it `last_signal` when the *thread* that called this ends, so call it from one that lives as
    long as the server should. Elsewhere a killed parent leaves it running.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=dict(environment) if environment is not None else None,
            start_new_session=True,
            preexec_fn=_end_with_parent(last_signal),  # noqa: PLW1509 - two system calls and no lock of Python's
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
        )


def run_as(account: Account, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a short command as `account`, output captured; PermissionError where it cannot reach the program."""
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=120,
        user=account.uid,
        group=account.gid,
        extra_groups=account.groups,
    )


def _end_with_parent(last_signal: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, int(last_signal))
        if os.getppid() != parent:  # the parent died before the call could take effect
            os._exit(1)

    return in_child


def stop(process: subprocess.Popen[bytes], signals: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn, waiting so many seconds for the end before the next; then kill."""
    for number, seconds in (*signals, (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def command_of(pid: int) -> str | None:
    """The command line of any process, words separated by blanks; None where there is no such process."""
    if not Path("/proc/self").exists():
        return run_as(OURSELVES, ["ps", "-o", "args=", "-p", str(pid)]).stdout or None
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return None


def free_port() -> int:
    """A TCP port on loopback that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def claim(port: int, setting: str, seconds: float = 2.0) -> None:
    """StartError, naming the setting, where the port stays taken; a process that is ending may let go of it."""
    deadline = time.monotonic() + seconds
    while not is_free(port):
        if time.monotonic() > deadline:
            raise StartError(f"port {port} is taken; stop what listens there or set {setting} to another one")
        time.sleep(0.05)


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, for the message of a StartError."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
