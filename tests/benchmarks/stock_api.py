"""What P6 is measured against: the same plan read as a competent user would write it, and with nothing around it.

Run by uvicorn as factories `stock`, `bare` and `taking_in`; settings come as environment variables of the benchmark.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jwt
import orjson
import psycopg
from fastapi import Body, FastAPI, Header, HTTPException, Response
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from consumers.messages import RawMessage
from infra.keys import FileKeyProvider, KeyRing
from projections.folds.care_team import CARE_TEAM
from projections.folds.plan import PLAN
from projections.tables import documents
from tests.benchmarks import stock as stock_library

_PLAN, _TEAM = (f"read.{each.name}" for each in (PLAN, CARE_TEAM))
_ACCESS = """insert into access.reads (patient_id, actor, role, organisation, purpose, outcome, projection)
             values (%s, %s, %s, %s, 'direct-care', 'read', 'plan')"""


def stock() -> FastAPI:
    """A `def` endpoint in the thread pool with a synchronous pool: token, relationship, document, access in turn."""
    pool: ConnectionPool[Any] = ConnectionPool(os.environ["BENCH_DATABASE"], open=True, min_size=4, max_size=8)
    keys = KeyRing(FileKeyProvider(Path(os.environ["BENCH_KEYS"])))
    signers = _signers()
    app = FastAPI()

    @app.get("/plan/{patient_id}")
    def plan(patient_id: UUID, authorization: Annotated[str, Header()]) -> dict[str, Any]:
        claims = _verified(authorization, signers)
        with pool.connection() as connection:
            _refuse_strangers(connection, patient_id, claims)
            row = connection.execute(
                f"select d.body, k.key_id, k.wrapped from {_PLAN} d join log.keys k using (patient_id)"
                " where d.patient_id = %s",
                [patient_id],
            ).fetchone()
            if row is None:
                raise HTTPException(404)
            told = [patient_id, claims["sub"], claims["role"], claims["organisation"]]
            connection.execute(_ACCESS, told)
        return documents.opened(PLAN, patient_id, keys.unwrap(row[1], row[2]), row[0])

    return app


def bare() -> FastAPI:
    """An async endpoint that hands the sealed bytes over: no token, no relationship, no access, no key."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncConnectionPool(os.environ["BENCH_DATABASE"], open=False, min_size=4, max_size=8) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/plan/{patient_id}")
    async def plan(patient_id: UUID) -> Response:
        async with app.state.pool.connection() as connection:
            cursor = await connection.execute(f"select body from {_PLAN} where patient_id = %s", [patient_id])
            row = await cursor.fetchone()
        return Response(row[0], media_type="application/octet-stream")

    return app


def taking_in() -> FastAPI:
    """A `def` endpoint for one structured CloudEvent: token checked, the patient's aggregate loaded and saved."""
    cases = stock_library.Cases(env=os.environ)
    signers = _signers()
    app = FastAPI()

    @app.post("/v1/events", status_code=202)
    def publish(event: Annotated[dict[str, Any], Body()], authorization: Annotated[str, Header()]) -> dict[str, Any]:
        _verified(authorization, signers)
        headers = tuple((f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data")
        message = RawMessage(headers, orjson.dumps(event["data"]), "http")
        cases.load_and_save(stock_library.read_as_of_patient(message))
        return {"outcome": "recorded"}

    return app


def _signers() -> dict[str | None, jwt.PyJWK]:
    return {each.key_id: each for each in jwt.PyJWKSet.from_json(Path(os.environ["BENCH_JWKS"]).read_text()).keys}


def _verified(authorization: str, signers: dict[str | None, jwt.PyJWK]) -> dict[str, Any]:
    token = authorization.removeprefix("Bearer ")
    key = signers[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], audience=os.environ["BENCH_AUDIENCE"])
    return claims


def _refuse_strangers(connection: "psycopg.Connection[Any]", patient_id: UUID, claims: dict[str, Any]) -> None:
    row = connection.execute(
        f"select clear->'organisations' ? %s from {_TEAM} where patient_id = %s", [claims["organisation"], patient_id]
    ).fetchone()
    if row is None or not row[0]:
        raise HTTPException(404)
