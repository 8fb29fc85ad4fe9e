"""`python -m projections parked`: who is held back, and trying their folds again."""

import sys
from collections.abc import Sequence
from datetime import UTC
from typing import Annotated
from uuid import UUID

import structlog
import typer
from rich.progress import track
from rich.table import Column, Table

from infra.settings import load_settings
from projections.catalogue import STORED
from projections.commands.shown import AsJson, console, print_json
from projections.live import upkeep
from projections.tables import parking
from projections.tables.parking import Parked
from projections.tables.tools import Tools

log = structlog.get_logger(__name__)
cli = typer.Typer(no_args_is_help=True, help="People whose fold failed: held back, never shown stale.")


@cli.command("list")
def parked_list(as_json: AsJson = False) -> None:
    """Who is held back, since which position, and what failed."""
    with Tools.of(load_settings()).connect() as connection:
        rows = parking.parked(connection)
    if as_json:
        print_json(rows)
        return
    table = Table(Column("Patient", no_wrap=True), "Since", Column("Reason", overflow="fold"), "Tries", "Parked, UTC")
    for each in rows:
        parked_at = f"{each.parked_at.astimezone(UTC):%Y-%m-%d %H:%M}"
        table.add_row(str(each.patient_id), str(each.since_position), each.reason, str(each.attempts), parked_at)
    console.print(table)


@cli.command("retry")
def parked_retry(
    patient: Annotated[UUID | None, typer.Argument(help="One of them.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    reason: Annotated[str | None, typer.Option(help="Those with this reason, as `list` shows it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold people again; whose fold still fails stays held back. Exit 1 where anyone does."""
    if [patient is not None, everyone, reason is not None].count(True) != 1:
        raise typer.BadParameter("say whom: one patient, --all, or --reason")
    tools = Tools.of(load_settings())
    with tools.connect() as connection:
        chosen = [each for each in parking.parked(connection) if _is_meant(each, patient, reason)]
        if patient is not None and not chosen:
            sys.exit(f"{patient} is not held back.")
        failed = _retry(tools, chosen, as_json)
    if as_json:
        print_json({"retried": len(chosen), "failed": failed})
    else:
        console.print(f"Served again: {len(chosen) - len(failed)}; still held back: {len(failed)}.")
    if failed:
        raise typer.Exit(1)


def _is_meant(parked: Parked, patient: UUID | None, reason: str | None) -> bool:
    return patient in (None, parked.patient_id) and reason in (None, parked.reason)


def _retry(tools: Tools, chosen: Sequence[Parked], as_json: bool) -> dict[str, str]:
    """The class of what failed, by person."""
    failed: dict[str, str] = {}
    with tools.connect() as connection:
        for each in track(chosen, "Folding again", console=console, disable=as_json or not chosen):
            error = upkeep.retried(connection, tools.keys(), STORED, each)
            if error is not None:
                failed[str(each.patient_id)] = error
    return failed
