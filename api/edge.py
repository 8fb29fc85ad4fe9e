"""The outermost layer of every request, as plain ASGI: ids that connect answers with logs, limits, measurements,
and an answer for what nobody foresaw."""

import re
import time
from collections.abc import MutableMapping
from typing import Any
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ApiProblem, response

log = structlog.get_logger(__name__)

EVENTS_PATH = "/v1/events"
LARGEST_MESSAGE = 8_000_000
LARGEST_REQUEST = 64_000
_LONGEST_QUERY = 4_000
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Measurements:
    """Numbers of one process; labels are route templates, never paths."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("http_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "http_request_seconds", "Time to the answer's end", labels[:2], buckets=_SECONDS, registry=self.registry
        )
        self.running = Gauge("http_requests_running", "Requests being answered", registry=self.registry)
        self.position = Gauge("log_position", "The log's end", registry=self.registry)
        self.lag = Gauge("projection_lag_events", "Events not folded yet", ("projection",), registry=self.registry)
        of = ("projection",)
        self.age = Gauge("projection_lag_seconds", "Age of the oldest event not folded", of, registry=self.registry)
        self.built = Gauge("projection_rebuild_ratio", "Share folded of a new table", of, registry=self.registry)
        self.parked = Gauge("patients_held_back", "Patients whose fold failed", registry=self.registry)
        self.unsignalled = Gauge("signals_lag_events", "Events not signalled yet", registry=self.registry)
        self.halted = Gauge("projections_halted", "1 where the line has stopped", registry=self.registry)
        # Looking a series up by its labels takes longer than adding to it.
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        method, route = scope["method"], getattr(scope.get("route"), "path", None) or "unmatched"
        series = self._answered.get((method, route, status))
        if series is None:
            series = self.requests.labels(method, route, str(status)), self.seconds.labels(method, route)
            self._answered[method, route, status] = series
        series[0].inc()
        series[1].observe(seconds)


class _TooLarge(Exception):
    """More came than may come."""


class Edge:
    def __init__(self, app: ASGIApp, measurements: Measurements) -> None:
        self._app = app
        self._measurements = measurements

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        began = time.perf_counter()
        self._measurements.running.inc()
        try:
            await self._answer(scope, exchange)
        finally:
            self._measurements.running.dec()
            self._measurements.answered(scope, exchange.status, time.perf_counter() - began)

    async def _answer(self, scope: Scope, exchange: "_Exchange") -> None:
        with structlog.contextvars.bound_contextvars(correlation_id=exchange.ids["X-Correlation-ID"]):
            try:
                exchange.refuse_length()
                await self._app(scope, exchange.receive, exchange.send)
            except _TooLarge:
                await exchange.answer(ApiProblem("too-large", headers={"Connection": "close"}))
            except Exception as error:  # noqa: BLE001 a text of it may quote a patient, so only its class is told
                log.error("request_failed", error=type(error).__name__, error_at=_place(error))  # noqa: TRY400 as above
                await exchange.answer(ApiProblem("internal"))


class _Exchange:
    """One request and its answer. `ids` are the caller's own where they are UUIDs, which cannot carry a person."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._headers = Headers(scope=scope)
        self._largest = LARGEST_MESSAGE if scope["path"] == EVENTS_PATH else LARGEST_REQUEST
        self._received = 0
        self.status = 0
        self.ids = {name: _given_or_new(self._headers.get(name)) for name in ("X-Correlation-ID", "X-Request-ID")}
        scope["correlation_id"] = self.ids["X-Correlation-ID"]

    def refuse_length(self) -> None:
        length = self._headers.get("content-length", "0")
        too_long = len(self._scope["query_string"]) > _LONGEST_QUERY
        if too_long or (length.isascii() and length.isdigit() and int(length) > self._largest):
            raise _TooLarge

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._largest:
            raise _TooLarge
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            ids = [(name.lower().encode(), value.encode()) for name, value in self.ids.items()]
            message["headers"] = [*message["headers"], *ids, _NO_SNIFFING]
        await self._send(message)

    async def answer(self, problem: ApiProblem) -> None:
        """Nothing, where an answer has begun already."""
        if self.status == 0:
            await response(problem)(self._scope, self._receive, self.send)


def _given_or_new(given: str | None) -> str:
    return given if given is not None and _UUID.fullmatch(given) else str(uuid4())


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""
