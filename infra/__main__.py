"""`python -m infra`: runs the development system, and looks after the store, its keys and its demo."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from consumers.outcomes import markdown, outcome_table
from infra import logging
from infra.checks import checks
from infra.children import StartError
from infra.custody.cli import keys_cli, reapply_all
from infra.custody.destruction import keep_to
from infra.custody.ledger import LedgerBroken
from infra.custody.providers import key_provider
from infra.custody.rotation import CustodyRefused
from infra.demo import DEMO_SEED, NoSuchPatient, any_care_lead, demo_people, patient_state
from infra.documents import DOCUMENTS
from infra.evidence import checkpoint_cli, verify_cli
from infra.foundations import ROOT
from infra.keys import KeyRing, KeyUnusable
from infra.local_issuer import ROLES, IssuerRefused, local_issuer
from infra.migrate import MigrationError
from infra.migrate import migrate as apply_migrations
from infra.settings import Role, Settings, SettingsError, load_settings
from infra.supervisor import Supervisor, follow_make
from infra.synthetic import simulate as hospitals
from infra.synthetic.simulate import Sender, SendFailed, Told
from infra.topics import TopicError
from projections.commands import evidence as evidence_cli

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Run the development system; store, keys, tokens, demo people."
)
cli.add_typer(keys_cli, name="keys")
cli.add_typer(checkpoint_cli.cli, name="checkpoint")
cli.command()(verify_cli.verify)
cli.add_typer(evidence_cli.cli, name="evidence")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
# What a person at the terminal can mend: said in one line, without a trace.
_SAID_PLAINLY = (
    *(SettingsError, StartError, MigrationError, TopicError, KeyUnusable, IssuerRefused, NoSuchPatient, SendFailed),
    *(CustodyRefused, LedgerBroken),
    *checkpoint_cli.REFUSALS,
    evidence_cli.ExportRefused,
)


class Door(StrEnum):
    KAFKA = "kafka"
    HTTP = "http"
    FILE = "file"


@cli.command()
def run() -> None:
    """Start everything on this machine until Ctrl-C: PORT, KAFKA_PORT, DATA_DIR, DEMO_PATIENTS."""
    os.environ.setdefault("ENVIRONMENT", "development")
    settings = load_settings()
    if not settings.in_development:
        raise StartError("`run` is for development; in production start each process by its own command (README)")
    follow_make()
    Supervisor(settings, console).run()


@cli.command()
def migrate() -> None:
    """Apply the migrations that are missing, as the owner role, and destroyed keys that a restore brought back."""
    settings = load_settings()
    with psycopg.connect(settings.database_url(Role.OWNER), autocommit=True) as owner:
        names = apply_migrations(owner)
        if not settings.in_development:
            keep_to(owner, settings.destruction_delay)
    names += [f"the destruction of key of patient {each.patient_id} again" for each in reapply_all(settings)]
    console.print("\n".join(f"applied {name}" for name in names) or "Nothing to apply.", highlight=False)


@cli.command()
def check(as_json: AsJson = False) -> None:
    """Try every part that the processes need; exit 1 when one does not work."""
    found = list(checks(load_settings()))
    if as_json:
        _print_json([each._asdict() for each in found])
    else:
        table = Table("Part", "Works", "Detail")
        for each in found:
            table.add_row(each.what, "[green]yes" if each.passed else "[red]no", each.detail)
        console.print(table)
    if not all(each.passed for each in found):
        raise typer.Exit(1)


@cli.command()
def token(
    role: Annotated[str | None, typer.Argument(envvar="ROLE", help=", ".join(ROLES))] = None,
    patient: Annotated[str | None, typer.Option(envvar="PATIENT", help="A patient_id of the log.")] = None,
    org: Annotated[str | None, typer.Option(envvar="ORG", help="ODS code that the token names.")] = None,
) -> None:
    """Print a bearer token of the local issuer, and nothing else."""
    if not role:
        raise IssuerRefused(f"name a role: make token ROLE=…; there are {', '.join(ROLES)}")
    settings = load_settings()
    if settings.in_development and settings.postgres_port is None:
        sys.stderr.write(f"note: nothing runs on {settings.data_dir}; is another DATA_DIR meant?\n")
    issuer = local_issuer(settings)
    details = _details(settings, role, patient or None)
    typer.echo(issuer.token(role, organisation=org or details.organisation, **details.of_person))


@dataclass(frozen=True)
class _Details:
    """What the log adds to a token: the patient's own number and birth date, or the care lead's identity."""

    organisation: str | None
    of_person: dict[str, Any]


def _details(settings: Settings, role: str, patient: str | None) -> _Details:
    if patient is None or role not in ("patient", "care-lead"):
        return _Details(None, {})
    with _reading(settings) as (reader, keys):
        state = patient_state(reader, keys, _uuid(patient))
    if role == "care-lead":
        lead = any_care_lead(state)
        if lead is None:
            raise IssuerRefused("nobody is named as this patient's care lead")
        return _Details(lead.organisation, {"subject": lead.professional})
    number = min(state.nhs_numbers(), default=None)
    if number is None or state.birth_date is None or len(state.birth_date) != len("2000-01-01"):
        raise IssuerRefused("NHS login would not know this patient: no NHS number or no whole date of birth recorded")
    return _Details(None, {"nhs_number": number, "birth_date": date.fromisoformat(state.birth_date)})


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NoSuchPatient("PATIENT is a patient_id (a UUID); `python -m infra demo` lists the demo's") from None


@cli.command()
def demo(as_json: AsJson = False) -> None:
    """List the demo people: who they are in the log, and what their story shows."""
    settings = load_settings()
    told = hospitals.read_told(settings.data_dir, DEMO_SEED)
    with _reading(settings) as (reader, keys):
        people = demo_people(reader, keys, told) if told else []
    if as_json:
        _print_json([each._asdict() for each in people])
        return
    table = Table(*(Column(each, no_wrap=True) for each in ("Patient", "NHS number", "Born")), "Story")
    for each in people:
        born = each.birth_date.isoformat()
        patient_id = str(each.patient_id) if each.patient_id else "not in the log yet"
        table.add_row(patient_id, each.nhs_number, born, each.shows)
    console.print(table if people else "No demo people were sent; see DEMO_PATIENTS.")


@cli.command()
def simulate(
    patients: Annotated[int, typer.Option(min=0, help="How many people.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same people and messages.")] = DEMO_SEED,
    to: Annotated[Door, typer.Option(help="Where to send.")] = Door.KAFKA,
    out: Annotated[Path | None, typer.Option(help="For --to file; default standard output.")] = None,
    token: Annotated[str | None, typer.Option(help="For --to http; default the local issuer's.")] = None,
    today: Annotated[str | None, typer.Option(help="Last day told; default the seed's one before.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the people of this seed sent before.")] = False,
) -> None:
    """Send invented people's journeys, as hospital systems would."""
    settings = load_settings()
    logging.configure("simulate", settings.log_level, sys.stderr)
    kept = hospitals.read_told(settings.data_dir, seed)
    told = _beginning(seed, today, kept, resume=resume)
    sender = _sender(settings, to, out, token)
    before = kept.people if kept else 0

    def after_each(now: Told) -> None:
        if to is not Door.FILE and now.people > before:
            hospitals.write_told(settings.data_dir, now)

    try:
        done = _sent(sender, told, patients, after_each)
    finally:
        sender.close()
    people = max(0, done.people - told.people)
    typer.echo(f"{people} people sent to {to}, told up to {done.day}", err=True)


def _sent(sender: Sender, told: Told, patients: int, after_each: Callable[[Told], None]) -> Told:
    on_screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=on_screen, disable=not on_screen.is_terminal) as progress:
        task = progress.add_task(f"Sending people of seed {told.seed}", total=patients, completed=told.people)

        def advance(now: Told) -> None:
            progress.update(task, completed=now.people)
            after_each(now)

        return hospitals.simulate(sender, told, patients, advance)


def _beginning(seed: int, today: str | None, kept: Told | None, *, resume: bool) -> Told:
    """The day of a seed stays what it was: the same message must never be told in two ways."""
    if kept is not None and (today is None or resume):
        return kept if resume else kept._replace(people=0)
    try:
        return Told(seed, date.fromisoformat(today) if today else date.today())  # noqa: DTZ011 the user's own day
    except ValueError:
        raise SendFailed("--today is a date such as 2026-03-01") from None


def _sender(settings: Settings, to: Door, out: Path | None, token: str | None) -> Sender:
    match to:
        case Door.KAFKA:
            return hospitals.ToKafka(settings.kafka(), settings.events_topic)
        case Door.HTTP:
            return hospitals.http_sender(settings, local_issuer(settings) if token is None else None, token)
        case Door.FILE:
            return hospitals.ToFile(out)


@cli.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when one is out of date.")] = False,
) -> None:
    """Generate the documents that are made from the code."""
    stale = []
    for name, content in _documents(load_settings().examples_dir):
        path = ROOT / "docs" / name
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            stale.append(name)
            if not check:
                path.write_text(content, encoding="utf-8")
    words = "out of date" if check else "written"
    console.print("\n".join(f"{name}: {words}" for name in stale) or "All up to date.", highlight=False)
    if check and stale:
        raise typer.Exit(1)


def _documents(examples: Path) -> Iterator[tuple[str, str]]:
    yield from ((name, make()) for name, make in DOCUMENTS.items())
    # The examples are public, but not part of the project: where they are absent, their table stays as it is.
    if examples.is_dir():
        yield "examples.md", markdown(outcome_table(examples))


@contextmanager
def _reading(settings: Settings) -> Iterator[tuple["psycopg.Connection[Any]", KeyRing]]:
    keys = KeyRing(key_provider(settings))
    with psycopg.connect(settings.database_url(Role.READER), autocommit=True) as reader:
        yield reader, keys


def _print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def main() -> None:
    try:
        cli()
    except _SAID_PLAINLY as error:
        _fail(str(error))
    except psycopg.OperationalError as error:
        _fail(f"PostgreSQL does not answer ({type(error).__name__}); does `make run` run on this DATA_DIR?")


def _fail(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
