"""`make run`: one process that starts everything in order, keeps it going, and stops it all together.

Children are started by the main thread and end with it, so that a supervisor that is killed leaves nothing behind.
"""

import ctypes
import http.client
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console

from infra.children import PR_SET_PDEATHSIG, StartError, claim
from infra.custody.cli import reapply_all
from infra.demonstration import Demonstration
from infra.foundations import (
    absolute,
    environment_of,
    only_one,
    prepare_database,
    prepare_secrets,
    remembered_port,
)
from infra.kafka_broker import KafkaBroker, KafkaUnavailable
from infra.migrate import is_function
from infra.postgres import EmbeddedPostgres
from infra.scraping import leave_targets, ports_for
from infra.services import Backoff, Service
from infra.settings import Role, Settings, leave_for_other_shells
from infra.topics import create_topics, topics

OPEN_SECONDS = 90.0
STOP_SECONDS = 6.0
TICK_SECONDS = 0.2
MOST_FAILURES = 4
# Which roles of the database each process connects as.
PROCESSES: dict[str, tuple[tuple[str, ...], tuple[Role, ...]]] = {
    "consumers": (("consumers", "run"), (Role.WRITER,)),
    "projections": (("projections", "run"), (Role.PROJECTOR,)),
    "signals": (("projections", "signals"), (Role.PROJECTOR,)),
    "checkpoint": (("infra", "checkpoint", "run"), (Role.SEALER,)),
    "custody": (("infra", "keys", "run"), (Role.SHREDDER,)),
    "api": (("api", "serve"), (Role.WRITER, Role.READER, Role.AUDITOR, Role.PROJECTOR)),
}


class Server(Protocol):
    """A server that is not ours: PostgreSQL or Kafka."""

    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Supervisor:
    """Runs the development system that `settings` describe and reports to `console`."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = absolute(settings)
        self._console = console
        self._logs = self._settings.data_dir / "logs"
        self._servers: dict[str, tuple[Server, Backoff]] = {}
        self._services: dict[str, Service] = {}

    def run(self) -> None:
        """Until SIGTERM or Ctrl-C. Raises StartError, MigrationError or TopicError where something is in the way."""
        with only_one(self._settings.data_dir) as was_cut_short, _signals_interrupt():
            try:
                claim(self._settings.port, "PORT", 15.0 if was_cut_short else 1.0)
                self._go_on(self._demonstrate(self._start()))
            except KeyboardInterrupt:
                self._say("Stopping …")
            finally:
                _ignore_signals()
                self._stop()
        self._say("Stopped.")

    def _start(self) -> str:
        """Everything but the demo; returns by which door messages come in, kafka or http."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._start_postgres()
        has_kafka = self._start_kafka()
        started = [name for name in PROCESSES if has_kafka or name not in ("consumers", "signals")]
        # The API tells of itself at its own door.
        ports = ports_for({name: self._settings.port if name == "api" else None for name in started})
        for name in started:
            command, roles = PROCESSES[name]
            measured = () if name == "api" else ("--metrics-port", str(ports[name]))
            self._start_service(name, (*command, *measured), roles)
        leave_targets(self._settings.data_dir, ports)
        self._wait_until_open()
        self._console.print(f"Ready: http://127.0.0.1:{self._settings.port}", highlight=False, soft_wrap=True)
        return "kafka" if has_kafka else "http"

    def _demonstrate(self, door: str) -> Demonstration:
        demonstration = Demonstration(self._settings, self._console, door)
        if demonstration.is_wanted:
            self._start_service("simulate", demonstration.command, (), once=True)
        return demonstration

    def _start_postgres(self) -> None:
        self._say("Starting PostgreSQL …")
        server = EmbeddedPostgres(self._settings.data_dir, remembered_port(self._settings))
        self._add_server("PostgreSQL", server)
        self._settings = self._settings.model_copy(update={"postgres_port": server.port})
        applied = prepare_database(server)
        for name in applied:
            if not is_function(name):
                self._say(f"Applied migration {name}")
        if made := sum(map(is_function, applied)):
            self._say(f"Made {made} functions of the log")
        prepare_secrets(self._settings)
        for each in reapply_all(self._settings, hidden=True):
            self._say(f"Destroyed again the key of patient {each.patient_id}, which a restore had brought back")
        leave_for_other_shells(self._settings)

    def _start_kafka(self) -> bool:
        """False where this machine cannot run a broker: then the HTTP door alone takes messages."""
        broker = KafkaBroker(self._settings.data_dir, self._settings.kafka_port)
        self._say("Starting Apache Kafka …")
        try:
            self._add_server("Kafka", broker)
        except KafkaUnavailable as reason:
            del self._servers["Kafka"]
            self._console.print(f"NO KAFKA: {reason}.", style="bold red", highlight=False)
            self._console.print("Going on without it: messages come in over HTTP only.", style="bold red")
            return False
        self._settings = self._settings.model_copy(update={"kafka_bootstrap": broker.bootstrap})
        create_topics(self._settings.kafka(), topics(self._settings))
        return True

    def _add_server(self, name: str, server: Server) -> None:
        self._servers[name] = (server, Backoff())
        server.start()

    def _start_service(self, name: str, command: tuple[str, ...], roles: tuple[Role, ...], once: bool = False) -> None:
        arguments = [sys.executable, "-m", *command]
        service = Service(name, arguments, environment_of(self._settings, roles), self._logs, once=once)
        self._services[name] = service
        service.start()

    def _wait_until_open(self) -> None:
        deadline = time.monotonic() + OPEN_SECONDS
        while not _answers(self._settings.port):
            self._tend()
            worst = max(self._services.values(), key=lambda each: each.backoff.failures)
            if worst.backoff.failures >= MOST_FAILURES:
                raise StartError(f"{worst.name} does not stay up; its log {worst.log} ends:\n{worst.said_last()}")
            if time.monotonic() > deadline:
                api = self._services["api"]
                raise StartError(f"the HTTP door did not open; the log {api.log} ends:\n{api.said_last()}")
            time.sleep(TICK_SECONDS)

    def _go_on(self, demonstration: Demonstration) -> None:
        with demonstration.showing():
            while True:
                self._tend()
                demonstration.go_on(is_sent=self._is_sent())
                time.sleep(TICK_SECONDS)

    def _is_sent(self) -> bool:
        simulate = self._services.get("simulate")
        return simulate is None or simulate.is_done

    def _tend(self) -> None:
        for name, (server, backoff) in self._servers.items():
            if server.pid is None:
                self._restart(name, server, backoff)
        for service in self._services.values():
            for line in service.tend():
                self._say(line)

    def _restart(self, name: str, server: Server, backoff: Backoff) -> None:
        if not backoff.is_due:
            return
        self._say(f"{name} has ended; starting it again")
        try:
            server.start()
            backoff.started()
        except (StartError, KafkaUnavailable) as reason:
            self._say(f"{name} does not start, next attempt in {backoff.failed():g} s: {reason}")

    def _stop(self) -> None:
        """First who takes messages in and answers, all at once; then what they stand on."""
        services = list(self._services.values())
        for service in services:
            service.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for service in services:
            service.stop(max(0.1, deadline - time.monotonic()))
        stopping = [threading.Thread(target=server.stop) for server, _ in self._servers.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()

    def _say(self, line: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {line}", markup=False, highlight=False, soft_wrap=True)


def follow_make() -> None:
    """Where `make` started us, end when it is killed: nobody else would know of this process."""
    if "MAKELEVEL" in os.environ and sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM ends the main thread's waiting just as Ctrl-C does."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    """Whoever asks again while we stop is not answered with children left behind."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
