"""HTTP servers of a benchmark, each a process of its own, and callers that end by themselves."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from infra.children import free_port
from infra.local_issuer import LocalIssuer
from infra.settings import load_settings
from tests.benchmarks.lab import Lab
from tests.conftest import Database

START_SECONDS = 30


class Server(NamedTuple):
    """One contestant: where it listens, what it is sent (one of these a request), and the latencies (ms) of its last
    turn."""

    port: int
    requests: Sequence[bytes]
    latencies: list[float]


def get(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def post(path: str, token: str, content_type: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: {content_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def ours(lab: Lab, database: Database) -> dict[str, str]:
    return {
        "ENVIRONMENT": "development",
        "DATA_DIR": str(lab.folder),
        "KEY_FILE": str(lab.key_file),
        "DATABASE_URL_READER": database.url("reader"),
        "DATABASE_URL_WRITER": database.url("writer"),
        "LOG_LEVEL": "ERROR",
    }


def theirs(lab: Lab, database: Database, issuer: LocalIssuer) -> dict[str, str]:
    return {
        "BENCH_DATABASE": database.url("reader"),
        "BENCH_KEYS": str(lab.key_file),
        "BENCH_JWKS": str(issuer.jwks_path),
        "BENCH_AUDIENCE": load_settings().local_audience,
    }


def uvicorn(factory: str) -> list[str]:
    module = f"tests.benchmarks.stock_api:{factory}"
    speed = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    return ["-m", "uvicorn", "--factory", module, *speed]


@contextmanager
def serving(settings: Mapping[str, str], command: list[str]) -> Iterator[int]:
    port = free_port()
    arguments = command if command[1] == "api" else [*command, "--port", str(port)]
    process = subprocess.Popen([sys.executable, *arguments], env={**os.environ, **settings, "PORT": str(port)})
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as door:
            if door.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("a server of the benchmark did not start")


async def load(server: Server, callers: int, seconds: float) -> float:
    """Requests a second of callers that each ask again as soon as they are answered; ends by itself."""
    server.latencies.clear()
    until = time.perf_counter() + seconds
    counts = await asyncio.gather(*(_caller(server, until, first) for first in range(callers)))
    return sum(counts) / seconds


async def _caller(server: Server, until: float, first: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answered = 0
    with closing(writer):
        while time.perf_counter() < until:
            await ask(reader, writer, server, server.requests[(first * 7 + answered) % len(server.requests)])
            answered += 1
    return answered


async def send_all(server: Server, callers: int) -> float:
    """Requests a second while each of them is sent once."""
    server.latencies.clear()
    waiting, began = iter(server.requests), time.perf_counter()

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        with closing(writer):
            for request in waiting:
                await ask(reader, writer, server, request)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(server.requests) / (time.perf_counter() - began)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server, request: bytes) -> bytes:
    began = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"a server of the benchmark answered {head[:40]!r}")
    body = await reader.readexactly(_length(head))
    server.latencies.append((time.perf_counter() - began) * 1000)
    return body


def _length(head: bytes) -> int:
    lines = (line.lower() for line in head.split(b"\r\n"))
    return int(next(line for line in lines if line.startswith(b"content-length:")).partition(b":")[2])
