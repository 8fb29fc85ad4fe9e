"""P6: a clinician's front end reads plans over HTTP: token, relationship, decryption and access log on."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from functools import partial
from typing import NamedTuple

import orjson

from consumers.pipeline import Pipeline
from infra.children import free_port
from infra.local_issuer import LocalIssuer
from infra.settings import load_settings
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.care_team import CARE_TEAM
from projections.live.engine import Engine
from tests.benchmarks.figures import Figure, against, at_most, in_turns, percentile
from tests.benchmarks.lab import Lab
from tests.benchmarks.traffic import fill, in_rounds, patients, reports
from tests.conftest import Database

PERSONS, EVENTS = 60, 60
CALLERS, SECONDS, TURNS = 8, 3.0, 3
# Patients who read their own plans, as the NHS App would ask.
A_SECOND, PACED_SECONDS, OWN_P95 = 25, 8.0, 40
START_SECONDS = 30
OF_STOCK, OF_FLOOR = 1.5, 0.65


class Server(NamedTuple):
    """One contestant: where it listens, what it is asked, and the latencies (ms) of its last turn."""

    port: int
    paths: Sequence[str]
    latencies: list[float]


def run(lab: Lab) -> list[Figure]:
    lab.say("P6: people to read of")
    database = lab.database("p6")
    _fill(database)
    issuer = LocalIssuer(lab.folder, load_settings().local_issuer, load_settings().local_audience)
    token = issuer.token("clinician", organisation=_organisation(database))
    ids = [patient_id for patient_id, _ in patients(database)]
    lab.say("P6: reading")
    with (
        _serving(_ours(lab, database), ["-m", "api", "serve"]) as ours,
        _serving(_theirs(lab, database, issuer), _uvicorn("stock")) as stock,
        _serving(_theirs(lab, database, issuer), _uvicorn("bare")) as bare,
    ):
        servers = {
            "ours": Server(ours, [f"/v1/patients/{each}/plan" for each in ids], []),
            "stock": Server(stock, [f"/plan/{each}" for each in ids], []),
            "bare": Server(bare, [f"/plan/{each}" for each in ids], []),
        }
        return [*_figures(servers, token), *_own_plans(ours, _tokens(issuer))]


def _tokens(issuer: LocalIssuer) -> list[str]:
    """Of the patients themselves, as NHS login gives them."""
    told = [orjson.loads(reports(person, 1)[0].value or b"")["patient"] for person in range(PERSONS)]
    return [
        issuer.token("patient", nhs_number=each["nhs_number"], birth_date=date.fromisoformat(each["birth_date"]))
        for each in told
    ]


def _fill(database: Database) -> None:
    with closing(Writer(database.log(), database.keys)) as writer:
        fill(writer, Pipeline(database.keys), in_rounds([reports(person, EVENTS) for person in range(PERSONS)]))
    with closing(Engine(lambda: database.connect("projector"), database.keys, STORED)) as engine:
        engine.catch_up()


def _organisation(database: Database) -> str:
    """One that is on the care team of everyone, so that each request does all of its work."""
    with database.connect("projector") as connection:
        row = connection.execute(
            f"""select organisation from read.{CARE_TEAM.name}_v{CARE_TEAM.version},
                       jsonb_array_elements_text(clear->'organisations') as organisation
                 group by organisation order by count(*) desc limit 1"""
        ).fetchone()
        if row is None:
            raise ValueError("nobody has a care team")
        connection.execute(
            f"""update read.{CARE_TEAM.name}_v{CARE_TEAM.version}
                   set clear = jsonb_set(clear, '{{organisations}}', (clear->'organisations') || to_jsonb(%s::text))""",
            [row[0]],
        )
    return str(row[0])


def _ours(lab: Lab, database: Database) -> dict[str, str]:
    return {
        "ENVIRONMENT": "development",
        "DATA_DIR": str(lab.folder),
        "KEY_FILE": str(lab.key_file),
        "DATABASE_URL_READER": database.url("reader"),
        "DATABASE_URL_WRITER": database.url("writer"),
        "LOG_LEVEL": "ERROR",
    }


def _theirs(lab: Lab, database: Database, issuer: LocalIssuer) -> dict[str, str]:
    return {
        "BENCH_DATABASE": database.url("reader"),
        "BENCH_KEYS": str(lab.key_file),
        "BENCH_JWKS": str(issuer.jwks_path),
        "BENCH_AUDIENCE": load_settings().local_audience,
    }


def _uvicorn(factory: str) -> list[str]:
    module = f"tests.benchmarks.stock_api:{factory}"
    speed = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error"]
    return ["-m", "uvicorn", "--factory", module, *speed]


@contextmanager
def _serving(settings: Mapping[str, str], command: list[str]) -> Iterator[int]:
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


def _figures(servers: Mapping[str, Server], token: str) -> list[Figure]:
    for server in servers.values():
        asyncio.run(_load(server, token, SECONDS / 3))  # connections, caches and code are warm
    latencies: list[float] = []

    def turn(name: str) -> float:
        rate = asyncio.run(_load(servers[name], token, SECONDS))
        if name == "ours":
            latencies.extend(servers[name].latencies)
        return rate

    measured = in_turns({name: partial(turn, name) for name in servers}, TURNS)
    return [
        against("P6 reading a plan against stock", measured, "ours", "stock", OF_STOCK, "requests/s"),
        against("P6 reading a plan against the floor", measured, "ours", "bare", OF_FLOOR, "requests/s"),
        at_most("P6 reading a plan, p50", [percentile(latencies, 50)], None),
        at_most("P6 reading a plan, p99", [percentile(latencies, 99)], None),
    ]


def _own_plans(port: int, tokens: Sequence[str]) -> list[Figure]:
    """Patients read their own plans, folded for each from what is open to them."""
    asyncio.run(_paced(port, tokens, PACED_SECONDS / 3))
    latencies = asyncio.run(_paced(port, tokens, PACED_SECONDS))
    return [
        at_most("P6 a patient's own plan at 25/s, p50", [percentile(latencies, 50)], None),
        at_most("P6 a patient's own plan at 25/s, p95", [percentile(latencies, 95)], OWN_P95),
    ]


async def _paced(port: int, tokens: Sequence[str], seconds: float) -> list[float]:
    """Latencies of requests that start at a steady pace, however long the ones before them take."""
    latencies: list[float] = []
    server = Server(port, ["/v1/me/plan"], latencies)

    async def one(place: int) -> None:
        await asyncio.sleep(place / A_SECOND)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            await ask(reader, writer, server, server.paths[0], tokens[place % len(tokens)])

    await asyncio.gather(*(one(place) for place in range(int(A_SECOND * seconds))))
    return latencies


async def _load(server: Server, token: str, seconds: float) -> float:
    """Requests a second of CALLERS that each ask again as soon as they are answered; ends by itself."""
    server.latencies.clear()
    until = time.perf_counter() + seconds
    counts = await asyncio.gather(*(_caller(server, token, until, first) for first in range(CALLERS)))
    return sum(counts) / seconds


async def _caller(server: Server, token: str, until: float, first: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answered = 0
    try:
        while time.perf_counter() < until:
            path = server.paths[(first * 7 + answered) % len(server.paths)]
            await ask(reader, writer, server, path, token)
            answered += 1
    finally:
        writer.close()
    return answered


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server, path: str, token: str
) -> None:
    began = time.perf_counter()
    writer.write(f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"a server of the benchmark answered {head[:40]!r}")
    await reader.readexactly(_length(head))
    server.latencies.append((time.perf_counter() - began) * 1000)


def _length(head: bytes) -> int:
    lines = (line.lower() for line in head.split(b"\r\n"))
    return int(next(line for line in lines if line.startswith(b"content-length:")).partition(b":")[2])
