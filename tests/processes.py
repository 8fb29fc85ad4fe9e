"""Our own processes over one test database."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.children import spawn
from tests.rebuilding import Site

ROOT = Path(__file__).parents[1]


def environment(site: Site, folder: Path) -> dict[str, str]:
    """What a process of the read side finds in its environment."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ENVIRONMENT": "development",
        "DATA_DIR": str(folder),
        "DATABASE_URL_PROJECTOR": site.tools.database_url,
        "KEY_FILE": str(site.key_file),
    }


class Processes:
    """Of the read side; killed at the end of a test that does not stop them."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._site = site
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """Its output goes to a file of the folder named after the command."""
        arguments = [sys.executable, "-m", "projections", *command]
        log = self.folder / f"{command[0]}.log"
        self._started.append(spawn(arguments, log=log, environment=environment(self._site, self.folder)))
        return self._started[-1]

    def kill_all(self) -> None:
        for each in self._started:
            each.kill()
            each.wait()


@contextmanager
def processes_of(site: Site, folder: Path) -> Iterator[Processes]:
    processes = Processes(site, folder)
    try:
        yield processes
    finally:
        processes.kill_all()


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> float:
    """Seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.02)
    return time.monotonic() - began
