"""Messages over HTTP: one event a request, and batches; answered when they are durable, as over Kafka."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from consumers.messages import BATCH as TOGETHER_TYPE
from consumers.messages import STRUCTURED, RawMessage
from consumers.pipeline import Pipeline
from infra.local_issuer import LocalIssuer
from infra.settings import load_settings
from infra.writing.writer import Writer
from tests.benchmarks.figures import Figure, against, at_most, in_turns, percentile
from tests.benchmarks.lab import Lab
from tests.benchmarks.serving import Server, ours, post, send_all, serving, theirs, uvicorn
from tests.benchmarks.stock import Case, Cases, environment, read_as_of_patient
from tests.benchmarks.traffic import BATCH, batched, fill, in_rounds, reports

PERSONS, BEFORE, AFTER = 400, 45, 12
CALLERS, TURNS = 16, 3
OF_A_BATCH, SENDERS = 100, 2
# How many messages each contestant is sent in a turn.
ALONE, TOGETHER, STOCK, WARMING = 400, 1_000, 150, 50


class Sender:
    """Sends a server the messages that follow, so many a request and a turn; none is sent twice."""

    def __init__(self, port: int, requests: Iterator[bytes], of_a_request: int = 1, callers: int = CALLERS) -> None:
        self._port = port
        self._requests = requests
        self._of_a_request = of_a_request
        self._callers = callers
        self.latencies: list[float] = []

    def send(self, messages: int) -> float:
        """Messages a second."""
        requests = list(islice(self._requests, messages // self._of_a_request))
        server = Server(self._port, requests, [])
        rate = asyncio.run(send_all(server, self._callers)) * self._of_a_request
        self.latencies.extend(server.latencies)
        return rate


def run(lab: Lab) -> list[Figure]:
    told = [told for told in (reports(person, BEFORE + AFTER) for person in range(PERSONS)) if len(told) > BEFORE]
    history = in_rounds(each[:BEFORE] for each in told)
    after = in_rounds(each[BEFORE:] for each in told)
    issuer = LocalIssuer(lab.folder, load_settings().local_issuer, load_settings().local_audience)
    database, library = lab.database("http"), environment(lab, lab.empty("http_stock"), CALLERS)
    lab.say("HTTP: a history for each contestant")
    with closing(Writer(database.log(), database.keys)) as writer:
        fill(writer, Pipeline(database.keys), history)
    _fill_stock(library, history)
    with (
        serving(ours(lab, database), ["-m", "api", "serve"]) as served,
        serving({**theirs(lab, database, issuer), **library}, uvicorn("taking_in")) as stock,
    ):
        lab.say("HTTP: sending")
        return _figures(served, stock, after, issuer.token("publisher"))


def _fill_stock(library: dict[str, str], history: list[RawMessage]) -> None:
    with closing(Cases(env=library)) as cases:
        held: dict[UUID, Case] = {}
        for batch in batched(history, BATCH):
            cases.save_together(held, map(read_as_of_patient, batch))


def _figures(served: int, stock: int, after: list[RawMessage], token: str) -> list[Figure]:
    first = TURNS * ALONE + WARMING
    one_each = (_single(each, token) for each in after[:first])
    batches = (_batch(each, token) for each in batched(after[first:], OF_A_BATCH))
    alone, together = Sender(served, one_each), Sender(served, batches, OF_A_BATCH, SENDERS)
    theirs = Sender(stock, (_single(each, token) for each in after))
    for sender in (alone, theirs):
        sender.send(WARMING)  # connections and code are warm
        sender.latencies.clear()
    contestants = {
        "alone": partial(alone.send, ALONE),
        "together": partial(together.send, TOGETHER),
        "stock": partial(theirs.send, STOCK),
    }
    rates = in_turns(contestants, TURNS)
    return [
        against("HTTP one event a request, 16 callers, against stock", rates, "alone", "stock", None, "messages/s"),
        at_most("HTTP one event a request, 16 callers, p99", [percentile(alone.latencies, 99)], None),
        against("HTTP batches of 100, against stock one by one", rates, "together", "stock", None, "messages/s"),
    ]


def _single(message: RawMessage, token: str) -> bytes:
    return post("/v1/events", token, STRUCTURED, orjson.dumps(_structured(message)))


def _batch(messages: list[RawMessage], token: str) -> bytes:
    return post("/v1/events", token, TOGETHER_TYPE, orjson.dumps([_structured(each) for each in messages]))


def _structured(message: RawMessage) -> dict[str, Any]:
    told = {name: (value or b"").decode() for name, value in message.headers}
    attributes = {name.removeprefix("ce_"): value for name, value in told.items() if name.startswith("ce_")}
    return {**attributes, "datacontenttype": told["content-type"], "data": orjson.loads(message.value or b"")}
