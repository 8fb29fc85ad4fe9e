"""`python -m projections replay | diff | why | steps`: an auditor's questions about the past of one person.

Asked through the role auditor, and in the access log before they are answered, like those that come over HTTP.
"""

import asyncio
import getpass
import sys
from collections import defaultdict
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import orjson
import typer
from psycopg_pool import AsyncConnectionPool
from rich.console import Console
from rich.table import Table

from domain.times import parse
from infra.custody.providers import key_provider
from infra.keys import KeyRing
from infra.settings import Role, load_settings
from projections.catalogue import PROJECTIONS
from projections.folds.differences import Change, difference
from projections.folds.folding import Document, Projection
from projections.past.moments import Audience, History, Moment, destroyed
from projections.past.replay import replay, steps
from projections.past.why import DESTROYED, NO_SUCH_FIELD, why
from projections.reading.reads import HeldBack, Reader, Reading, Refused
from projections.words.wording import in_words

cli = typer.Typer(no_args_is_help=True)
console = Console()


class Name(StrEnum):
    PLAN = "plan"
    RECORD = "record"
    TREATMENT_SUMMARY = "treatment_summary"
    CARE_TEAM = "care_team"
    PATIENT_INDEX = "patient_index"
    AUDIT_TRAIL = "audit_trail"


Patient = Annotated[UUID, typer.Argument(help="The patient's id, never a number of the NHS or a hospital.")]
Which = Annotated[Name, typer.Option("--projection", help="Which document.")]
_MOMENT = "a moment with offset, a date (its first moment in London) or a log position"
KnownAt = Annotated[str | None, typer.Option(help=f"As known at {_MOMENT}.")]
AsOf = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As it was at the end of this London day.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


_PATIENCE_SECONDS = 5.0  # for a database that does not answer
# What stands where no event set the field that was asked about.
_BY_NONE = defaultdict(
    lambda: "none ever set it",
    {
        DESTROYED: "none that can still be read; what was destroyed with its key may have",
        NO_SUCH_FIELD: "the document has no field of this name, and never had",
    },
)


class Past(NamedTuple):
    """`destroyed`: how many events known at one of the moments cannot be read any more."""

    history: History
    moments: list[Moment]

    @property
    def destroyed(self) -> int:
        return max((destroyed(self.history, moment, Audience.AUDITOR) for moment in self.moments), default=0)


@cli.command("replay")
def replayed(
    patient: Patient,
    projection: Which = Name.PLAN,
    known_at: KnownAt = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """A document as it stood at any earlier moment."""
    past = _past(patient, "replay", [(known_at, as_of)])
    document = _document(projection, past, 0)
    if as_json:
        _print({"projection": projection, **_told(past, 0), "destroyed": past.destroyed, "document": document})
        return
    _say_destroyed(past)
    console.print(f"{projection.value} {_named_moment(past.moments[0])}", style="bold")
    console.print_json(orjson.dumps(document).decode())


@cli.command("diff")
def compared(
    patient: Patient,
    projection: Which = Name.PLAN,
    from_: Annotated[str, typer.Option("--from", help=f"As known at {_MOMENT}.")] = "0",
    to: KnownAt = None,
    from_as_of: AsOf = None,
    to_as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """What changed in a document between two moments."""
    past = _past(patient, "diff", [(from_, from_as_of), (to, to_as_of)])
    changes = difference(_document(projection, past, 0), _document(projection, past, 1))
    if as_json:
        sides = {"from": _told(past, 0), "to": _told(past, 1)}
        _print({"projection": projection, **sides, "destroyed": past.destroyed, "changes": changes})
        return
    _say_destroyed(past)
    first, last = map(_named_moment, past.moments)
    console.print(f"{projection.value} from {first} to {last}: {len(changes)} differences", style="bold")
    console.print(_table(changes))


@cli.command("why")
def reason(
    patient: Patient,
    field: Annotated[str, typer.Argument(help="A JSON Pointer into the document, such as /needs/0/concern.")],
    projection: Which = Name.PLAN,
    known_at: KnownAt = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """The event that last set a field."""
    past = _past(patient, "why", [(known_at, as_of)])
    try:
        found = why(_named(projection), field, past.history, past.moments[0], Audience.AUDITOR)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        _print({"projection": projection, **_told(past, 0), "field": field, **found})
        return
    _say_destroyed(past)
    console.print(f"{field}: {found['answer']}, {_named_moment(past.moments[0])}", style="bold", markup=False)
    event = found["event"] if isinstance(found["event"], dict) else {"event": _BY_NONE[found["answer"]]}
    table = Table(show_header=False)
    for name, value in event.items():
        table.add_row(name, str(value))
    console.print(table)


@cli.command("steps")
def stepped(patient: Patient, as_json: AsJson = False) -> None:
    """Each event as it was recorded, with all that it changed."""
    past = _past(patient, "steps", [])
    told: list[Document] = [
        {"position": event.position, "text": in_words(event.fact), "changes": changes}
        for event, changes in steps(PROJECTIONS, past.history)
    ]
    if as_json:
        _print(told)
        return
    for step in told:
        console.print(f"{step['position']}  {step['text']}", style="bold", markup=False)
        console.print(_table(step["changes"]))


def _told(past: Past, place: int) -> Document:
    position, as_of = past.moments[place]
    return {"position": position, "as_of": as_of.isoformat() if as_of else None}


def _named_moment(moment: Moment) -> str:
    known = f"as known at position {moment.position}"
    return f"{known}, as of {moment.as_of}" if moment.as_of else known


def _say_destroyed(past: Past) -> None:
    """What a document does not have would otherwise look as if nobody had recorded it."""
    if past.destroyed:
        words = (
            f"{past.destroyed} events were destroyed with their key: what they said is missing here, not unrecorded."
        )
        console.print(words, style="bold red", highlight=False)


def _table(changes: list[Change]) -> Table:
    table = Table("Field", "Before", "After")
    for change in changes:
        table.add_row(change["pointer"], _short(change["before"]), _short(change["after"]))
    return table


def _short(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 200 else f"{text[:199]}…"


def _named(name: Name) -> Projection:
    return next(each for each in PROJECTIONS if each.name == name)


def _document(name: Name, past: Past, place: int) -> Document:
    return replay([_named(name)], past.history, past.moments[place], Audience.AUDITOR)[name.value]


def _past(patient: UUID, what: str, moments: list[tuple[str | None, datetime | None]]) -> Past:
    """Ends the command with a sentence where there is nothing to show."""
    try:
        return asyncio.run(_read(patient, what, moments))
    except Refused:
        sys.exit("There is no such patient.")
    except HeldBack as held:
        sys.exit(f"This patient's documents are {held}; see `python -m projections parked list`.")
    except ValueError:
        raise typer.BadParameter("a moment is a date, an instant with offset such as Z, or a log position") from None


async def _read(patient: UUID, what: str, moments: list[tuple[str | None, datetime | None]]) -> Past:
    settings = load_settings()
    reader = Reader(f"operator/{getpass.getuser()}", "auditor", any_patient=True, purpose="clinical-audit")
    async with AsyncConnectionPool(
        settings.database_url(Role.AUDITOR),
        open=False,
        min_size=1,
        max_size=1,
        timeout=_PATIENCE_SECONDS,
        kwargs={"autocommit": True},
    ) as pool:
        reading = Reading(pool, KeyRing(key_provider(settings)))
        places = [await _position(reading, told) for told, _ in moments]
        history = await reading.past(patient, reader, what)
    days = [_day(as_of) for _, as_of in moments]
    known = [history.head if place is None else min(place, history.head) for place in places]
    return Past(history, [Moment(*each) for each in zip(known, days, strict=True)])


async def _position(reading: Reading, told: str | None) -> int | None:
    if told is None or told.isdecimal():
        return None if told is None else int(told)
    return await reading.position_at(parse(told).at)


def _day(as_of: datetime | None) -> date | None:
    return as_of.date() if as_of else None


def _print(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
