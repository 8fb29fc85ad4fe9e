"""How commands of the read side speak: tables for people, JSON for programs."""

import sys
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from projections.catalogue import STORED
from projections.folds.folding import Projection

console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def named(name: str) -> Projection:
    for each in STORED:
        if name == each.name:
            return each
    known = ", ".join(each.name for each in STORED)
    raise typer.BadParameter(f"no such projection; there are {known}")


def print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(_plain(value), option=orjson.OPT_INDENT_2).decode() + "\n")


def _plain(value: Any) -> Any:
    """Named tuples as objects, all the way down."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return value
