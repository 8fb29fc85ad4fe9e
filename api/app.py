"""The HTTP door as one ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from api import (
    access_log,
    changes,
    corrections,
    documents,
    events,
    evidence,
    histories,
    log_proofs,
    merges,
    openapi,
    operations,
    pathways,
    plans,
    problems,
    published,
    searches,
    worklists,
)
from api.edge import Edge, Measurements
from api.epochs import Epochs
from api.services import Shared, opened
from infra.settings import Settings
from infra.version import version
from infra.writing.metrics import WriteMetrics
from projections.reading.accesses import Progress

_OF_STAFF = (
    *(plans.clinical, pathways.clinical, corrections.routes, merges.routes, evidence.routes),
    histories.of_auditors,
)
_OF_PATIENT = (documents, histories, access_log, plans, pathways)


def create_app(settings: Settings) -> FastAPI:
    """Opens its connections when it starts, not before."""
    measurements = Measurements()
    writes = WriteMetrics(measurements.registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(settings, writes) as services:
            app.state.services = services
            yield

    app = FastAPI(
        lifespan=lifespan, version=version(), docs_url=None, redoc_url=None, redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id, openapi_url=None,
    )  # fmt: skip
    app.add_middleware(Epochs)
    app.add_middleware(Edge, measurements=measurements)
    problems.install(app)
    # What is asked most stands first: routes are tried in their order.
    app.include_router(searches.routes)
    app.include_router(events.routes)
    for module in _OF_PATIENT:
        app.include_router(module.routes, prefix="/v1/patients/{patient_id}")
        app.include_router(module.routes, prefix="/v1/me")
    for of_staff in _OF_STAFF:
        app.include_router(of_staff, prefix="/v1/patients/{patient_id}")
    for other in (changes, operations, published, log_proofs, worklists):
        app.include_router(other.routes)
    app.include_router(_measured(measurements))
    app.include_router(_described(app))
    return app


def _described(app: FastAPI) -> APIRouter:
    routes = APIRouter(tags=["about"])
    made: dict[str, Any] = {}

    @routes.get("/openapi.json", summary="This description")
    async def openapi_document() -> dict[str, Any]:
        if not made:
            made.update(openapi.description(app))
        return made

    return routes


def _measured(measurements: Measurements) -> APIRouter:
    routes = APIRouter(tags=["operate"])

    @routes.get("/metrics", summary="Measurements for Prometheus", response_class=Response)
    async def metrics(services: Shared) -> Response:
        _note(measurements, await services.accesses.progress())
        return Response(generate_latest(measurements.registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _note(measurements: Measurements, progress: Progress) -> None:
    measurements.position.set(progress.head)
    measurements.parked.set(progress.parked)
    measurements.halted.set(progress.halted)
    if progress.signals is not None:
        measurements.unsignalled.set(progress.head - progress.signals)
    measurements.built.clear()
    for name, share in progress.built.items():
        measurements.built.labels(name).set(share)
    for name, position in progress.checkpoints.items():
        measurements.lag.labels(name).set(progress.head - position)
        measurements.age.labels(name).set(progress.seconds[name])
