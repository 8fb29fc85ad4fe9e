"""`python -m infra keys`: how the keys stand, their rotation, and the destruction of a patient's key."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from infra import custody, rotation
from infra.key_providers import key_provider
from infra.settings import Role, load_settings

keys_cli = typer.Typer(no_args_is_help=True, help="Keys: how they stand, rotation, holds, destruction.")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@keys_cli.command()
def status(as_json: AsJson = False) -> None:
    """Which version of the key-encryption key wraps how many keys."""
    with _custodian() as connection:
        found = custody.status(connection, key_provider(load_settings()))
    if as_json:
        _print_json(found._asdict())
        return
    table = Table("Version", "State", "Since", "Patients' keys", "Months' keys")
    for each in found.versions:
        since = f"{each.since:%Y-%m-%d %H:%M}" if each.since else ""
        table.add_row(each.version, each.state, since, str(each.patients), str(each.months))
    console.print(table)


@keys_cli.command()
def rotate(
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Do not retire the version before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Wrap every data key under a new version, then retire the old one. Go on with it where it was cut short."""
    provider = key_provider(load_settings())
    with _custodian() as connection, _progress("Wrapping keys", hidden=as_json) as told:
        done = rotation.rotate(connection, provider, told, keep_old=keep_old)
    if as_json:
        _print_json(done._asdict())
        return
    console.print(f"Version {done.version} wraps all keys; {done.rewrapped} were wrapped anew.", highlight=False)
    if done.retired:
        console.print(
            f"Retired: {', '.join(done.retired)}. Take a base backup now, and destroy the copies of the old key file.",
            highlight=False,
        )


@contextmanager
def _custodian() -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(load_settings().database_url(Role.CUSTODIAN), autocommit=True) as connection:
        yield connection


@contextmanager
def _progress(words: str, *, hidden: bool) -> Iterator[rotation.Progress]:
    on_screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=on_screen, disable=hidden or not on_screen.is_terminal) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
