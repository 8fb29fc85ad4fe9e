"""`python -m projections rebuild`: new tables beside the ones that are served, and the way back."""

import sys
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from infra.settings import load_settings
from projections.catalogue import STORED
from projections.commands.shown import AsJson, console, named, print_json
from projections.folds.folding import Projection
from projections.rebuild import rebuilding
from projections.rebuild.filling import Gone, WorkerDied
from projections.rebuild.rebuilding import NotRebuilt, Terms
from projections.tables.tools import Tools


def rebuild(
    name: Annotated[str, typer.Argument(help="A projection, or `all`.")],
    processes: Annotated[int, typer.Option(min=1, max=64, help="How many fold at once.")] = 1,
    full: Annotated[bool, typer.Option("--full", help="Compare every document, not a sample.")] = False,
    despite: Annotated[bool, typer.Option("--despite-differences", help="Switch even where they differ.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Serve the earlier table again.")] = False,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Drop earlier tables: no way back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a projection anew beside the one that is served, and switch in one transaction when it is as far."""
    chosen = list(STORED) if name == "all" else [named(name)]
    tools = Tools.of(load_settings())
    try:
        if back:
            _tell([rebuilding.back(tools, each) for each in chosen], "served again", as_json)
        elif drop_old:
            _tell([table for each in chosen for table in rebuilding.drop_old(tools, each)], "dropped", as_json)
        else:
            _rebuild(tools, chosen, Terms(processes, None if full else rebuilding.SAMPLE, despite), as_json)
    except (NotRebuilt, WorkerDied, Gone) as error:
        sys.exit(f"Nothing has changed: {error}.")


def _rebuild(tools: Tools, chosen: list[Projection], terms: Terms, as_json: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=as_json) as progress:
        task = progress.add_task("starting", total=None, rate="")

        def told(at: rebuilding.Progress) -> None:
            speed = progress.tasks[0].speed
            rate = f"{speed:,.0f} events/s" if speed and at.phase == "filling" else ""
            progress.update(task, description=at.phase, completed=at.done, total=at.total, rate=rate)

        report = rebuilding.rebuild(tools, chosen, terms, told)
    if as_json:
        print_json(report)
        return
    for projection, table in report.tables.items():
        console.print(f"{projection} is served from {table}.")
    console.print(f"{report.events:,} events of {report.persons:,} people in {report.seconds:.1f} s.")
    if report.differences or report.held_back:
        told_of = f"{len(report.differences)} documents differ from before, {report.held_back} people are held back"
        console.print(f"{told_of}: `python -m projections parked list`.")


def _tell(tables: list[str], what: str, as_json: bool) -> None:
    if as_json:
        print_json({what.replace(" ", "_"): tables})
    else:
        console.print("\n".join(f"{each} {what}." for each in tables) or f"Nothing {what}.")
