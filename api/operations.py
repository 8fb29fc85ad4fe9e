"""For operators: whether the service lives, is ready, how far the read side is, and what was set aside."""

from typing import Annotated, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from api.answers import json_response
from api.commands import Body
from api.problems import ApiProblem
from api.services import Shared
from api.subjects import Operator
from consumers import rejected
from projections.catalogue import STORED

routes = APIRouter(tags=["operate"])


class Discarding(Body):
    reason: Annotated[str, Field(min_length=1, max_length=1_000)]


@routes.get("/healthz", summary="The process lives")
async def healthz() -> Response:
    return json_response({"status": "alive"})


@routes.get("/readyz", summary="The database answers and the read side has begun")
async def readyz(services: Shared) -> Response:
    """`lag` is the number of events that the slowest projection has still to fold."""
    progress = await services.accesses.progress()
    missing = [each.name for each in STORED if each.name not in progress.checkpoints]
    if missing:
        raise ApiProblem("unavailable", "the read side has not begun", missing=missing)
    lag = progress.head - min(progress.checkpoints.values())
    return json_response({"status": "ready", "position": progress.head, "lag": lag})


@routes.get("/v1/projections", summary="Checkpoints, the log's end, and who is held back")
async def projections(_: Operator, services: Shared) -> Response:
    progress = await services.accesses.progress()
    parked = [each._asdict() for each in await services.accesses.parked()]
    rows = [
        {
            "projection": name,
            "position": position,
            "behind": progress.head - position,
            "seconds_behind": progress.seconds[name],
            "rebuilt": progress.built.get(name),
        }
        for name, position in progress.checkpoints.items()
    ]
    told = {"head": progress.head, "projections": rows, "parked": parked, "halted": progress.halted}
    return json_response(told)


@routes.get("/v1/rejected", summary="Messages that were set aside, newest first")
def rejected_list(
    _: Operator,
    services: Shared,
    state: Literal["open", "resolved", "discarded", "all"] = "open",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    with services.rejections.connection() as connection:
        rows = rejected.rejected_messages(connection, None if state == "all" else state, limit)
    return json_response({"rejected": [each.told() for each in rows]})


@routes.get("/v1/rejected/{rejected_id}", summary="One of them, with all its reasons")
def rejected_show(_: Operator, services: Shared, rejected_id: UUID) -> Response:
    with services.rejections.connection() as connection:
        row = rejected.rejected_message(connection, rejected_id)
    if row is None:
        raise ApiProblem("not-found")
    return json_response(row.told())


@routes.post("/v1/rejected/{rejected_id}/retry", summary="Take the same bytes up again")
def rejected_retry(_: Operator, services: Shared, rejected_id: UUID) -> Response:
    try:
        with services.rejections.connection() as connection:
            outcome = rejected.retry(connection, services.keys, services.writer, services.pipeline, rejected_id)
    except rejected.NotRetried as error:
        raise ApiProblem("not-allowed", str(error)) from None
    position = outcome.last_position or outcome.position
    return json_response({"outcome": outcome.outcome, "position": position, "answer": orjson.loads(outcome.answer)})


@routes.post("/v1/rejected/{rejected_id}/discard", summary="Close it without recording anything, with a reason")
def rejected_discard(_: Operator, services: Shared, rejected_id: UUID, body: Discarding) -> Response:
    with services.rejections.connection() as connection:
        if not rejected.discard(connection, rejected_id, body.reason):
            raise ApiProblem("not-allowed", "there is no such open rejection")
    return json_response({"rejected_id": str(rejected_id), "state": "discarded"})
