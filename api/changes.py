"""Changes as they come, for front ends of staff: positions of the log and ids of patients whom the caller may open.

Server-sent events. A position is told once what is served holds it, so whoever reads a document upon it finds the
change there. Nothing is told of what changed.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.services import Shared
from api.subjects import Searcher
from projections.reading.changes import Change, Changes
from projections.reading.reads import Reader

_PAUSE_SECONDS = 0.25
_HEARTBEAT_SECONDS = 15

routes = APIRouter(tags=["read"])


@routes.get("/v1/changes", summary="Positions and patients as they change (server-sent events)")
async def follow_changes(
    request: Request,
    reader: Searcher,
    services: Shared,
    after: Annotated[int | None, Query(ge=0, le=2**62, description="Begin after this position.")] = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^\d{1,18}$")] = None,
) -> EventSourceResponse:
    """Begins after `Last-Event-ID`, which a browser sends when it comes back, else after `after`, else now."""
    await services.accesses.note(reader, "changes", "read")
    begin = int(last_event_id) if last_event_id is not None else after
    stream = _stream(request, services.changes, reader, begin)
    return EventSourceResponse(stream, ping=_HEARTBEAT_SECONDS, headers={"Cache-Control": "no-store"})


async def _stream(request: Request, source: Changes, reader: Reader, begin: int | None) -> AsyncIterator[Any]:
    position = await source.shown() if begin is None else begin
    yield ServerSentEvent(data="", event="began", id=str(position))
    while not await request.is_disconnected():
        found, position = await source.since(position, reader)
        for each in found:
            yield ServerSentEvent(data=_told(each), id=str(each.position))
        if not found:
            await asyncio.sleep(_PAUSE_SECONDS)


def _told(change: Change) -> str:
    return orjson.dumps({"position": change.position, "patient_id": str(change.patient_id)}).decode()
