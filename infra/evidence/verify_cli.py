"""`python -m infra verify`: audits the store as role auditor, against the checkpoints kept outside."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple

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

from infra.children import is_free
from infra.evidence import signing_key
from infra.evidence.audit import Audit, Audited, Kept
from infra.evidence.checkpoints import unverified_checkpoint
from infra.evidence.heads_audit import AuditedHeads, KeptHeads
from infra.evidence.notes import NoteRefused, Signer, Verifier
from infra.evidence.outside import Outside
from infra.evidence.signer import log_names
from infra.evidence.tiles import LogName
from infra.evidence.topic import CheckpointTopic, TopicSilent
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
EveryHead = Annotated[
    bool, typer.Option("--every-head", help="Make every signed tree of heads anew, however long it takes.")
]


def verify(as_json: AsJson = False, key: Keys = None, checkpoint: Notes = None, every_head: EveryHead = False) -> None:
    """Audit the whole store: positions, sequences, times, leaves, tiles, heads, and every note kept outside."""
    settings = load_settings()
    url = settings.database_url(Role.AUDITOR)
    with psycopg.connect(url, autocommit=True) as auditor:
        row = auditor.execute("select branch from log.epoch").fetchone()
    kept = _kept(settings, row[0] if row else "", key or [])
    heads = KeptHeads(kept[0].verifier, Outside(settings.checkpoints_folder(), "heads"), every=every_head)
    _brought(kept, heads, [each.read_bytes() for each in checkpoint or []])
    is_compared = _published(settings, kept, heads)
    with _progress() as progress:
        tasks: dict[str, TaskID] = {}

        def advanced(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done, total=of)

        audit = Audit(lambda: psycopg.connect(url, autocommit=True), advanced)
        findings = list(islice(audit.run(kept, heads), _MOST_FINDINGS))
    _show(Told(audit.audited, heads.audited(), findings, is_compared), as_json)
    if findings:
        raise typer.Exit(1)


def _kept(settings: Settings, branch: str, keys: Sequence[str]) -> list[Kept]:
    """Raises NoteRefused for a key that is none or of another log."""
    given = {each.name: each for each in map(Verifier.parse, keys)}
    made = []
    for log, name in log_names(settings.log_name()).items():
        origin = name + branch
        verifier = given.pop(origin, None) or _own(settings, origin)
        made.append(Kept(log, verifier, Outside(settings.checkpoints_folder(), log)))
    if given:
        raise NoteRefused(f"no log here is called {next(iter(given))}")
    return made


def _places(kept: Sequence[Kept], heads: KeptHeads) -> dict[str, Kept | KeptHeads]:
    """By the origin of the notes that belong there."""
    return {**{each.verifier.name: each for each in kept}, f"{heads.verifier.name}/heads": heads}


def _brought(kept: Sequence[Kept], heads: KeptHeads, notes: Sequence[bytes]) -> None:
    """Puts notes from elsewhere where they are compared. Raises NoteRefused for one of neither log."""
    places = _places(kept, heads)
    for note in notes:
        origin = unverified_checkpoint(note).origin
        if origin not in places:
            raise NoteRefused(f"the checkpoint given is of {origin}, which is no log of this epoch here")
        places[origin].more = [*places[origin].more, note]


def _published(settings: Settings, kept: Sequence[Kept], heads: KeptHeads) -> bool:
    """Adds the newest notes of the topic, where the settings name a Kafka; whether there was one. A topic that is
    silent is a finding."""
    if settings.kafka_bootstrap is None and (not settings.in_development or is_free(settings.kafka_port)):
        return False
    topic = CheckpointTopic(settings.kafka(), settings.checkpoints_topic)
    try:
        for origin, place in _places(kept, heads).items():
            note = topic.newest(origin)
            place.more = [*place.more, *([] if note is None else [note])]
    except TopicSilent as error:
        kept[0].findings.append(Finding("notes", LogName.EVENTS, None, f"the topic was not compared: {error}"))
    finally:
        topic.close()
    return True


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


class Told(NamedTuple):
    """What is shown. `topic`: whether there was a topic whose newest notes were compared too."""

    logs: Sequence[Audited]
    heads: AuditedHeads
    findings: Sequence[Finding]
    topic: bool


def _show(told: Told, as_json: bool) -> None:
    if as_json:
        whole = {
            "holds": not told.findings,
            "logs": [each._asdict() for each in told.logs],
            "heads": told.heads._asdict(),
            "topic": told.topic,
            "findings": [each._asdict() for each in told.findings],
        }
        typer.echo(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("Log", "Leaves", "Checkpoints that hold", "Last of", "Of earlier epochs")
    for log, *counts in told.logs:
        table.add_row(log, *(f"{count:,}" for count in counts))
    console.print(table)
    signed, recomputed, through, _ = told.heads
    console.print(f"Heads: {signed:,} were signed, the last of {through:,} events; {recomputed:,} were made anew.")
    if not told.topic:
        console.print("There is no topic of checkpoints here; the folder alone was compared.")
    for each in told.findings:
        at = "" if each.position is None else f" at position {each.position}"
        console.print(f"[red]{each.log}, {each.check}{at}: {each.what}", highlight=False, soft_wrap=True)
    console.print("Something is wrong; see above." if told.findings else "Everything is as it was recorded and signed.")
