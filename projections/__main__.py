"""`python -m projections`: runs the read side and looks after it."""

import sys
from typing import Annotated

import psycopg
import structlog
import typer
from prometheus_client import start_http_server
from rich.progress import Progress

from infra import logging
from infra.custody.agreement import refuse_unapplied
from infra.custody.ledger import LedgerBroken
from infra.custody.providers import ledger
from infra.custody.rotation import CustodyRefused
from infra.garbage import spare_what_is_held
from infra.keys import KeyUnusable
from infra.settings import SettingsError, load_settings
from projections.catalogue import STORED
from projections.commands import parked as parked_cli
from projections.commands import past as past_cli
from projections.commands import rebuild as rebuild_cli
from projections.commands import status_screen
from projections.commands.shown import AsJson, console, named, print_json
from projections.keeping.histories import Gap
from projections.live import signalling, upkeep
from projections.live.engine import Engine
from projections.live.running import EngineMetrics, SignalMetrics, until_told_to_stop
from projections.live.upkeep import HELD_BACK, Difference
from projections.rebuild import renewing
from projections.tables.tools import Tools

cli = typer.Typer(no_args_is_help=True, help="The read side: run it, see how it stands, retry, verify, rebuild.")
cli.add_typer(parked_cli.cli, name="parked")
cli.add_typer(past_cli.cli)
cli.command()(status_screen.status)
cli.command()(rebuild_cli.rebuild)
_MANY_KEYS = 50_000
MetricsPort = Annotated[int, typer.Option(help="Port for Prometheus on loopback; 0 for none.")]


@cli.command()
def run(metrics_port: MetricsPort = 0) -> None:
    """Fold new events until stopped. Several may run: each projection has one leader, and another takes over."""
    stopping = until_told_to_stop()
    settings = load_settings()
    logging.configure("projections", settings.log_level)
    metrics, tools = EngineMetrics(), Tools.guarded(settings)
    try:
        with Tools.of(settings).connect() as connection:
            refuse_unapplied(connection, ledger(settings))
    except (CustodyRefused, LedgerBroken) as refused:
        sys.exit(str(refused))
    engine = Engine(tools.connect, tools.keys(_MANY_KEYS), STORED)
    metrics.watch(lambda: len(engine.led))
    if metrics_port:
        start_http_server(metrics_port, addr="127.0.0.1")
    structlog.get_logger("projections").info("projections_running", projections=len(STORED))
    spare_what_is_held()
    renewing.begin(tools)
    try:
        engine.run(stopping, metrics.advanced)
    except Gap as gap:
        structlog.get_logger("projections").critical("log_gap", exc_info=gap)
        sys.exit(f"The line has stopped: {gap}. Nothing more is folded until someone has looked.")
    finally:
        engine.close()


@cli.command()
def signals(metrics_port: MetricsPort = 0) -> None:
    """Tell other systems, over Kafka, whose documents have changed, until stopped. Several may run: one sends."""
    stopping = until_told_to_stop()
    settings = load_settings()
    logging.configure("signals", settings.log_level)
    if metrics_port:
        start_http_server(metrics_port, addr="127.0.0.1")
    signalling.run(Tools.guarded(settings), settings, stopping, SignalMetrics().sent)


@cli.command()
def verify(name: str, as_json: AsJson = False) -> None:
    """Refold everyone and compare with what is stored; exit 1 when anything differs or somebody is held back."""
    projection = named(name)
    tools = Tools.of(load_settings())
    with tools.connect() as connection, Progress(console=console, disable=as_json) as progress:
        task = progress.add_task(f"Verifying {name}", total=None)
        try:
            found = upkeep.verify(
                connection, tools.keys(), projection, lambda done, of: progress.update(task, completed=done, total=of)
            )
        except upkeep.NothingServed as error:
            sys.exit(f"Nothing to verify: {error}.")
    if as_json:
        print_json(found)
    else:
        _show_differences(found)
    if found:
        raise typer.Exit(1)


def _show_differences(found: list[Difference]) -> None:
    for each in found:
        console.print(f"{each.patient_id}: {each.how}")
    held_back = sum(each.how == HELD_BACK for each in found)
    if held_back:
        console.print(f"Held back, with nothing to compare: {held_back}; see `python -m projections parked list`.")
    if len(found) > held_back:
        console.print(f"{len(found) - held_back} documents differ from a refold.")
    if not found:
        console.print("Every document is as a refold gives it.")


def main() -> None:
    """What an operator can mend is told in one line; anything else keeps its traceback."""
    try:
        cli()
    except (SettingsError, CustodyRefused, LedgerBroken) as error:
        sys.exit(f"error: {error}")
    except KeyUnusable as error:
        sys.exit(
            f"error: {error}; `python -m infra check` looks at the keys, `python -m infra verify` at what is stored"
        )
    except psycopg.OperationalError as error:
        sys.exit(f"error: PostgreSQL does not answer ({type(error).__name__}); does `make run` run on this DATA_DIR?")


if __name__ == "__main__":
    main()
