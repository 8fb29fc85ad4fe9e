"""What the service says of itself: schemas of its vocabulary, the description of its messages, its problems."""

from functools import cache

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response

from api.answers import json_response
from api.problems import PROBLEMS, ApiProblem, type_uri
from api.services import Shared
from consumers import schemas
from consumers.asyncapi import asyncapi
from consumers.vocabulary import vocabulary

_DAY = {"Cache-Control": "public, max-age=86400", "Vary": "Accept-Encoding"}
_CSP = "default-src 'none'; style-src 'unsafe-hashes'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_LANDING = """<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Personalised Cancer Plan</title>
</head>
<body>
<main>
<h1>Personalised Cancer Plan</h1>
<p>This service keeps every diagnosis, appointment, referral and plan edit, and shows people their plan. It informs and
reminds; it does not diagnose. In an emergency call 999.</p>
<h2>For software</h2>
<ul>
<li><a href="/openapi.json">Description of the HTTP interface (OpenAPI)</a></li>
<li><a href="/asyncapi.json">Description of the messages that hospitals send (AsyncAPI)</a></li>
<li><a href="/schemas">Schemas of these messages</a></li>
<li><a href="/problems">Problems that an answer may tell of</a></li>
<li><a href="/readyz">Whether the service is ready</a></li>
</ul>
</main>
</body>
</html>
"""

routes = APIRouter(tags=["about"])


@routes.get("/", summary="Where to begin", response_class=HTMLResponse)
async def landing() -> Response:
    return HTMLResponse(_LANDING, headers={"Content-Security-Policy": _CSP, "Referrer-Policy": "no-referrer"})


@routes.get("/schemas", summary="Names of the published JSON Schemas")
async def schema_list() -> Response:
    return json_response({"schemas": [schemas.path(stored) for stored in vocabulary()]}, headers=_DAY)


@routes.get("/schemas/{stored}.json", summary="The JSON Schema of one kind of message")
async def schema(stored: str) -> Response:
    if stored not in vocabulary():
        raise ApiProblem("not-found")
    return _made(await run_in_threadpool(_schema, stored))


@routes.get("/asyncapi.json", summary="The messages that this service takes, as AsyncAPI 3.1")
async def asyncapi_document(services: Shared) -> Response:
    return _made(await run_in_threadpool(_asyncapi, services.settings.events_topic))


@routes.get("/problems", summary="All problems")
async def problem_list() -> Response:
    return json_response({"problems": [_told(code) for code in PROBLEMS]}, headers=_DAY)


@routes.get("/problems/{code}", summary="What a problem's type means")
async def problem(code: str) -> Response:
    if code not in PROBLEMS:
        raise ApiProblem("not-found")
    return json_response(_told(code), headers=_DAY)


# Anybody may ask for these, and making them takes up to a second of a processor: each is made once.
@cache
def _schema(stored: str) -> bytes:
    return orjson.dumps(schemas.schema(stored))


@cache
def _asyncapi(topic: str) -> bytes:
    return orjson.dumps(asyncapi(topic))


def _made(content: bytes) -> Response:
    return Response(content, headers=_DAY, media_type="application/json")


def _told(code: str) -> dict[str, object]:
    kind = PROBLEMS[code]
    return {"type": type_uri(code), "title": kind.title, "status": kind.status, "meaning": kind.meaning}
