"""`python -m consumers`: takes messages in, publishes files, and looks after what was set aside."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import psycopg
import typer
from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from consumers import rejected
from consumers.asyncapi import asyncapi as asyncapi_document
from consumers.ingest_metrics import IngestMetrics
from consumers.kafka import Intake
from consumers.pipeline import Pipeline
from consumers.places import NotPassedOver, TopicUnreadable, pass_over
from consumers.publish import DEFAULT_SOURCE, NotPublished, messages_of, send
from consumers.schemas import schema, schemas
from consumers.vocabulary import vocabulary
from infra import logging
from infra.connections import appending
from infra.custody.agreement import refuse_unapplied
from infra.custody.ledger import LedgerBroken
from infra.custody.providers import guard, key_provider, ledger
from infra.custody.rotation import CustodyRefused
from infra.garbage import spare_what_is_held
from infra.keys import KeyRing
from infra.settings import Role, Settings, SettingsError, load_settings
from infra.writing.log import Log
from infra.writing.metrics import WriteMetrics
from infra.writing.writer import Writer

cli = typer.Typer(no_args_is_help=True, help="Messages in: consume them, publish files, resolve what was set aside.")
rejected_cli = typer.Typer(no_args_is_help=True, help="Messages set aside with a reason; their bytes are kept.")
cli.add_typer(rejected_cli, name="rejected")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _connect(settings: Settings) -> "psycopg.Connection[Any]":
    return appending(settings.database_url(Role.WRITER))


def _key_ring(settings: Settings) -> KeyRing:
    return KeyRing(key_provider(settings))


@contextmanager
def _writing(settings: Settings, keys: KeyRing, registry: CollectorRegistry | None = None) -> Iterator[Writer]:
    guarding = guard(settings)
    store = Log(lambda: guarding.opened(lambda: _connect(settings)), keys)
    with closing(Writer(store, keys, metrics=WriteMetrics(registry))) as writer:
        yield writer


@cli.command()
def run(metrics_port: Annotated[int, typer.Option(help="Port for Prometheus on loopback; 0 for none.")] = 0) -> None:
    """Consume until stopped; SIGTERM finishes the batch in hand."""
    settings = load_settings()
    logging.configure("consumers", settings.log_level)
    with _connect(settings) as connection:
        refuse_unapplied(connection, ledger(settings))
    keys = _key_ring(settings)
    registry = CollectorRegistry()
    if metrics_port:
        start_http_server(metrics_port, addr="127.0.0.1", registry=registry)
    with _writing(settings, keys, registry) as writer, closing(Log(lambda: _connect(settings), keys)) as offsets:
        intake = Intake(
            settings.kafka(), settings.events_topic, Pipeline(keys), writer, offsets, IngestMetrics(registry)
        )
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: intake.stop())
        spare_what_is_held()
        intake.run()


@cli.command("pass-over")
def pass_over_records(
    partition: int,
    to: Annotated[int, typer.Option(help="The offset at which to go on.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
) -> None:
    """Leave out records that cannot be read or are gone, on purpose; then restart the consumer."""
    settings = load_settings()
    keys, kafka, topic = _key_ring(settings), settings.kafka(), settings.events_topic
    with _writing(settings, keys) as writer, closing(Log(lambda: _connect(settings), keys)) as offsets:
        first = pass_over(kafka, offsets, writer, keys, (topic, partition), to, reason)
    console.print(f"{topic}/{partition}: offsets {first} to {to - 1} are passed over; `rejected list` names them.")


@cli.command()
def publish(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True)],
    source: Annotated[str, typer.Option(help="CloudEvents source of documents that are not events.")] = DEFAULT_SOURCE,
    topic: Annotated[str | None, typer.Option(help="Default: EVENTS_TOPIC.")] = None,
) -> None:
    """Send files to Kafka: CloudEvents, also one a line; FHIR JSON; anything else as it is."""
    settings = load_settings()
    messages = [message for path in files for message in messages_of(path, source)]
    with Progress(console=console) as progress:
        task = progress.add_task("Publishing", total=len(messages))
        for acknowledged in send(settings.kafka(), topic or settings.events_topic, messages):
            progress.update(task, completed=acknowledged)
    console.print(f"{len(messages)} messages of {len(files)} files are with Kafka.")


@cli.command("schemas")
def show_schemas(name: Annotated[str | None, typer.Argument()] = None, as_json: AsJson = False) -> None:
    """The JSON Schema of one type, by its name such as pathway.diagnosis-agreed.v1; without a name, all types."""
    if name is not None:
        if name not in vocabulary():
            raise typer.BadParameter("there is no such type; `schemas` lists all")
        _print(rejected.as_json(schema(name)))
    elif as_json:
        _print(rejected.as_json(schemas()))
    else:
        for each in vocabulary():
            _print(each)


@cli.command()
def asyncapi() -> None:
    """The AsyncAPI document of the inbound topic."""
    _print(rejected.as_json(asyncapi_document(load_settings().events_topic)))


@rejected_cli.command("list")
def list_rejected(
    state: Annotated[str, typer.Option(help="open, resolved, discarded or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """Newest first, with the first reason of each."""
    with _connect(load_settings()) as connection:
        rows = rejected.rejected_messages(connection, None if state == "all" else state, limit)
    if as_json:
        _print(rejected.as_json([each.told() for each in rows]))
        return
    table = Table(Column("Id, since (UTC), owner", no_wrap=True), Column("Reason, field", overflow="fold"), "Tries")
    for each in rows:
        first = each.reasons[0] if each.reasons else {}
        more = f" and {len(each.reasons) - 1} more" if len(each.reasons) > 1 else ""
        since = f"{each.rejected_at.astimezone(UTC):%Y-%m-%d %H:%M}"
        reason = f"{first.get('code', '')}{more}\n{first.get('field', '')}"
        table.add_row(f"{each.rejected_id}\n{since}  {each.owner}", reason, str(each.attempts))
    console.print(table)


@rejected_cli.command()
def show(
    rejected_id: UUID,
    raw: Annotated[bool, typer.Option("--raw", help="Print the message's bytes: THIS IS PATIENT DATA.")] = False,
    as_json: AsJson = False,
) -> None:
    """Reasons, coordinates and attempts of one message; patient data only with --raw, which is noted as an access."""
    settings = load_settings()
    with _connect(settings) as connection:
        found = rejected.rejected_message(connection, rejected_id)
        if found is None:
            raise typer.BadParameter("there is no such rejected message")
        if raw:
            with psycopg.connect(settings.database_url(Role.AUDITOR), autocommit=True) as auditor:
                sys.stdout.buffer.write(rejected.shown_raw(auditor, _key_ring(settings), found, getuser()))
            return
    if as_json:
        _print(rejected.as_json(found.told()))
        return
    for name, value in found.told().items():
        if name != "reasons":
            console.print(f"{name.replace('_', ' ')}: {value}", highlight=False, markup=False)
    for reason in found.reasons:
        console.print("; ".join(f"{name}: {value}" for name, value in reason.items()), highlight=False, markup=False)


@rejected_cli.command()
def retry(rejected_ids: list[UUID], as_json: AsJson = False) -> None:
    """Take the same bytes up again, after a translator or the source's patient was mended."""
    settings = load_settings()
    keys = _key_ring(settings)
    told = {}
    with _connect(settings) as connection, _writing(settings, keys) as writer:
        for each in rejected_ids:
            told[str(each)] = rejected.retry(connection, keys, writer, Pipeline(keys), each).outcome
    if as_json:
        _print(rejected.as_json(told))
        return
    for rejected_id, outcome in told.items():
        console.print(f"{rejected_id}: {outcome}")


@rejected_cli.command()
def discard(rejected_id: UUID, reason: Annotated[str, typer.Option(help="Why; it is kept.")]) -> None:
    """Close a message for good, with a reason."""
    with _connect(load_settings()) as connection:
        if not rejected.discard(connection, rejected_id, reason):
            raise typer.BadParameter("there is no such open message")
    console.print(f"{rejected_id}: discarded")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


_TOLD = (
    SettingsError,
    NotPublished,
    NotPassedOver,
    TopicUnreadable,
    rejected.NotRetried,
    CustodyRefused,
    LedgerBroken,
)


def main() -> None:
    """What an operator can mend is told in one line; anything else keeps its traceback."""
    try:
        cli()
    except _TOLD as error:
        sys.exit(str(error))
    except psycopg.OperationalError:
        sys.exit("The database does not answer: start it with `make run`, or set DATABASE_URL_WRITER.")


if __name__ == "__main__":
    main()
