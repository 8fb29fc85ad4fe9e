"""`python -m infra evidence`: one person's record with its proofs, written to a file."""

import getpass
import os
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import psycopg
import typer
from rich.console import Console
from rich.table import Column, Table

from infra.custody.providers import key_provider
from infra.evidence import signing_key
from infra.evidence.export import EvidenceBroken
from infra.keys import KeyRing
from infra.settings import Role, Settings, load_settings
from infra.version import version
from projections.reading.evidence import Exports, Made, NotYetSealed, OlderUnknown
from projections.reading.reads import Reader, Refused


class ExportRefused(Exception):
    """Nothing was exported; the message says why and what to do."""


cli = typer.Typer(help="Export a person's record with its proofs.", no_args_is_help=True, add_completion=False)
console = Console()


@cli.callback()
def evidence() -> None:
    """Commands about evidence."""


@cli.command()
def export(
    patient: Annotated[str, typer.Argument(help="A patient_id of the log.")],
    out: Annotated[Path, typer.Option(help="The zip to write; a file that is there is not overwritten.")],
    since_checkpoint: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="An older checkpoint, as a signed note.")
    ] = None,
    without_words: Annotated[bool, typer.Option("--without-words", help="Leave out what the events say.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Write all events of a person with their proofs to a zip that anyone can check offline; noted as an access."""
    settings = load_settings()
    older = since_checkpoint.read_bytes() if since_checkpoint else None
    try:
        # What the events say is for nobody else who has an account here.
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            try:
                made = _made(settings, _patient(patient), older, with_words=not without_words)
                file.write(made.content)
            except BaseException:
                out.unlink()
                raise
    except OSError as error:
        raise ExportRefused(f"{out} cannot be written: {error.strerror}") from None
    told = {
        "file": str(out),
        "bytes": len(made.content),
        "checkpoint": made.size,
        "not_in_it": made.head - made.size,
        "key": made.key,
    }
    _show(told, as_json=as_json)


def _made(settings: Settings, patient_id: UUID, older: bytes | None, *, with_words: bool) -> Made:
    url = settings.database_url(Role.READER)
    private = signing_key.read(settings.exports_key_file())
    keys = KeyRing(key_provider(settings))
    exports = Exports(lambda: psycopg.connect(url, autocommit=True), keys, private, version())
    reader = Reader(f"terminal/{_who()}", "operator", any_patient=True, purpose="evidence-export")
    try:
        return exports.export(patient_id, reader, older, with_words=with_words)
    except Refused:
        raise ExportRefused("no such patient; `python -m infra demo` lists the demo's") from None
    except NotYetSealed:
        raise ExportRefused(
            "the log has not signed this patient's events yet: `python -m infra checkpoint` signs now"
        ) from None
    except OlderUnknown as error:
        raise ExportRefused(f"the older checkpoint is not one of this log's: {error}") from None
    except EvidenceBroken as error:
        raise ExportRefused(
            f"what is stored contradicts what was signed: {error}; see `python -m infra verify`"
        ) from None


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        return str(os.getuid())


def _patient(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ExportRefused("PATIENT is a patient_id (a UUID); `python -m infra demo` lists the demo's") from None


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("Export", Column(overflow="fold"), show_header=False)
    for name, value in {
        "File": told["file"],
        "Checkpoint": f"{told['checkpoint']:,} events of the log",
        "Recorded later, not in it": f"{told['not_in_it']:,} events of the log, of anyone",
        "Key of the log": told["key"],
        "Check it with": f"python verify.py {told['file']} --key KEY",
    }.items():
        table.add_row(name, str(value))
    console.print(table)
