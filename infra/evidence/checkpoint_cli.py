"""`python -m infra checkpoint`: signs what the log holds, shows what was signed, opens a new epoch."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import psycopg
import structlog
import typer
from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from rich.console import Console
from rich.table import Column, Table

from infra import logging
from infra.children import is_free
from infra.evidence import epochs, signing_key
from infra.evidence.heads_keeper import HeadsKeeper
from infra.evidence.notes import NoteRefused, Signer, to_base64
from infra.evidence.outside import Outside
from infra.evidence.sealing import Measurements, Sealing
from infra.evidence.signer import LogSigner, Published, Signed, SigningRefused, log_names, newest_kept
from infra.evidence.tiles import Tiles
from infra.evidence.topic import CheckpointTopic, TopicSilent
from infra.settings import Role, Settings, load_settings

REFUSALS = (SigningRefused, TopicSilent, NoteRefused, epochs.NothingBroken)
_PATIENCE_SECONDS = 30.0
_SILENT = (
    "the running process signs nothing: `checkpoint_refused` in its log names the reason, "
    "`python -m infra verify` the place"
)

cli = typer.Typer(help="Sign what the log holds, show what was signed, open a new epoch.", add_completion=False)
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MetricsPort = Annotated[int, typer.Option(help="Port for Prometheus on loopback; 0 for none.")]


@cli.callback(invoke_without_command=True)
def checkpoint(context: typer.Context, as_json: AsJson = False) -> None:
    """Without a command: sign both logs as they are now, and show the checkpoints."""
    if context.invoked_subcommand is None:
        settings = load_settings()
        logging.configure("checkpoint", "WARNING", sys.stderr)
        with _sealing(settings, CollectorRegistry()) as sealing, sealing.connect() as connection:
            _show(_signed_now(sealing, connection), as_json)


@cli.command()
def run(metrics_port: MetricsPort = 0) -> None:
    """Seal accesses and sign checkpoints until stopped. Several may run: one leads, another takes over."""
    stopping = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopping.set())
    settings = load_settings()
    logging.configure("checkpoint", settings.log_level)
    if metrics_port:
        start_http_server(metrics_port, addr="127.0.0.1")
    with _sealing(settings, REGISTRY) as sealing:
        structlog.get_logger("checkpoint").info("sealing_running", seconds=settings.checkpoint_seconds)
        sealing.run(stopping.is_set)


@cli.command()
def keys(as_json: AsJson = False) -> None:
    """Print the verifier keys, which an auditor compares with copies from elsewhere."""
    settings = load_settings()
    with psycopg.connect(settings.database_url(Role.AUDITOR), autocommit=True) as auditor:
        row = auditor.execute("select branch from log.epoch").fetchone()
    private = signing_key.read(settings.signing_key_file())
    branch = row[0] if row else ""
    told = {
        str(log): str(Signer(name + branch, private).verifier) for log, name in log_names(settings.log_name()).items()
    }
    typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() if as_json else "\n".join(told.values()))


@cli.command()
def reopen(
    reason: Annotated[epochs.Reason, typer.Option(help="Why the log no longer extends what was signed.")],
    as_json: AsJson = False,
) -> None:
    """Open a new epoch after a restore or a failover, as the owner role; the first new leaf names the break."""
    settings = load_settings()
    with (
        _sealing(settings, CollectorRegistry()) as sealing,
        psycopg.connect(settings.database_url(Role.OWNER), autocommit=True) as owner,
    ):
        epoch = epochs.reopen(owner, sealing.signers, reason)
    said = f"Epoch {epoch} is open; what was signed before stays as it is and is followed by new origins."
    typer.echo(orjson.dumps({"epoch": epoch}).decode() if as_json else said)


def _signed_now(sealing: Sealing, connection: "psycopg.Connection[Any]") -> list[Signed]:
    """By ourselves, or, where a process leads already, by waiting for it to have signed all that is there now."""
    until = time.monotonic() + _PATIENCE_SECONDS
    heads = {each.log: Tiles(connection, each.log).head() for each in sealing.signers}
    while not sealing.is_leader(connection):
        kept = [newest_kept(connection, each.log, each.name) for each in sealing.signers]
        found = {each.log: each for each in kept if each is not None}
        if all(size == 0 or (log in found and found[log].checkpoint.size >= size) for log, size in heads.items()):
            return list(found.values())
        if time.monotonic() > until:
            raise SigningRefused("busy", _SILENT)
        time.sleep(0.2)
    return sealing.round(connection)


def _show(signed: list[Signed], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps([_told(each) for each in signed], option=orjson.OPT_INDENT_2).decode())
        return
    table = Table("Log", Column("Origin", no_wrap=True), "Size", Column("Root", overflow="fold"))
    for each in signed:
        origin, size, root = each.checkpoint
        table.add_row(each.log, origin, str(size), to_base64(root))
    console.print(table if signed else "Nothing was recorded yet, so there is nothing to sign.")


def _told(signed: Signed) -> dict[str, object]:
    origin, size, root = signed.checkpoint
    return {"log": signed.log, "origin": origin, "size": size, "root": to_base64(root), "note": signed.note.decode()}


@contextmanager
def _sealing(settings: Settings, registry: CollectorRegistry) -> Iterator[Sealing]:
    """Raises SettingsError, KeyUnusable."""
    url = settings.database_url(Role.SEALER)
    private = signing_key.read(settings.signing_key_file())
    topic = CheckpointTopic(settings.kafka(), settings.checkpoints_topic) if _has_kafka(settings) else None
    signers = [
        LogSigner(log, name, private, Outside(settings.checkpoints_folder(), log), _published(topic))
        for log, name in log_names(settings.log_name()).items()
    ]
    try:
        yield Sealing(
            lambda: psycopg.connect(url, autocommit=True), signers, topic, Measurements(registry),
            settings.checkpoint_seconds,
            HeadsKeeper(signing_key.read_public(settings.exports_public_file()),
                        Outside(settings.checkpoints_folder(), "heads")),
        )  # fmt: skip
    finally:
        if topic is not None:
            topic.close()


def _published(topic: CheckpointTopic | None) -> Published:
    return (lambda _: None) if topic is None else topic.newest


def _has_kafka(settings: Settings) -> bool:
    """A development system may run without; then the folder alone is outside."""
    return not settings.in_development or settings.kafka_bootstrap is not None or not is_free(settings.kafka_port)
