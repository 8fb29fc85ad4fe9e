"""Which log this is: what a client holds of another epoch is refused, not misread.

After a restore that lost events, a new epoch opens (docs/evidence.md) and positions begin to mean something else. So
ETags end in the epoch's mark, which is put on and taken off here, and `X-Log-Epoch` stands in every answer; a client
that sends it back with a position is told when that position is void. Cursors are bound to the epoch by themselves.
"""

import re
import time
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ApiProblem, response

HEADER = "X-Log-Epoch"
# Most requests have none of these.
_HEEDED = frozenset((HEADER.lower().encode(), b"if-match", b"if-none-match"))
_ASK_SECONDS = 5.0
_MARK_LENGTH = 12
_TAG = re.compile(r'"([\x21\x23-\x7e]*?)(?:\.e([0-9a-f]{12}))?"')


class Epoch:
    """Asked of the database now and then, since it changes under a running process."""

    def __init__(self, pool: "AsyncConnectionPool[AsyncConnection[Any]]") -> None:
        self._pool = pool
        self._mark = ""
        self._asked_at = float("-inf")

    async def current(self) -> str:
        """The mark by which this epoch is told; the last one known while the database does not answer."""
        now = time.monotonic()
        if now - self._asked_at > _ASK_SECONDS:
            self._asked_at = now  # the others go on with what is known
            try:
                self._mark = await self._ask()
            except (psycopg.Error, PoolTimeout, TooManyRequests):
                self._asked_at = float("-inf")
        return self._mark

    async def _ask(self) -> str:
        async with self._pool.connection() as connection:
            row = await (await connection.execute("select epoch from log.epoch")).fetchone()
        return str(row[0].hex[:_MARK_LENGTH]) if row else ""


class Epochs:
    """ASGI middleware around everything under /v1."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        mark = await scope["app"].state.services.epoch.current()

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _marked(message["headers"], mark)
            await send(message)

        if any(name in _HEEDED for name, _ in scope["headers"]):
            if _is_void(Headers(scope=scope), mark):
                await response(ApiProblem("another-epoch"))(scope, receive, marked)
                return
            _unmark(scope, mark)
        await self._app(scope, receive, marked)


def _is_void(headers: Headers, mark: str) -> bool:
    """Whether the request rests on another epoch: by the header, or by a tag that must still hold."""
    told = [headers.get(HEADER), *(found for _, found in _TAG.findall(headers.get("if-match", "")))]
    return any(each and each != mark for each in told)


def _unmark(scope: Scope, mark: str) -> None:
    """Tags as they were before they were marked; those of another epoch match nothing."""
    headers = MutableHeaders(scope=scope)
    for name in ("if-match", "if-none-match"):
        if name in headers:
            headers[name] = _TAG.sub(lambda tag: f'"{tag[1]}"' if tag[2] in (None, mark) else '""', headers[name])


def _marked(headers: Iterable[tuple[bytes, bytes]], mark: str) -> list[tuple[bytes, bytes]]:
    told = [(name, _tag(value, mark) if name == b"etag" else value) for name, value in headers]
    return [*told, (HEADER.lower().encode(), mark.encode())]


def _tag(value: bytes, mark: str) -> bytes:
    return value[:-1] + f'.e{mark}"'.encode() if value.startswith(b'"') else value
