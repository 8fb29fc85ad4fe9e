"""A person's events and any moment of their documents: the audit trail by page, replay, and what changed between."""

import re
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime
from starlette.responses import Response

from api.answers import computed, respond
from api.cursors import Cursors, link_to_next
from api.documents import REPLAYABLE, folded_now, wait_for
from api.problems import invalid_parameter
from api.subjects import AuditViewer, CareViewer, Subject
from domain import times
from domain.facts import Recorded
from projections.folds.audit_trail import AUDIT_TRAIL
from projections.folds.differences import Change, difference
from projections.folds.folding import Document
from projections.past.moments import History, Moment, destroyed
from projections.past.replay import replay, steps
from projections.past.why import why
from projections.words.wording import in_words

_YEARS = range(1900, 2201)  # beyond them arithmetic on time zones leaves the calendar


class Replayable(StrEnum):
    PLAN = "plan"
    RECORD = "record"
    SUMMARIES = "summaries"
    HISTORY = "history"


def _within_reach(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError("out of reach")
    return moment


Instant = Annotated[AwareDatetime, AfterValidator(_within_reach)]
Words = Annotated[str | None, Query(max_length=40)]
Position = Annotated[int | None, Query(ge=0, le=2**62)]
AsOf = Annotated[date | None, Query(description="As it was at the end of this London day.")]
KnownAt = Annotated[Instant | None, Query(description="As known at this moment.")]
Cursor = Annotated[str | None, Query(max_length=100)]
Kind = Annotated[
    str | None, Query(alias="type", pattern=r"^[a-z0-9.-]{1,100}$", description="Stored name, or its first words.")
]

routes = APIRouter(tags=["read"])
of_auditors = APIRouter(tags=["read"])


@routes.get("/history", summary="Every event as recorded, with who, when and where from")
async def history(
    subject: CareViewer,
    kind: Kind = None,
    from_: Annotated[Words, Query(alias="from", description="Recorded at or after this date or moment.")] = None,
    to: Annotated[Words, Query(description="Recorded before this date or moment.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
) -> Response:
    since, until = _moment("from", from_), _moment("to", to)
    asked: dict[str, object] = {"type": kind, "from": from_, "to": to, "limit": limit}
    services = subject.services
    scope = (
        await services.epoch.current(),
        "history",
        str(subject.patient_id),
        subject.audience,
        *map(str, asked.values()),
    )
    cursors = Cursors(services.keys, scope)
    after = cursors.place(cursor, 0)
    answer, trail = await folded_now(subject, AUDIT_TRAIL, "history")
    lines = [line for line in trail["lines"] if line["position"] > after and _is_asked_for(line, kind, since, until)]
    page: Document = {"lines": lines[:limit]}
    headers = {}
    if len(lines) > limit:
        page["next"] = cursors.cursor(page["lines"][-1]["position"])
        headers = link_to_next(f"{subject.base}/history", asked, page["next"])
    return respond(subject.request, answer(page), headers)


@routes.get("/replay", summary="Any document at any earlier moment")
async def replayed(
    subject: CareViewer,
    projection: Replayable = Replayable.PLAN,
    known_at: KnownAt = None,
    as_of: AsOf = None,
    position: Position = None,
) -> Response:
    past, moment = await _asked(subject, "replay", known_at, position, as_of)
    gone = destroyed(past, moment, subject.audience)
    document = _document(subject, projection, past, moment)
    content = {"projection": projection, **_told(moment), "destroyed": gone, "document": document}
    return respond(subject.request, computed(content, moment.position, past.head, f"replay-{projection}"))


@routes.get("/diff", summary="What changed in a document between two moments")
async def changes(
    subject: CareViewer,
    from_: Annotated[str, Query(alias="from", max_length=40, description="A position, a date or a moment.")],
    to: Annotated[str, Query(max_length=40, description="A position, a date or a moment.")],
    projection: Replayable = Replayable.PLAN,
    from_as_of: AsOf = None,
    to_as_of: AsOf = None,
) -> Response:
    places = [await _position(subject, "from", from_), await _position(subject, "to", to)]
    past = await _past(subject, "diff")
    first = Moment(min(places[0], past.head), from_as_of)
    last = Moment(min(places[1], past.head), to_as_of)
    before, after = (_document(subject, projection, past, moment) for moment in (first, last))
    moments = {"from": first.position, "from_as_of": _day(from_as_of), "to": last.position, "to_as_of": _day(to_as_of)}
    gone = max(destroyed(past, moment, subject.audience) for moment in (first, last))
    content = {"projection": projection, **moments, "destroyed": gone, "changes": difference(before, after)}
    return respond(subject.request, computed(content, last.position, past.head, f"diff-{projection}"))


@routes.get("/why", summary="The event that last set a field of a document, at any moment")
async def reason(
    subject: CareViewer,
    field: Annotated[str, Query(max_length=500, description="A JSON Pointer into the document.")],
    projection: Replayable = Replayable.PLAN,
    known_at: KnownAt = None,
    as_of: AsOf = None,
    position: Position = None,
) -> Response:
    past, moment = await _asked(subject, "why", known_at, position, as_of)
    try:
        answer = why(REPLAYABLE[projection], field, past, moment, subject.audience)
    except ValueError:
        raise invalid_parameter("field", "is not a JSON Pointer") from None
    content = {"projection": projection, **_told(moment), "field": field, **answer}
    return respond(subject.request, computed(content, moment.position, past.head, f"why-{projection}"))


@of_auditors.get("/steps", summary="Each event as recorded, with all that it changed in the documents")
async def stepped(
    subject: AuditViewer,
    after: Annotated[int, Query(ge=0, le=2**62, description="Only events recorded after this position.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Response:
    past = await _past(subject, "steps")
    found = [(event, changed) for event, changed in steps(tuple(REPLAYABLE.values()), past) if event.position > after]
    page = [_step(event, changed) for event, changed in found[:limit]]
    following = page[-1]["position"] if len(found) > limit else None
    return respond(subject.request, computed({"steps": page, "next": following}, past.head, past.head, "steps"))


def _step(event: Recorded, changed: list[Change]) -> Document:
    return {
        "event": str(event.event_id),
        "position": event.position,
        "kind": event.fact.stored,
        "text": in_words(event.fact),
        "occurred": event.occurred.words(),
        "recorded_at": event.recorded_at.isoformat(),
        "changes": changed,
    }


async def _asked(
    subject: Subject, what: str, known_at: datetime | None, position: int | None, as_of: date | None
) -> tuple[History, Moment]:
    """Raises ApiProblem invalid-request, behind; Refused; HeldBack."""
    if known_at is not None and position is not None:
        raise invalid_parameter("position", "give known_at or position, not both")
    place = position if known_at is None else await subject.services.reading.position_at(known_at)
    past = await _past(subject, what)
    return past, Moment(past.head if place is None else min(place, past.head), as_of)


async def _past(subject: Subject, what: str) -> History:
    await wait_for(subject, None)
    return await subject.services.reading.past(subject.patient_id, subject.reader, what)


def _document(subject: Subject, projection: Replayable, past: History, moment: Moment) -> Document:
    chosen = REPLAYABLE[projection]
    return replay([chosen], past, moment, subject.audience)[chosen.name]


def _told(moment: Moment) -> Document:
    return {"position": moment.position, "as_of": _day(moment.as_of)}


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


async def _position(subject: Subject, parameter: str, text: str) -> int:
    if re.fullmatch(r"\d{1,18}", text):
        return int(text)
    moment = _moment(parameter, text)
    return 0 if moment is None else await subject.services.reading.position_at(moment)


def _moment(parameter: str, text: str | None) -> datetime | None:
    """A date is its London midnight. Raises ApiProblem invalid-request."""
    try:
        return None if text is None else _within_reach(times.parse(text).at)
    except (ValueError, OverflowError):
        raise invalid_parameter(parameter, "is neither a date nor a moment with an offset") from None


def _is_asked_for(line: Document, kind: str | None, since: datetime | None, until: datetime | None) -> bool:
    if kind is not None and line["kind"] != kind and not line["kind"].startswith(f"{kind}."):
        return False
    recorded_at = datetime.fromisoformat(line["recorded_at"])
    return (since is None or recorded_at >= since) and (until is None or recorded_at < until)
