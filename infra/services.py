"""Our own processes under the supervisor: started again when they die, and their logs followed."""

import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from infra.children import last_lines, spawn, stop

STEADY_SECONDS = 60.0
LONGEST_PAUSE = 30.0
REPEAT_SECONDS = 5.0
LINE_LENGTH = 220
_TEN_DIGITS = re.compile(r"(?<!\d)\d{3}[ -]?\d{3}[ -]?\d{4}(?!\d)")
_FRAME = ("event", "level", "time", "process", "logger")


class Backoff:
    """Longer pauses for what keeps failing: 1, 2, 4 … 30 seconds; from the beginning after a steady minute."""

    def __init__(self) -> None:
        self.failures = 0
        self._since = time.monotonic()
        self._due = 0.0

    def started(self) -> None:
        self._since = time.monotonic()

    def failed(self) -> float:
        """Seconds until the next attempt."""
        now = time.monotonic()
        self.failures = 1 if now - self._since > STEADY_SECONDS else self.failures + 1
        pause: float = min(LONGEST_PAUSE, 2.0 ** (self.failures - 1))
        self._due = now + pause
        return pause

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due


class Service:
    """One child process. `once`: it ends by itself when its work is done. Call `start` and `tend` from a thread that
    lives as long as the child should (see `children.spawn`)."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], logs: Path, *, once: bool = False
    ) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self.is_done = False
        self.backoff = Backoff()
        self._arguments = arguments
        self._environment = environment
        self._once = once
        self._process: subprocess.Popen[bytes] | None = None
        self._follower = Follower(name, self.log)

    @property
    def pid(self) -> int | None:
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        self._process = spawn(self._arguments, log=self.log, environment=self._environment)
        self.backoff.started()

    def tend(self) -> Iterable[str]:
        """What it logged since, and what became of it; a dead one is started again when its pause is over."""
        yield from self._follower.lines()
        if self.is_done:
            return
        if self._process is None:
            if self.backoff.is_due:
                self.start()
                yield f"{self.name} started again"
        elif (code := self._process.poll()) is not None:
            self._process = None
            if self._once and code == 0:
                self.is_done = True
            else:
                pause = self.backoff.failed()
                yield f"{self.name} ended ({_how(code)}), starts again in {pause:g} s; its log is {self.log}"

    def ask_to_stop(self) -> None:
        if self.pid is not None and self._process is not None:
            self._process.terminate()

    def stop(self, seconds: float) -> None:
        """Wait so long for the end that was asked for, then kill."""
        if self._process is not None:
            stop(self._process, [(signal.SIGTERM, seconds)])
            self._process = None

    def said_last(self) -> str:
        return last_lines(self.log)


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


class Follower:
    """Turns what a child appends to its log into single lines for people. The same event of the same child comes at
    most every five seconds, unless it is a warning; the log has all of it."""

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log
        self._read_to = log.stat().st_size if log.exists() else 0
        self._last: dict[str, float] = {}

    def lines(self) -> Iterable[str]:
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._read_to)
            new = file.read(1_000_000)
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            said = self._said(line)
            if said:
                yield said

    def _said(self, line: bytes) -> str | None:
        try:
            told = orjson.loads(line)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict):
            words = line.decode(errors="replace").strip()
            return f"{self._name}: {_TEN_DIGITS.sub('[number]', words)[:LINE_LENGTH]}" if words else None
        return self._event(told)

    def _event(self, told: Mapping[str, Any]) -> str | None:
        event, level = str(told.get("event", "")), told.get("level", "info")
        now = time.monotonic()
        if level == "debug" or (level == "info" and now - self._last.get(event, -REPEAT_SECONDS) < REPEAT_SECONDS):
            return None
        self._last[event] = now
        fields = " ".join(f"{name}={value}" for name, value in told.items() if name not in _FRAME)
        shout = f"{level.upper()} " if level != "info" else ""
        return f"{self._name}: {shout}{event} {fields}".strip()[:LINE_LENGTH]
