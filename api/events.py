"""The HTTP door for messages: the same CloudEvents as over Kafka, through the same pipeline."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import orjson
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import json_response
from api.identity import Principal
from api.problems import ApiProblem
from api.services import Services, Shared
from api.subjects import Publisher
from consumers.envelope import identity, opened
from consumers.messages import BATCH, STRUCTURED, RawMessage, http_messages, media_type
from consumers.pipeline import ingest
from consumers.translation import Refusal
from consumers.vocabulary import organisation_of
from infra.writing.work import Outcome

routes = APIRouter(tags=["events"])

# Source and id of a message, where it has both.
_Named: TypeAlias = tuple[str, str] | None


@routes.post(
    "/v1/events",
    status_code=202,
    summary="Publish CloudEvents: one (binary or structured mode) or a batch",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": {"type": "object"}},
                BATCH: {"schema": {"type": "array", "items": {"type": "object"}}},
                "application/json": {"schema": {}},
                "application/fhir+json": {"schema": {}},
            },
        }
    },
)
async def publish(request: Request, publisher: Publisher, services: Shared) -> Response:
    content_type = media_type(request.headers.get("content-type", ""))
    if content_type not in (BATCH, STRUCTURED) and "ce-specversion" not in request.headers:
        raise ApiProblem("invalid-request", "this is not a CloudEvent: neither ce- headers nor its content type say so")
    body = await request.body()
    messages = http_messages(dict(request.headers), body)
    named = [_named(message) for message in messages]
    _refuse_other_sources(publisher, named)
    results = await run_in_threadpool(_taken_in, services, messages, named)
    if content_type != BATCH and results[0]["outcome"] == "rejected":
        raise ApiProblem("rejected", results=results)
    return json_response({"results": results}, 202)


def _refuse_other_sources(publisher: Principal, named: Sequence[_Named]) -> None:
    """A publisher of one organisation speaks for that one only. Raises ApiProblem forbidden; nothing is kept then."""
    for each in named:
        told = organisation_of(each[0]) if each else None
        if publisher.organisation is not None and told is not None and told.upper() != publisher.organisation:
            raise ApiProblem("forbidden", "a source names another organisation than the token")


def _taken_in(services: Services, messages: Sequence[RawMessage], named: Sequence[_Named]) -> list[dict[str, Any]]:
    outcomes = ingest(services.writer, services.pipeline, messages) if messages else []
    return [_result(each, outcome) for each, outcome in zip(named, outcomes, strict=True)]


def _result(named: _Named, outcome: Outcome) -> dict[str, Any]:
    told = orjson.loads(outcome.answer) if outcome.answer else {}
    entries = told.get("entries", [])
    result = {
        "id": named[1] if named else None,
        "outcome": outcome.outcome,
        "position": outcome.last_position or outcome.position,
        "known": outcome.known,
        "reasons": [each for each in entries if each.get("outcome") == "rejected"],
        "entries": [each for each in entries if each.get("outcome") != "rejected"],
    }
    return result | {name: told[name] for name in ("counts", "left_out") if name in told}


def _named(message: RawMessage) -> _Named:
    try:
        return identity(opened(message))
    except Refusal:
        return None
