"""`python -m infra keys`: how the keys stand, their rotation, holds, and the destruction of a patient's key."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date
from getpass import getuser
from typing import Annotated, Any
from uuid import UUID

import orjson
import psycopg
import structlog
import typer
from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from domain.retention import LiftRetentionHold, PlaceRetentionHold
from infra import logging
from infra.custody import destruction, holds, reapplying, renewal, rotation
from infra.custody import standing as custody
from infra.custody.agreement import refuse_unapplied
from infra.custody.providers import key_provider, ledger
from infra.custody.rotation import CustodyRefused
from infra.custody.running import Custody, Measurements, Round
from infra.keys import KeyRing
from infra.settings import Role, Settings, load_settings
from infra.writing.log import Log
from infra.writing.writer import Writer

keys_cli = typer.Typer(no_args_is_help=True, help="Keys: how they stand, rotation, holds, destruction.")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
By = Annotated[str | None, typer.Option(help="Who you are; default the user of this computer.")]


@keys_cli.command()
def status(as_json: AsJson = False) -> None:
    """Which version of the key-encryption key wraps how many keys, destructions asked for and done, holds."""
    settings = load_settings()
    with _connected(settings, Role.CUSTODIAN) as connection:
        found = custody.status(connection, key_provider(settings), ledger(settings))
    if as_json:
        versions, destructions = ([each._asdict() for each in rows] for rows in (found.versions, found.destructions))
        _print_json(found._asdict() | {"versions": versions, "destructions": destructions})
        return
    table = Table("Version", "State", "Since, UTC", "Patients' keys", "Months' keys")
    for version in found.versions:
        table.add_row(version.version, version.state, _time(version.since), str(version.patients), str(version.months))
    console.print(table)
    if found.destructions:
        table = Table(Column("Patient", no_wrap=True), "Destruction", "Asked, confirmed by", "Due or done, UTC")
        for each in found.destructions:
            people = ", ".join(filter(None, (each.requested_by, each.confirmed_by)))
            table.add_row(str(each.patient_id), each.state, people, _time(each.carried_out_at or each.due_at))
        console.print(table)
    console.print(f"Records that are held: {found.held}. Destructions to be applied again: {found.unapplied}.")
    console.print(f"Keys of months to be renewed, since something under them was destroyed: {found.renewing}.")


@keys_cli.command()
def rotate(
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Do not retire the version before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Wrap every data key under a new version, then retire the old one. Go on with it where it was cut short."""
    settings = load_settings()
    with (
        _connected(settings, Role.CUSTODIAN) as connection,
        _progress("Wrapping keys", hidden=as_json) as told,
    ):
        done = rotation.rotate(connection, key_provider(settings), told, keep_old=keep_old)
    if as_json:
        _print_json(done._asdict())
        return
    console.print(f"Version {done.version} wraps all keys; {done.rewrapped} were wrapped anew.", highlight=False)
    if done.retired:
        retired = ", ".join(done.retired)
        console.print(f"Retired: {retired}. Take a base backup now, and destroy the copies of the old key file.")


@keys_cli.command()
def hold(
    patient: UUID,
    name: Annotated[str, typer.Argument(help="What the hold is for, such as an inquiry's number.")],
    reason: Annotated[str | None, typer.Option(help="Why; it is sealed with the patient's record.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Lift this hold instead.")] = False,
    by: By = None,
) -> None:
    """Keep a record from being destroyed, or free it again."""
    settings = load_settings()
    keys = KeyRing(key_provider(settings))
    command = (LiftRetentionHold if lift else PlaceRetentionHold)(hold=name, reason=reason)
    url = settings.database_url(Role.WRITER)
    with closing(Writer(Log(lambda: psycopg.connect(url, autocommit=True), keys), keys)) as writer:
        noted = holds.note(writer, patient, command, by or getuser())
    console.print("It was so already." if noted.position is None else f"Recorded at position {noted.position}.")


@keys_cli.command()
def destroy(
    patient: UUID,
    reason: Annotated[str | None, typer.Option(help="Ask for it. Stays in clear: do not say who it is.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="As a second person, agree.")] = False,
    carry_out: Annotated[bool, typer.Option("--carry-out", help="When the time to object has passed.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Call it off.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Destroy a patient's key for good: one person asks (--reason), another confirms, later it is carried out."""
    if [reason is not None, confirm, carry_out, withdraw].count(True) != 1:
        raise CustodyRefused("give one of --reason, --confirm, --carry-out and --withdraw")
    settings, who = load_settings(), by or getuser()
    keys = KeyRing(key_provider(settings))
    with _connected(settings, Role.CUSTODIAN) as connection:
        if not withdraw and not carry_out:
            refuse_unapplied(connection, ledger(settings))
        if reason is not None:
            destruction.request(connection, keys, patient, reason, who)
            said = "Asked for. Another person confirms with --confirm."
        elif confirm:
            due = destruction.confirm(connection, keys, patient, who, settings.destruction_delay)
            said = f"Confirmed. It may be carried out from {_time(due)} UTC."
        elif withdraw:
            destruction.withdraw(connection, patient, who)
            said = "Withdrawn."
        else:
            with _progress("Looking through messages", hidden=as_json) as told:
                done = destruction.carry_out(connection, keys, ledger(settings), patient, told)
                renewal.renew(connection, keys, told)
            said = (
                f"Destroyed, at position {done.position}; {done.copies} messages were removed. "
                "Backups from before hold the wrapped key until `keys rotate` retires what wrapped it."
            )
    if as_json:
        _print_json({"patient_id": str(patient), "done": said})
    else:
        console.print(said, highlight=False)


@keys_cli.command()
def expire(
    before: Annotated[str, typer.Option(help="Whole months before this one, such as 2026-06.")],
    as_json: AsJson = False,
) -> None:
    """End the keys of old months, and with them the messages of several people or none that came then."""
    try:
        first = date.fromisoformat(f"{before}-01")
    except ValueError:
        raise CustodyRefused("--before is a month such as 2026-06") from None
    with _connected(load_settings(), Role.CUSTODIAN) as connection:
        done = destruction.expire_months(connection, first)
    if as_json:
        _print_json(done._asdict())
    else:
        console.print(f"{done.months} months' keys ended, and {done.messages} messages with them.", highlight=False)


@keys_cli.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="All that is due now, and no more.")] = False,
    as_json: AsJson = False,
    metrics_port: Annotated[int, typer.Option(help="Port for Prometheus on loopback; 0 for none.")] = 0,
) -> None:
    """Carry out destructions when they are due, until stopped. Several may run: one leads, another takes over."""
    settings = load_settings()
    keys, url = KeyRing(key_provider(settings)), settings.database_url(Role.SHREDDER)
    registry = CollectorRegistry()
    custody_of = Custody(
        lambda: psycopg.connect(url, autocommit=True),
        keys,
        ledger(settings),
        Measurements(registry),
        settings.custody_seconds,
    )
    if once:
        logging.configure("custody", "WARNING", sys.stderr)
        with _connected(settings, Role.SHREDDER) as connection:
            _show_round(custody_of.round(connection), as_json)
        return
    stopping = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopping.set())
    logging.configure("custody", settings.log_level)
    if metrics_port:
        start_http_server(metrics_port, addr="127.0.0.1", registry=registry)
    structlog.get_logger("custody").info("custody_running", seconds=settings.custody_seconds)
    custody_of.run(stopping.is_set)


def _show_round(found: Round, as_json: bool) -> None:
    """Exit 1 where something that is due was refused."""
    if as_json:
        told = {name: [each._asdict() for each in getattr(found, name)] for name in ("done", "refused")}
        _print_json(told | {"renewed": found.renewed._asdict()})
    else:
        console.print(f"{len(found.done)} destructions were carried out; {len(found.refused)} are due and refused.")
        for each in found.refused:
            console.print(f"{each.patient_id}: {each.reason}", highlight=False)
        console.print(f"{found.renewed.months} keys of months were renewed, with {found.renewed.messages} messages.")
    if found.refused:
        raise typer.Exit(1)


@keys_cli.command()
def reapply(as_json: AsJson = False) -> None:
    """After a restore: destroy again, as the owner role, what the ledger says was destroyed."""
    done = reapply_all(load_settings(), hidden=as_json)
    if as_json:
        _print_json([each._asdict() for each in done])
    else:
        console.print(f"{len(done)} destructions were applied again.", highlight=False)


def reapply_all(settings: Settings, *, hidden: bool = False) -> list[reapplying.Reapplied]:
    """Raises LedgerBroken, KeyUnusable, psycopg.Error."""
    with (
        _connected(settings, Role.OWNER) as owner,
        _progress("Looking through messages", hidden=hidden) as told,
    ):
        if reapplying.is_untouched(owner, settings.destruction_ledger()):
            return []
        keys = KeyRing(key_provider(settings))
        return reapplying.reapply(owner, keys, ledger(settings), told)


@contextmanager
def _connected(settings: Settings, role: Role) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(settings.database_url(role), autocommit=True) as connection:
        yield connection


@contextmanager
def _progress(words: str, *, hidden: bool) -> Iterator[rotation.Progress]:
    on_screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=on_screen, disable=hidden or not on_screen.is_terminal) as progress:
        task = progress.add_task(words, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _time(at: Any) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at else ""


def _print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
