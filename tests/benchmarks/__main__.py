"""`python -m tests.benchmarks [--only P1,P3] [--large] [--json]`: every bar against its baselines, in one run."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import structlog
import typer
from rich.console import Console

from infra.garbage import spare_what_is_held
from tests.benchmarks import (
    figures,
    growth,
    http_ingest,
    p1_ingest,
    p2_commands,
    p3_projections,
    p4_rebuild,
    p5_replay,
    p6_reads,
    p8_evidence,
    p10_memory,
    rebuild_beside_load,
)
from tests.benchmarks.figures import Figure
from tests.benchmarks.lab import Lab, laboratory

BARS: Mapping[str, Callable[[Lab], list[Figure]]] = {
    "P1": p1_ingest.run,
    "P2": p2_commands.run,
    "P3": p3_projections.run,
    "P4": p4_rebuild.run,
    "P5": p5_replay.run,
    "P6": p6_reads.run,
    "P8": p8_evidence.run,
    "P10": p10_memory.run,
    "HTTP": http_ingest.run,
}
# The same work in logs of millions; takes its time.
LARGE: Mapping[str, Callable[[Lab], list[Figure]]] = {
    "P4": p4_rebuild.run_large,
    "BESIDE": rebuild_beside_load.run_large,
    "P10": p10_memory.run_large,
    "P8": p8_evidence.run_large,
    "P5": partial(p5_replay.run, sizes=growth.SIZES),
    "P1": growth.run,
}
# These share one log of a million, which takes ten minutes to make; of all others, none is to meet what those before it
# left in memory.
SHARING = ("P4", "BESIDE", "P10")
RESULTS, LARGE_RESULTS = Path("build/bench.json"), Path("build/bench-large.json")


def main(
    only: Annotated[str, typer.Option(help="bars to measure, such as P1,P3; all when empty")] = "",
    large: Annotated[bool, typer.Option(help="in logs of up to five million events instead")] = False,
    json: Annotated[bool, typer.Option("--json", help="print the figures as JSON")] = False,
    here: Annotated[bool, typer.Option(help="measure in this process, as when profiling")] = False,
) -> None:
    bars, results = (LARGE, LARGE_RESULTS) if large else (BARS, RESULTS)
    chosen = only.upper().split(",") if only else list(bars)
    if unknown := set(chosen) - set(bars):
        raise typer.BadParameter(f"no such bar: {', '.join(sorted(unknown))}; there are {', '.join(bars)}")
    shown, began = Console(stderr=True), time.monotonic()
    found: list[Figure] = []
    for together in _groups(chosen, SHARING if large else ()):
        found += _measured(together, large=large) if here else _apart(together, large=large)
        shown.print(f"{', '.join(together)} done after {time.monotonic() - began:.0f} s")
    told = figures.write(found, results)
    if json:
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        Console(width=120).print(figures.table(found))


def _groups(chosen: list[str], sharing: tuple[str, ...]) -> list[list[str]]:
    first = [bar for bar in sharing if bar in chosen]
    return [*([first] if first else []), *([bar] for bar in chosen if bar not in sharing)]


def _apart(chosen: list[str], *, large: bool) -> list[Figure]:
    """In a process of its own."""
    size = ["--large"] if large else []
    command = [sys.executable, "-m", "tests.benchmarks", "--here", "--json", "--only", ",".join(chosen), *size]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [Figure(name, **told) for name, told in orjson.loads(done.stdout).items()]


def _measured(chosen: list[str], *, large: bool) -> list[Figure]:
    """With servers of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    spare_what_is_held()  # as every process of ours does when it starts
    bars, found = LARGE if large else BARS, []
    shown = Console(stderr=True)
    with shown.status("starting") as status, laboratory(status.update) as lab:
        for bar in chosen:
            of_bar = bars[bar](lab)
            found += of_bar
            shown.print(figures.table(of_bar) if large else f"{bar} is measured")
    return found


if __name__ == "__main__":
    typer.run(main)
