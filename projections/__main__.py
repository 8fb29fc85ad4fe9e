"""`python -m projections`: runs the read side and looks after it."""

import signal
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import orjson
import psycopg
import structlog
import typer
from prometheus_client import Counter, Gauge, start_http_server
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from infra import logging
from infra.garbage import spare_what_is_held
from infra.key_providers import key_provider, ledger
from infra.keys import KeyRing
from infra.ledger import LedgerBroken
from infra.reapplying import refuse_unapplied
from infra.rotation import CustodyRefused
from infra.settings import Role, load_settings
from projections import documents, parking, past_cli, upkeep
from projections.catalogue import STORED
from projections.engine import Engine
from projections.folding import Projection
from projections.histories import Gap
from projections.keeper import Advance

cli = typer.Typer(no_args_is_help=True, help="The read side: run it, see how it stands, retry, verify, rebuild.")
parked_cli = typer.Typer(no_args_is_help=True, help="People whose fold failed: held back, never shown stale.")
cli.add_typer(parked_cli, name="parked")
cli.add_typer(past_cli.cli)
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MetricsPort = Annotated[int, typer.Option(help="Port for Prometheus on loopback; 0 for none.")]


def connect() -> "psycopg.Connection[Any]":
    return psycopg.connect(load_settings().database_url(Role.PROJECTOR), autocommit=True)


def key_ring() -> KeyRing:
    return KeyRing(key_provider(load_settings()))


@cli.command()
def run(metrics_port: MetricsPort = 0) -> None:
    """Fold new events until stopped. Several may run: one leads, another takes over."""
    stopping = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopping.set())
    logging.configure("projections", load_settings().log_level)
    if metrics_port:
        start_http_server(metrics_port, addr="127.0.0.1")
    log = structlog.get_logger("projections")
    try:
        with connect() as connection:
            refuse_unapplied(connection, ledger(load_settings()))
    except (CustodyRefused, LedgerBroken) as refused:
        sys.exit(str(refused))
    engine = Engine(connect, key_ring(), STORED)
    log.info("projections_running", projections=len(STORED))
    spare_what_is_held()
    try:
        engine.run(stopping.is_set, _measured(log))
    except Gap as gap:
        log.critical("log_gap", exc_info=gap)
        sys.exit(f"The line has stopped: {gap}. Nothing more is folded until someone has looked.")
    finally:
        engine.close()


def _measured(log: Any) -> Callable[[Advance], None]:
    events = Counter("projections_events", "Events folded")
    position = Gauge("projections_position", "Checkpoint of the live projections")
    failures = Counter("projections_parked", "Folds that failed and parked their person")

    def advanced(advance: Advance) -> None:
        events.inc(advance.events)
        position.set(advance.through)
        failures.inc(advance.parked)
        log.info("folded", events=advance.events, persons=advance.persons, position=advance.through)

    return advanced


@cli.command()
def status(as_json: AsJson = False) -> None:
    """Checkpoints, how far behind the log they are, and how many people are held back."""
    with connect() as connection:
        rows = upkeep.status(connection)
        held_back = parking.parked(connection)
    if as_json:
        _print_json({"projections": [each._asdict() for each in rows], "parked": len(held_back)})
        return
    table = Table("Projection", "Position", "Behind", "Last moved", "People")
    for each in rows:
        table.add_row(
            each.projection, str(each.position), str(each.behind), f"{each.advanced_at:%H:%M:%S}", str(each.documents)
        )
    console.print(table)
    console.print(f"{len(held_back)} people held back" if held_back else "Nobody is held back.")


@cli.command()
def verify(name: str, as_json: AsJson = False) -> None:
    """Refold everyone and compare with what is stored; exit 1 when anything differs."""
    projection = _named(name)
    with connect() as connection, Progress(console=console, disable=as_json) as progress:
        task = progress.add_task(f"Verifying {name}", total=None)
        found = upkeep.verify(
            connection, key_ring(), projection, lambda done, of: progress.update(task, completed=done, total=of)
        )
    if as_json:
        _print_json([each._asdict() for each in found])
    else:
        for each in found:
            console.print(f"{each.patient_id}: {each.how}")
        console.print(
            f"{len(found)} documents differ from a refold." if found else "Every document is as a refold gives it."
        )
    if found:
        raise typer.Exit(1)


@cli.command()
def rebuild(name: str) -> None:
    """Empty one projection; the running engine fills it again from the log."""
    projection = _named(name)
    with connect() as connection:
        upkeep.rebuild(connection, projection)
    console.print(f"{documents.table_name(projection)} starts again at position 0; see `python -m projections status`.")


@parked_cli.command("list")
def parked_list(as_json: AsJson = False) -> None:
    """Who is held back, since which position, and what failed."""
    with connect() as connection:
        rows = parking.parked(connection)
    if as_json:
        _print_json([each._asdict() for each in rows])
        return
    table = Table(Column("Patient", no_wrap=True), "Since position", "Reason", "Attempts", "Parked at")
    for each in rows:
        table.add_row(
            str(each.patient_id), str(each.since_position), each.reason, str(each.attempts), f"{each.parked_at:%c}"
        )
    console.print(table)


@parked_cli.command("retry")
def parked_retry(patient: UUID) -> None:
    """Fold one person again; they stay held back if it still fails."""
    with connect() as connection:
        upkeep.retry(connection, key_ring(), STORED, patient)
    console.print(f"{patient} is served again.")


def _named(name: str) -> Projection:
    for each in STORED:
        if name in (each.name, documents.table_name(each)):
            return each
    known = ", ".join(each.name for each in STORED)
    raise typer.BadParameter(f"no such projection; there are {known}")


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


if __name__ == "__main__":
    cli()
