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
from api.documents import REPLAYABLE, current, wait_for
from api.problems import invalid_parameter
from api.subjects import CareViewer, Subject
from domain import times
from domain.facts import Recorded
from projections.audit_trail import AUDIT_TRAIL
from projections.differences import difference
from projections.folding import Document
from projections.replay import Moment, replay

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
    scope = (services.epoch, "history", str(subject.patient_id), subject.audience, *map(str, asked.values()))
    cursors = Cursors(services.keys, scope)
    after = cursors.place(cursor, 0)
    answer, trail = await current(subject, AUDIT_TRAIL, "history")
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
    if known_at is not None and position is not None:
        raise invalid_parameter("position", "give known_at or position, not both")
    place = position if known_at is None else await subject.services.reading.position_at(known_at)
    events, head = await _history(subject, "replay")
    known = head if place is None else min(place, head)
    document = _folded(subject, projection, events, Moment(known, as_of))
    told_moment = {"position": known, "as_of": as_of.isoformat() if as_of else None}
    content = {"projection": projection, **told_moment, "document": document}
    return respond(subject.request, computed(content, known, head, f"replay-{projection}"))


@routes.get("/diff", summary="What changed in a document between two positions or moments")
async def changes(
    subject: CareViewer,
    from_: Annotated[str, Query(alias="from", max_length=40, description="A position, a date or a moment.")],
    to: Annotated[str, Query(max_length=40, description="A position, a date or a moment.")],
    projection: Replayable = Replayable.PLAN,
) -> Response:
    places = [await _position(subject, "from", from_), await _position(subject, "to", to)]
    events, head = await _history(subject, "diff")
    first, last = (min(place, head) for place in places)
    before, after = (_folded(subject, projection, events, Moment(place)) for place in (first, last))
    content = {"projection": projection, "from": first, "to": last, "changes": difference(before, after)}
    return respond(subject.request, computed(content, last, head, f"diff-{projection}"))


async def _history(subject: Subject, what: str) -> tuple[list[Recorded], int]:
    await wait_for(subject, None)
    return await subject.services.reading.history(subject.patient_id, subject.reader, what)


def _folded(subject: Subject, projection: Replayable, events: list[Recorded], moment: Moment) -> Document:
    chosen = REPLAYABLE[projection]
    return replay([chosen], events, moment, subject.audience)[chosen.name]


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
