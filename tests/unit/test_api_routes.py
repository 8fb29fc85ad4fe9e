"""Every route: who may call it, whether it is documented, and which are public."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api.app import create_app
from api.identity import Role
from api.openapi import description
from api.problems import PROBLEMS
from api.subjects import allowing
from infra.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
PUBLIC = {
    "GET /",
    "GET /asyncapi.json",
    "GET /healthz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /problems",
    "GET /problems/{code}",
    "GET /readyz",
    "GET /schemas",
    "GET /schemas/{stored}.json",
}


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app(Settings(environment="development"))


def roles(app: FastAPI) -> dict[str, set[Role]]:
    """By method and path; an empty set is a public route."""
    found: dict[str, set[Role]] = {}
    for context in iter_route_contexts(app.routes):
        assert isinstance(context.original_route, APIRoute), f"{context.path} is no route of ours"
        allowed = {role for each in allowing(context.dependant) for role in each.roles}
        if (context.path or "").startswith("/v1/me"):
            allowed &= {Role.PATIENT}
        for method in context.methods or ():
            found[f"{method} {context.path}"] = allowed
    return found


def test_the_public_routes_are_these_and_no_others(app: FastAPI) -> None:
    assert {route for route, allowed in roles(app).items() if not allowed} == PUBLIC


def test_each_route_is_documented_with_its_roles(app: FastAPI) -> None:
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)` \| ([^|]*) \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    documented = {route: {name.strip() for name in told.split(",")} - {"public"} for route, told in rows}
    assert documented == {route: {str(role) for role in allowed} for route, allowed in roles(app).items()}


def test_the_description_asks_for_a_token_wherever_a_role_is_needed(app: FastAPI) -> None:
    document = description(app)
    secured = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("security") == [{"bearer": []}]
    }
    assert secured == {re.sub(r":path}", "}", route) for route, allowed in roles(app).items() if allowed}
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_each_problem_is_documented_with_its_status() -> None:
    rows = re.findall(r"^\| `/problems/([a-z-]+)` \| (\d+) \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {code: kind.status for code, kind in PROBLEMS.items()}


def test_operations_have_stable_names_and_say_how_they_fail(app: FastAPI) -> None:
    document = description(app)
    operations = [each for path in document["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names))
    for each in operations:
        failures = {status: answer for status, answer in each["responses"].items() if int(status) >= 400}
        assert {"400", "500", "503"} <= failures.keys()
        assert all("application/problem+json" in answer["content"] for answer in failures.values())
        assert ("401" in failures) == ("security" in each)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_no_path_or_query_names_an_identifier_of_a_person(app: FastAPI) -> None:
    names = {
        parameter["name"].lower()
        for path in description(app)["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
    }
    assert not [name for name in names if "nhs" in name or "birth" in name or "family" in name]
