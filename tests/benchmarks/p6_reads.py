"""P6: a clinician's front end reads plans over HTTP: token, relationship, decryption and access log on."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from functools import partial

import orjson

from consumers.pipeline import Pipeline
from infra.local_issuer import LocalIssuer
from infra.settings import load_settings
from infra.writing.writer import Writer
from projections.catalogue import STORED
from projections.folds.care_team import CARE_TEAM
from projections.live.engine import Engine
from tests.benchmarks.figures import Figure, against, at_most, in_turns, percentile
from tests.benchmarks.lab import Lab
from tests.benchmarks.serving import Server, ask, get, load, ours, serving, theirs, uvicorn
from tests.benchmarks.traffic import fill, in_rounds, patients, reports
from tests.conftest import Database

PERSONS, EVENTS = 60, 60
CALLERS, SECONDS, TURNS = 8, 3.0, 3
# Patients who read their own plans, as the NHS App would ask.
A_SECOND, PACED_SECONDS, OWN_P95 = 25, 8.0, 40
OF_STOCK, OF_FLOOR = 1.5, 0.65


def run(lab: Lab) -> list[Figure]:
    lab.say("P6: people to read of")
    database = lab.database("p6")
    _fill(database)
    issuer = LocalIssuer(lab.folder, load_settings().local_issuer, load_settings().local_audience)
    token = issuer.token("clinician", organisation=_organisation(database))
    ids = [patient_id for patient_id, _ in patients(database)]
    lab.say("P6: reading")
    with (
        serving(ours(lab, database), ["-m", "api", "serve"]) as served,
        serving(theirs(lab, database, issuer), uvicorn("stock")) as stock,
        serving(theirs(lab, database, issuer), uvicorn("bare")) as bare,
    ):
        servers = {
            "ours": Server(served, [get(f"/v1/patients/{each}/plan", token) for each in ids], []),
            "stock": Server(stock, [get(f"/plan/{each}", token) for each in ids], []),
            "bare": Server(bare, [get(f"/plan/{each}", token) for each in ids], []),
        }
        return [*_figures(servers), *_own_plans(served, _tokens(issuer))]


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


def _figures(servers: Mapping[str, Server]) -> list[Figure]:
    for server in servers.values():
        asyncio.run(load(server, CALLERS, SECONDS / 3))  # connections, caches and code are warm
    latencies: list[float] = []

    def turn(name: str) -> float:
        rate = asyncio.run(load(servers[name], CALLERS, SECONDS))
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
    requests = [get("/v1/me/plan", token) for token in tokens]
    server = Server(port, requests, latencies)

    async def one(place: int) -> None:
        await asyncio.sleep(place / A_SECOND)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            await ask(reader, writer, server, requests[place % len(requests)])

    await asyncio.gather(*(one(place) for place in range(int(A_SECOND * seconds))))
    return latencies
