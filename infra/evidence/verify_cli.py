"""`python -m infra verify`: audits the store as role auditor, against the checkpoints kept outside."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import orjson
import psycopg
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from infra.evidence import signing_key
from infra.evidence.audit import Audit, Audited, Kept
from infra.evidence.checkpoints import unverified_checkpoint
from infra.evidence.notes import NoteRefused, Signer, Verifier
from infra.evidence.outside import Outside
from infra.evidence.signer import log_names
from infra.evidence.walk import Finding
from infra.settings import Role, Settings, load_settings

# Of a store that is wholly another one, the first lines tell as much as the last.
_MOST_FINDINGS = 100

console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="Verifier key of a log, from elsewhere; default: the key that signs here."),
]
Notes = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", exists=True, dir_okay=False, help="A checkpoint from elsewhere, to be compared too."),
]


def verify(as_json: AsJson = False, key: Keys = None, checkpoint: Notes = None) -> None:
    """Audit the whole store: positions, sequences, times, leaves, tiles, and every checkpoint kept outside."""
    settings = load_settings()
    url = settings.database_url(Role.AUDITOR)
    with psycopg.connect(url, autocommit=True) as auditor:
        row = auditor.execute("select branch from log.epoch").fetchone()
    kept = _kept(settings, row[0] if row else "", key or [], [each.read_bytes() for each in checkpoint or []])
    with _progress() as progress:
        tasks: dict[str, TaskID] = {}

        def advanced(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done, total=of)

        audit = Audit(lambda: psycopg.connect(url, autocommit=True), advanced)
        findings = list(islice(audit.run(kept), _MOST_FINDINGS))
    _show(audit.audited, findings, as_json)
    if findings:
        raise typer.Exit(1)


def _kept(settings: Settings, branch: str, keys: Sequence[str], notes: Sequence[bytes]) -> list[Kept]:
    """Raises NoteRefused for a key that is none or of another log, and for a note of neither log."""
    given = {each.name: each for each in map(Verifier.parse, keys)}
    made = []
    for log, name in log_names(settings.log_name()).items():
        origin = name + branch
        verifier = given.pop(origin, None) or _own(settings, origin)
        made.append(Kept(log, verifier, Outside(settings.checkpoints_folder(), log)))
    if given:
        raise NoteRefused(f"no log here is called {next(iter(given))}")
    for note in notes:
        origin = unverified_checkpoint(note).origin
        found = next((each for each in made if each.verifier.name == origin), None)
        if found is None:
            raise NoteRefused(f"the checkpoint given is of {origin}, which is no log of this epoch here")
        found.more = [*found.more, note]
    return made


def _own(settings: Settings, origin: str) -> Verifier:
    return Signer(origin, signing_key.read(settings.signing_key_file())).verifier


def _progress() -> Progress:
    on_screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, console=on_screen, disable=not on_screen.is_terminal)


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> str:
        return f"{task.speed or 0:,.0f}/s"


def _show(audited: Iterable[Audited], findings: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        told = {
            "holds": not findings,
            "logs": [each._asdict() for each in audited],
            "findings": [each._asdict() for each in findings],
        }
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("Log", "Leaves", "Checkpoints that hold", "Last of", "Of earlier epochs")
    for log, *counts in audited:
        table.add_row(log, *(f"{count:,}" for count in counts))
    console.print(table)
    for each in findings:
        at = "" if each.position is None else f" at position {each.position}"
        console.print(f"[red]{each.log}, {each.check}{at}: {each.what}", highlight=False, soft_wrap=True)
    console.print("Something is wrong; see above." if findings else "Everything is as it was recorded and signed.")
