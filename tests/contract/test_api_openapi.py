"""The OpenAPI description against the running application: requests made from it, right and wrong ones.

Bounded: a few requests for each operation, which is about three hundred in all.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api.app import create_app
from tests.api_world import MARIA, World
from tests.sealed_world import seal_world

_CHECKS: list[Any] = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    unsupported_method,
]  # fmt: skip
_EXAMPLES = 3


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a free port; it opens connections of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def bearer(world: World, path: str) -> dict[str, str]:
    if path.startswith("/v1/me"):
        return world.patient()
    if path.startswith("/v1/patients"):
        return world.staff()
    return world.staff("publisher" if path == "/v1/events" else "operator")


def tried(case: Case[Any], base_url: str, headers: dict[str, str], patient_id: UUID) -> None:
    if "patient_id" in case.path_parameters:
        case.path_parameters["patient_id"] = str(patient_id)
    # Waiting for a position that the log may never have is answered with 503, which is right and slow.
    for container, name in ((case.query, "min-position"), (case.headers, "X-Min-Position")):
        if container and name in container:
            del container[name]
    told = {**headers, "Idempotency-Key": str(uuid4())} if case.method == "POST" else headers
    case.call_and_validate(base_url=base_url, headers=told, checks=_CHECKS)


def try_operation(cases: SearchStrategy[Case[Any]], base_url: str, who: dict[str, str], patient_id: UUID) -> None:
    @seed(20260301)
    @settings(
        max_examples=_EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases)
    def answers_as_described(case: Case[Any]) -> None:
        tried(case, base_url, who, patient_id)

    answers_as_described()


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_answers_as_described(world: World, tmp_path: Path, mode: GenerationMode) -> None:
    maria = world.register(MARIA, "Specimen")
    seal_world(world, tmp_path)
    schema = schemathesis.openapi.from_dict(world.client.get("/openapi.json").json())
    tried_out = 0
    with served(create_app(world.settings)) as base_url:
        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()
            with suppress(Unsatisfiable):  # nothing in it can be wrong
                try_operation(operation.as_strategy(mode), base_url, bearer(world, operation.path), maria)
                tried_out += 1
    assert tried_out > 30
