"""The OpenAPI description, with what FastAPI cannot know: the patient in the path, and every problem."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from api.problems import MEDIA_TYPE, PROBLEMS
from api.subjects import Allowing, allowing

_DESCRIPTION = """The Personalised Cancer Plan: every diagnosis, appointment, referral and plan edit as an event, and
the documents that are built from them. Answers about a patient carry the positions of the log that they hold
(`X-Position`, `X-Projection-Position`, `X-Log-Position`) and an `ETag`; `min-position` waits for one. Identifiers go
in bodies, never in URLs. Failures are RFC 9457 problems. docs/api.md of the project says which role may do what."""
_POSITIONS = {
    "X-Position": "What the content holds.",
    "X-Projection-Position": "How far the projection has come.",
    "X-Log-Position": "The end of the log; the difference to the projection is its lag.",
    "X-Lag-Events": "How many events of the log the projection lacks.",
    "X-Lag-Seconds": "For how long the oldest of them has waited.",
    "ETag": "Strong; for If-None-Match here, and for If-Match with commands.",
}
_BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
_ALWAYS = ("invalid-request", "too-large", "internal", "busy")
_SECURED = ("invalid-token", "forbidden")
_COMMANDS = ("not-allowed", "precondition-failed", "idempotency-key-reused")
_PATIENT = "/v1/patients/{patient_id}"
_METHODS = ("get", "post")
_MAY_NOT_BE_THERE = ("/v1/log/checkpoint",)


def operation_id(route: APIRoute) -> str:
    """Stable: a patient's own operations are named apart from those on any patient."""
    return f"my_{route.name}" if route.path_format.startswith("/v1/me") else route.name


def description(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Personalised Cancer Plan", version=app.version, description=_DESCRIPTION, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _problem_schema()
    document["components"]["securitySchemes"] = {"bearer": _BEARER}
    guards = _guards(app)
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _complete(path, method, operations[method], guards.get((method, path)))
    return document


def _guards(app: FastAPI) -> dict[tuple[str, str], Allowing]:
    """By method and path, for each operation that some role is needed for."""
    return {
        (method.lower(), context.path_format or ""): guard
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for guard in allowing(context.dependant)
        for method in context.methods or ()
    }


def _complete(path: str, method: str, operation: dict[str, Any], guard: Allowing | None) -> None:
    if guard is not None:
        operation["security"] = [{"bearer": []}]
        operation["parameters"] = [*operation.get("parameters", []), *map(dict, guard.parameters)]
    if path.startswith(_PATIENT):
        where = {"name": "patient_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        operation["parameters"] = [where, *operation.get("parameters", [])]
    is_of_patient = path.startswith((_PATIENT, "/v1/me"))
    codes = [*_ALWAYS, *(_SECURED if guard is not None else ())]
    if path.startswith("/v1/"):
        codes.append("another-epoch")
    if "{" in path or is_of_patient or path in _MAY_NOT_BE_THERE:
        codes.append("not-found")
    if (is_of_patient and method == "post") or path.startswith("/v1/rejected/"):
        codes += _COMMANDS
    if path == "/v1/events":
        codes.append("rejected")
    operation["responses"].pop("422", None)
    for status in sorted({PROBLEMS[code].status for code in codes}):
        operation["responses"][str(status)] = _problem_response(status)
    _succeed(operation, is_of_patient and method == "get")


def _succeed(operation: dict[str, Any], has_positions: bool) -> None:
    for status in ("200", "201", "202"):
        answer = operation["responses"].get(status)
        content = answer.get("content", {}) if answer else {}
        if "application/json" in content:
            content["application/json"]["schema"] = {"type": "object"}
        if answer and has_positions:
            answer["headers"] = {
                name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in _POSITIONS.items()
            }
    if has_positions:
        operation["responses"]["304"] = {"description": "The caller holds this already."}
    if "201" in operation["responses"]:
        again = {"application/json": {"schema": {"type": "object"}}}
        operation["responses"]["200"] = {"description": "It was so already; nothing was recorded.", "content": again}


def _problem_response(status: int) -> dict[str, Any]:
    titles = [f"{kind.title} (`{code}`)" for code, kind in PROBLEMS.items() if kind.status == status]
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": "; ".join(titles), "content": {MEDIA_TYPE: {"schema": schema}}}


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    place = {"type": "object", "properties": dict.fromkeys(("pointer", "parameter", "code", "detail"), text)}
    return {
        "type": "object",
        "description": "RFC 9457; `type` is /problems/ and a stable code. No value of the request is repeated.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "errors": {"type": "array", "items": place},
            "since": {"type": "integer", "description": "Position since which documents are held back."},
            "results": {"type": "array", "items": {"type": "object"}},
        },
    }
