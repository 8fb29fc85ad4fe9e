"""Synthetic hospitals at work: sends the messages of journeys to Kafka, to the HTTP door, or into a file.

Each person's messages leave in order and are acknowledged before the next person's do. `DATA_DIR/simulated`
remembers, by seed, the day up to which journeys are told and how many people were sent, so that a second start
goes on where the first one stopped; message ids are the same in any case, so that one sent twice is known.
"""

import hashlib
import http.client
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError

from infra.local_issuer import LocalIssuer
from infra.settings import Settings
from infra.synthetic.journeys import Journey, journey
from infra.synthetic.messages import STRUCTURED, Message
from infra.topics import MAX_BATCH_BYTES

ATTEMPTS = 30
PAUSE_SECONDS = 1.0
SEND_SECONDS = 20.0
SHARE_STRUCTURED = 5  # one person in five


class SendFailed(Exception):
    """Messages were not taken over; the text says by what, and what may help."""


class Sender(Protocol):
    def send(self, journey: Journey) -> None:
        """All messages of one journey in order; returns when they are taken over. Raises SendFailed."""

    def close(self) -> None: ...


class Told(NamedTuple):
    """How far a seed's journeys were sent; `day` is the last day that they tell."""

    seed: int
    day: date
    people: int = 0


def simulate(sender: Sender, told: Told, patients: int, after_each: Callable[[Told], None]) -> Told:
    """Sends the people from `told.people` up to `patients`; `after_each` is given what was told so far."""
    for index in range(told.people, patients):
        sender.send(journey(told.seed, index, told.day))
        told = told._replace(people=index + 1)
        after_each(told)
    return told


def read_told(data_dir: Path, seed: int) -> Told | None:
    """What was sent before from this DATA_DIR; None where nothing was."""
    with suppress(FileNotFoundError):
        kept = orjson.loads(_told_file(data_dir, seed).read_bytes())
        return Told(seed, date.fromisoformat(kept["day"]), kept["people"])
    return None


def write_told(data_dir: Path, told: Told) -> None:
    path = _told_file(data_dir, told.seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(orjson.dumps({"day": told.day.isoformat(), "people": told.people}))
    draft.replace(path)


def _told_file(data_dir: Path, seed: int) -> Path:
    return data_dir / "simulated" / f"seed-{seed}.json"


def partition_key(nhs_number: str) -> bytes:
    """Keeps one person's messages in one partition, hence in order. Only a digest leaves the data."""
    return hashlib.blake2b(nhs_number.encode(), digest_size=12, person=b"partition").hexdigest().encode()


class ToKafka:
    """Binary mode for most people, structured mode for one in five."""

    def __init__(self, connection: dict[str, object], topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._producer: Any = None

    def send(self, journey: Journey) -> None:
        refusal: KafkaError | None = None
        for _ in range(ATTEMPTS):
            try:
                self._attempt(journey)
                return
            except KafkaError as error:
                # A producer whose batch timed out never sends again, while a new one works at once.
                refusal = error
                self.close()
                time.sleep(PAUSE_SECONDS)
        raise SendFailed(f"Kafka takes no messages ({type(refusal).__name__}); does the broker run?")

    def _attempt(self, journey: Journey) -> None:
        self._producer = self._producer or KafkaProducer(
            **self._connection, acks="all", linger_ms=5, max_request_size=MAX_BATCH_BYTES, bootstrap_timeout_ms=5000
        )
        key = partition_key(journey.person.nhs_number)
        structured = journey.person.index % SHARE_STRUCTURED == SHARE_STRUCTURED - 1
        sent = [self._send_one(each, key, structured) for each in journey.messages]
        self._producer.flush(timeout=SEND_SECONDS)
        for future in sent:
            future.get(timeout=SEND_SECONDS)

    def _send_one(self, message: Message, key: bytes, structured: bool) -> Any:
        if structured:
            headers = [("content-type", STRUCTURED.encode())]
            return self._producer.send(self._topic, message.structured(), key, headers=headers)
        return self._producer.send(self._topic, message.value(), key, headers=message.headers())

    def close(self) -> None:
        if self._producer is not None:
            with suppress(KafkaError):
                self._producer.close(timeout=2)
            self._producer = None


class ToHttp:
    """Batches of CloudEvents, one for each person; `token` gives the bearer token of a hospital's ODS code."""

    def __init__(self, port: int, token: Callable[[str], str], attempts: int = ATTEMPTS) -> None:
        self._port = port
        self._token = token
        self._attempts = attempts

    def send(self, journey: Journey) -> None:
        body = b"[" + b",".join(each.structured() for each in journey.messages) + b"]"
        organisation = journey.messages[0].source.split("/")[3]
        headers = {
            "content-type": "application/cloudevents-batch+json",
            "authorization": f"Bearer {self._token(organisation)}",
        }
        status = 0
        for _ in range(self._attempts):
            status = self._post(body, headers)
            if 0 < status < http.client.BAD_REQUEST:
                return
            if status not in (0, http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE):
                break
            time.sleep(PAUSE_SECONDS)
        answer = f"status {status}" if status else "no answer"
        raise SendFailed(f"POST /v1/events on port {self._port}: {answer}")

    def _post(self, body: bytes, headers: dict[str, str]) -> int:
        """The status; 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SEND_SECONDS)
        try:
            connection.request("POST", "/v1/events", body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def close(self) -> None:
        """Every request has a connection of its own."""


class ToFile:
    """One CloudEvent a line, in structured mode; `python -m consumers publish` sends such a file. None: standard
    output."""

    def __init__(self, path: Path | None) -> None:
        self._file = sys.stdout.buffer if path is None else path.open("wb")
        self._is_ours = path is not None

    def send(self, journey: Journey) -> None:
        self._file.writelines(each.structured() + b"\n" for each in journey.messages)

    def close(self) -> None:
        self._file.flush()
        if self._is_ours:
            self._file.close()


def http_sender(settings: Settings, issuer: LocalIssuer | None, token: str | None) -> ToHttp:
    """With the given token, or with the local issuer's for whichever hospital sends."""
    if token is not None:
        return ToHttp(settings.port, lambda _: token)
    if issuer is None:
        raise SendFailed("give a publisher's token with --token")
    return ToHttp(settings.port, lambda organisation: issuer.token("publisher", organisation=organisation))
