"""P10: the most memory that processes of the read side take over a log: the engine, and a rebuild in two processes."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.figures import Figure, at_most
from tests.benchmarks.lab import Lab
from tests.benchmarks.p4_rebuild import MANY, Filled, environment, log_of

PERSONS = 200
_KIB, _MB = 1_024, 1_000_000
_LONGEST_SECONDS = 900


def run(lab: Lab) -> list[Figure]:
    return _measured(lab, PERSONS)


def run_large(lab: Lab) -> list[Figure]:
    """After a million events."""
    return _measured(lab, MANY)


def _measured(lab: Lab, persons: int) -> list[Figure]:
    filled = log_of(lab, "p10", persons)
    lab.say("P10: folding")
    engine = _peak(lab, filled, ["run"], lambda _: _is_folded(filled))
    lab.say("P10: rebuilding")
    rebuild = _peak(lab, filled, ["rebuild", "all", "--processes", "2"], lambda process: process.poll() is not None)
    return [
        at_most("P10 projections with their cache", [engine], 350, "MB"),
        at_most("P10 rebuild, the largest of three processes", [rebuild], 300, "MB"),
    ]


def _peak(lab: Lab, filled: Filled, command: list[str], is_done: Callable[["subprocess.Popen[bytes]"], bool]) -> float:
    """MB of the largest of a command's processes at its largest."""
    process = subprocess.Popen(
        [sys.executable, "-m", "projections", *command], env=environment(lab, filled), stdout=subprocess.DEVNULL
    )
    deadline, most = time.monotonic() + _LONGEST_SECONDS, 0.0
    try:
        while not is_done(process):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{command[0]} did not end")
            most = max([most, *map(_resident_at_most, [process.pid, *_children(process.pid)])])
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(20)
    return most


def _resident_at_most(pid: int) -> float:
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    peaks = [int(line.split()[1]) for line in told.splitlines() if line.startswith("VmHWM:")]
    return sum(peaks) * _KIB / _MB


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_folded(filled: Filled) -> bool:
    with filled.database.connect("auditor") as connection:
        row = connection.execute("select min(position) from read.serving").fetchone()
    return row is not None and row[0] == filled.events
