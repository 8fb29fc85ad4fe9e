"""Every way in which a request fails, as RFC 9457 problems with stable types; docs/api.md explains each.

ApiProblem
 └─ a code of PROBLEMS with, at most, words of a rule and pointers into the request: never a value of it
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout, TooManyRequests
from starlette.exceptions import HTTPException
from starlette.responses import Response

from infra.evidence.export import EvidenceBroken
from infra.keys import KeyUnusable
from infra.writing.writer import WriterStopped
from projections.reading.evidence import NotYetSealed
from projections.reading.reads import HeldBack, Refused

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """`retry_after` is in seconds, where trying again may help."""

    status: int
    title: str
    meaning: str
    retry_after: int | None = None


PROBLEMS: Mapping[str, Kind] = MappingProxyType(
    {
        "invalid-request": Kind(400, "The request is not well-formed", "`errors` names each place and what it lacks."),
        "invalid-cursor": Kind(400, "The cursor is not valid here", "Cursors hold for one patient and one filter."),
        "idempotency-key-missing": Kind(
            400, "An Idempotency-Key is needed", "Send 8 to 255 letters, digits, dots, dashes or underscores."
        ),
        "invalid-token": Kind(401, "The bearer token is missing or not valid", "Obtain a token and send it again."),
        "forbidden": Kind(403, "This role may not do this", "It does not depend on the patient who is asked about."),
        "evidence-withheld": Kind(
            403,
            "Patients are not given evidence yet",
            "It counts every event and names its kind, also of what nobody has told the patient.",
        ),
        "not-found": Kind(404, "Not found", "There is no such thing, or it is not yours to see: the two look alike."),
        "method-not-allowed": Kind(405, "The method is not allowed", "`Allow` names those that are."),
        "not-allowed": Kind(409, "The rules refuse this", "`detail` says which rule. The answer is kept."),
        "another-epoch": Kind(
            412, "The log was opened anew", "Positions, ETags and cursors of before are void: read again."
        ),
        "precondition-failed": Kind(412, "Something newer was recorded", "Read again, decide again."),
        "too-large": Kind(413, "The request is too large", "Messages may have 8 MB, everything else 64 kB."),
        "idempotency-key-reused": Kind(
            422, "This Idempotency-Key was used for another request", "Use a new key for a new request."
        ),
        "rejected": Kind(
            422, "The message was set aside", "`results` says why; it is kept and an operator can retry it."
        ),
        "internal": Kind(500, "Something failed here", "Report the X-Correlation-ID of the answer."),
        "evidence-broken": Kind(
            500, "What is stored contradicts what was signed", "Nothing is exported; an operator must look."
        ),
        "held-back": Kind(
            503, "This patient's documents are held back", "Folding failed since position `since`.", retry_after=60
        ),
        "behind": Kind(503, "The answer does not hold that position yet", "`min-position` came too soon.", 1),
        "unsealed": Kind(503, "The log has not signed this patient's events yet", "It does so every few seconds.", 5),
        "busy": Kind(503, "Too many requests at this moment", "Try again.", 1),
        "unavailable": Kind(503, "A part of the service is not available", "Try again.", 5),
    }
)
_OF_STATUS = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}
_WORDS = {
    "missing": "is required",
    "extra_forbidden": "has a member that is not known here",
    "json_invalid": "is not JSON",
    "value_error": "is not valid",
}


class ApiProblem(Exception):
    """Raised anywhere in a request. `members` extend the problem; they must not identify anyone."""

    def __init__(
        self, code: str, detail: str | None = None, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(code)
        self.code, self.detail, self.headers, self.members = code, detail, dict(headers or {}), members


def response(problem: ApiProblem) -> Response:
    kind = PROBLEMS[problem.code]
    content = {"type": type_uri(problem.code), "title": kind.title, "status": kind.status}
    if problem.detail is not None:
        content["detail"] = problem.detail
    headers = {"Cache-Control": "no-store", "Vary": "Authorization", **problem.headers}
    if kind.retry_after is not None:
        headers["Retry-After"] = str(kind.retry_after)
    if problem.code == "invalid-token":
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return Response(orjson.dumps(content | problem.members), kind.status, headers, MEDIA_TYPE)


def type_uri(code: str) -> str:
    return f"/problems/{code}"


def invalid_parameter(parameter: str, detail: str) -> ApiProblem:
    return ApiProblem("invalid-request", errors=[{"parameter": parameter, "code": "value_error", "detail": detail}])


def install(app: FastAPI) -> None:
    """What layers below raise, in the words of this one. Anything else is caught at the outermost layer."""
    told: dict[type[Exception], str] = {
        Refused: "not-found",
        PoolTimeout: "busy",
        TooManyRequests: "busy",
        psycopg.OperationalError: "unavailable",
        WriterStopped: "unavailable",
        NotYetSealed: "unsealed",
        EvidenceBroken: "evidence-broken",
    }
    for error, code in told.items():
        app.add_exception_handler(error, _answering(code))
    app.add_exception_handler(ApiProblem, _own)
    app.add_exception_handler(HeldBack, _held_back)
    app.add_exception_handler(KeyUnusable, _sealed)
    app.add_exception_handler(RequestValidationError, _not_well_formed)
    app.add_exception_handler(HTTPException, _of_framework)


def _answering(code: str) -> Any:
    async def answer(_: Request, __: Exception) -> Response:
        return response(ApiProblem(code))

    return answer


async def _own(_: Request, error: Exception) -> Response:
    return response(error if isinstance(error, ApiProblem) else ApiProblem("internal"))


async def _held_back(_: Request, error: Exception) -> Response:
    since = error.since if isinstance(error, HeldBack) else None
    return response(ApiProblem("held-back", since=since))


async def _sealed(_: Request, __: Exception) -> Response:
    """Trying again helps where a key provider is away, and not where something stored was altered: see the runbook."""
    log.critical("key_unusable")
    return response(ApiProblem("unavailable"))


async def _not_well_formed(_: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    return response(ApiProblem("invalid-request", errors=[_place(each) for each in details]))


async def _of_framework(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kept = {name: value for name, value in (getattr(error, "headers", None) or {}).items() if name.lower() == "allow"}
    default = "invalid-request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal"
    return response(ApiProblem(_OF_STATUS.get(status, default), headers=kept))


def _place(detail: Mapping[str, Any]) -> dict[str, str]:
    """pydantic's messages and the names of unknown members may repeat what was sent, so neither goes out."""
    code, where = str(detail["type"]), list(detail["loc"])
    if code in ("extra_forbidden", "json_invalid"):
        where = where[:-1]
    place = {"parameter": str(where[1])} if where[:1] in (["query"], ["header"]) else {"pointer": _pointer(where[1:])}
    return place | {"code": code, "detail": _WORDS.get(code, "does not fit the schema of this operation")}


def _pointer(where: Sequence[Any]) -> str:
    return "".join(f"/{str(each).replace('~', '~0').replace('/', '~1')}" for each in where)
