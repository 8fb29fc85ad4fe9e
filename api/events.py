"""The HTTP door for messages: the same CloudEvents as over Kafka, through the same pipeline."""

from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import json_response
from api.problems import ApiProblem
from api.services import Services, Shared
from api.subjects import Publisher
from consumers.envelope import identity, opened
from consumers.messages import BATCH, STRUCTURED, RawMessage, http_messages, media_type
from consumers.pipeline import ingest
from consumers.translation import Refusal
from infra.work import Outcome

routes = APIRouter(tags=["events"])


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
async def publish(request: Request, _: Publisher, services: Shared) -> Response:
    content_type = media_type(request.headers.get("content-type", ""))
    if content_type not in (BATCH, STRUCTURED) and "ce-specversion" not in request.headers:
        raise ApiProblem("invalid-request", "this is not a CloudEvent: neither ce- headers nor its content type say so")
    body = await request.body()
    results = await run_in_threadpool(_taken_in, services, dict(request.headers), body)
    if content_type != BATCH and results[0]["outcome"] == "rejected":
        raise ApiProblem("rejected", results=results)
    return json_response({"results": results}, 202)


def _taken_in(services: Services, headers: dict[str, str], body: bytes) -> list[dict[str, Any]]:
    messages = http_messages(headers, body)
    outcomes = ingest(services.writer, services.pipeline, messages) if messages else []
    return [_result(message, outcome) for message, outcome in zip(messages, outcomes, strict=True)]


def _result(message: RawMessage, outcome: Outcome) -> dict[str, Any]:
    told = orjson.loads(outcome.answer) if outcome.answer else {}
    entries = told.get("entries", [])
    result = {
        "id": _id(message),
        "outcome": outcome.outcome,
        "position": outcome.last_position or outcome.position,
        "known": outcome.known,
        "reasons": [each for each in entries if each.get("outcome") == "rejected"],
        "entries": [each for each in entries if each.get("outcome") != "rejected"],
    }
    return result | {name: told[name] for name in ("counts", "left_out") if name in told}


def _id(message: RawMessage) -> str | None:
    try:
        named = identity(opened(message))
    except Refusal:
        return None
    return named[1] if named else None
