"""`python -m projections status`: what an operator wants to see of the read side, once or live."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import psycopg
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from infra.settings import load_settings
from projections.commands.shown import AsJson, console, print_json
from projections.live import standing
from projections.live.standing import Other, Status
from projections.tables import halting, parking
from projections.tables.halting import Halt
from projections.tables.tools import Tools

_BETWEEN_LOOKS = 0.5
_STALE_SECONDS = 30.0
# From here on a rebuild, which reads each history once, overtakes folding event by event.
FAR_BEHIND = 50_000


class Look(NamedTuple):
    """At one moment; `rates` are events folded a second, by projection, since the look before."""

    at: float
    served: list[Status]
    others: list[Other]
    parked: int
    halted: Halt | None
    signals: int | None
    rates: Mapping[str, float]


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and look again every second.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is served, how fresh it is, who leads, what is being built, and how many people are held back."""
    with Tools.of(load_settings()).connect() as connection:
        look = _after(connection, _look(connection, None), _BETWEEN_LOOKS)
        if as_json:
            print_json(_told(look))
        elif watch:
            _watch(connection, look)
        else:
            console.print(screen(look))


def _watch(connection: "psycopg.Connection[Any]", look: Look) -> None:
    with Live(screen(look), console=console, screen=False, auto_refresh=False) as live:
        try:
            while True:
                look = _after(connection, look, 1.0)
                live.update(screen(look), refresh=True)
        except KeyboardInterrupt:
            return


def _after(connection: "psycopg.Connection[Any]", before: Look, seconds: float) -> Look:
    time.sleep(seconds)
    return _look(connection, before)


def _look(connection: "psycopg.Connection[Any]", before: Look | None) -> Look:
    now = time.monotonic()
    served = standing.served(connection)
    rates: dict[str, float] = {}
    if before is not None:
        was = {each.projection: each.position for each in before.served}
        rates = {
            each.projection: max(0, each.position - was.get(each.projection, each.position)) / (now - before.at)
            for each in served
        }
    return Look(
        now, served, standing.others(connection), len(parking.who(connection)), halting.halted(connection),
        standing.signals(connection), rates,
    )  # fmt: skip


def _told(look: Look) -> dict[str, Any]:
    return {
        "projections": [each._asdict() | {"rate": look.rates.get(each.projection, 0.0)} for each in look.served],
        "others": [each._asdict() | {"seconds_left": each.seconds_left} for each in look.others],
        "parked": look.parked,
        "halted": look.halted,
        "signals_position": look.signals,
    }


def screen(look: Look) -> RenderableType:
    parts: list[RenderableType] = [_served(look)]
    if look.others:
        parts.append(_others(look.others))
    signals = "no signals sent yet" if look.signals is None else f"signals sent through position {look.signals:,}"
    parts.append(Text(f"{_people(look.parked)}; {signals}."))
    if _is_far_behind(look):
        parts.append(Text("Far behind: `rebuild all` catches up sooner than folding event by event.", style="yellow"))
    if look.halted is not None:
        parts.append(Text(f"THE LINE HAS STOPPED: {look.halted.reason}", style="bold red"))
    return Group(*parts)


def _is_far_behind(look: Look) -> bool:
    is_building = any(each.state == "building" for each in look.others)
    return not is_building and any(each.behind >= FAR_BEHIND for each in look.served)


def _people(parked: int) -> str:
    return f"Held back: {parked} (`parked list` says who)" if parked else "Nobody is held back"


def _served(look: Look) -> Table:
    """Fits a terminal of eighty columns: the table that is served begins with its projection's name."""
    table = Table(Column("served from", no_wrap=True), box=SIMPLE_HEAD)
    for column in ("position", "behind", "seconds", "events/s"):
        table.add_column(column, justify="right")
    table.add_column("leader", no_wrap=True)
    for each in look.served:
        style = "red" if each.seconds > _STALE_SECONDS or each.leader is None else ""
        rate = f"{look.rates.get(each.projection, 0.0):,.0f}"
        numbers = (f"{each.position:,}", f"{each.behind:,}", f"{each.seconds:.1f}", rate)
        leader = (each.leader or "nobody").removeprefix("projections ")
        table.add_row(each.table, *numbers, leader, style=style)
    return table


def _others(others: list[Other]) -> Table:
    table = Table(Column("also there", no_wrap=True), "state", "position", "progress", "", "left", box=SIMPLE_HEAD)
    for each in others:
        place = "" if each.position is None else f"{each.position:,}"
        if each.state != "building":
            table.add_row(each.table, each.state, place)
            continue
        bar = ProgressBar(total=max(1, each.events), completed=each.folded, width=20)
        left = "" if each.seconds_left is None else f"{each.seconds_left:,.0f} s"
        table.add_row(each.table, each.state, place, bar, f"{each.folded:,} of {each.events:,}", left)
    return table
