"""Telling other systems whose documents have changed: a reader of the log with a checkpoint of its own.

A signal holds no patient data, and nothing that would tell of an undisclosed finding, not even that something was
recorded: what counts as a change is what the patient may see of their own history (`domain/disclosure.py`). It is sent
once what is served shows it. At least once: a signal that is sent again has the same id.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import orjson
import psycopg
import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from domain.catalogue import category_of
from domain.disclosure import as_seen_by_patient
from domain.facts import Category, EventId, Fact, Recorded
from domain.history import effective
from infra.settings import Settings
from infra.writing.log import may_pass
from projections.catalogue import STORED
from projections.keeping.histories import Histories
from projections.keeping.persons import Following
from projections.live import standing
from projections.live.engine import LEADING
from projections.tables import parking
from projections.tables.generations import SIGNALS
from projections.tables.tools import Tools

log = structlog.get_logger(__name__)

Connection = psycopg.Connection[Any]
_MOST = 200
_PAUSE_SECONDS = 0.5
_SEND_SECONDS = 30
_PREFIX = "uk.nhs.cancerplan.signal."
# Document and place of what a fact of each category changes.
_CHANGED: dict[Category, tuple[str, ...]] = {
    Category.PATIENT: ("plan",),
    Category.CARE_PLAN: ("plan",),
    Category.APPOINTMENT: ("appointments",),
    Category.REFERRAL: ("referrals",),
    Category.PATHWAY: ("record", "summaries"),
}
_OWED = """create table if not exists read.signals_owed (
               person_id uuid primary key, after_position bigint not null)"""
_BEGIN = "insert into read.checkpoints (projection, position) values (%s, %s) on conflict do nothing"
_SHOWN = "select min(position) from read.serving where projection = any(%s)"
_MOVE = "update read.checkpoints set position = %s, advanced_at = clock_timestamp() where projection = %s"


class Signal(NamedTuple):
    """`document` (plan, record, summaries, appointments, referrals) of this person changed, by `position`."""

    person: UUID
    document: str
    position: int

    def event(self, epoch: UUID) -> bytes:
        """A CloudEvent in structured mode, whose data is to be had of the API by whoever may."""
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": str(uuid5(epoch, f"{self.person}/{self.document}/{self.position}")),
                "source": "/cancerplan",
                "type": f"{_PREFIX}{self.document}-changed.v1",
                "subject": str(self.person),
                "dataref": f"/v1/patients/{self.person}/{self.document}",
                "position": self.position,
            }
        )


Send = Callable[[Sequence[Signal]], None]


class Signalling:
    """One connection's work; `send` returns when the broker has acknowledged all."""

    def __init__(self, connection: Connection, tools: Tools, send: Send) -> None:
        self._connection = connection
        self._histories = Histories(tools.keys())
        self._following = Following()
        self._send = send
        connection.execute(_OWED)
        connection.execute(_BEGIN, [SIGNALS, self._shown()])

    def step(self) -> tuple[list[Signal], int]:
        """Signals of the next events, sent, and the position reached. Raises KafkaError and psycopg.Error; what was
        sent may then be sent again."""
        after, through = self._next()
        held_back = parking.who(self._connection)
        signals = self._of_released(held_back, through)
        owing: dict[UUID, int] = {}
        for person, members in self._touched(after, through).items():
            if person in held_back:
                owing[person] = after
            else:
                signals += self._changes(person, members, after, through)
        signals = list({(each.person, each.document): each for each in signals}.values())
        self._send(signals)
        self._note(owing, held_back, through)
        return signals, through

    def _next(self) -> tuple[int, int]:
        after = standing.signals(self._connection) or 0
        return after, max(after, min(after + _MOST, self._shown()))

    def _shown(self) -> int:
        """The last position that everything served holds."""
        row = self._connection.execute(_SHOWN, [[each.name for each in STORED]]).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def _touched(self, after: int, through: int) -> dict[UUID, frozenset[UUID]]:
        if through == after:
            return {}
        rows = self._connection.execute(
            """select distinct patient_id from log.events
                where position > %s and position <= %s and patient_id is not null""",
            [after, through],
        )
        people = self._following.gather(self._connection, [row[0] for row in rows], after, through)
        return {each: frozenset({each}) for each in people.alone} | people.joined

    def _of_released(self, held_back: set[UUID], through: int) -> list[Signal]:
        """People who were held back when something of them changed, and are served again."""
        signals: list[Signal] = []
        for person, after in self._connection.execute("select * from read.signals_owed").fetchall():
            persons = self._following.follow(self._connection, through)
            if person not in held_back and persons.person_of(person, through) == person:
                signals += self._changes(person, persons.members(person, through), after, through)
        return signals

    def _note(self, owing: dict[UUID, int], held_back: set[UUID], through: int) -> None:
        with self._connection.transaction():
            self._connection.execute("delete from read.signals_owed where person_id <> all(%s)", [list(held_back)])
            for person, after in owing.items():
                self._connection.execute(
                    "insert into read.signals_owed values (%s, %s) on conflict do nothing", [person, after]
                )
            self._connection.execute(_MOVE, [through, SIGNALS])

    def _changes(self, person: UUID, members: frozenset[UUID], after: int, through: int) -> list[Signal]:
        """What the patient may see at one position and at the other. A person who cannot be read is left out: the
        engine holds them back."""
        try:
            events = self._histories.decoded(self._histories.whole(self._connection, list(members), through))
        except Exception as error:  # noqa: BLE001 its text may quote the person
            log.warning("signal_unreadable", error=type(error).__name__)
            return []
        before = self._following.persons.members(person, after)
        was = _seen(event for event in events if event.position <= after and event.patient_id in before)
        became = _seen(events)
        changed = {category_of(type(fact)) for fact in _differing(was, became)}
        last = max((event.position for event in events), default=through)
        documents = {document for each in changed if each is not None for document in _CHANGED[each]}
        return [Signal(person, document, last) for document in sorted(documents)]


def _seen(events: Iterable[Recorded]) -> dict[EventId, Fact]:
    return {event.event_id: event.fact for event in as_seen_by_patient(effective(events))}


def _differing(was: dict[EventId, Fact], became: dict[EventId, Fact]) -> list[Fact]:
    gone = [fact for event_id, fact in was.items() if event_id not in became]
    return gone + [fact for event_id, fact in became.items() if was.get(event_id) != fact]


def run(
    tools: Tools, settings: Settings, stopping: Callable[[], bool], sent: Callable[[dict[str, int], int], None]
) -> None:
    """Until `stopping`; one of several runners sends. What fails for a while is tried again."""
    while not stopping():
        try:
            _lead(tools, settings, stopping, sent)
        except (psycopg.Error, KafkaError) as error:
            if isinstance(error, psycopg.Error) and not may_pass(error):
                raise
            log.warning("signals_reconnect", error=type(error).__name__)
            time.sleep(_PAUSE_SECONDS)


def _lead(
    tools: Tools, settings: Settings, stopping: Callable[[], bool], sent: Callable[[dict[str, int], int], None]
) -> None:
    with tools.connect() as connection:
        while not has_turn(connection):
            if stopping():
                return
            time.sleep(_PAUSE_SECONDS)
        producer = KafkaProducer(**settings.kafka(), acks="all", linger_ms=5)
        try:
            signalling = Signalling(connection, tools, _sender(producer, settings.signals_topic, _epoch(connection)))
            while not stopping():
                before = time.monotonic()
                signals, through = signalling.step()
                if signals:
                    sent(dict(Counter(each.document for each in signals)), through)
                else:
                    time.sleep(max(0.0, before + _PAUSE_SECONDS - time.monotonic()))
        finally:
            producer.close(timeout=5)


def has_turn(connection: Connection) -> bool:
    row = connection.execute("select pg_try_advisory_lock(%s, hashtext(%s))", [LEADING, SIGNALS]).fetchone()
    return bool(row and row[0])


def _epoch(connection: Connection) -> UUID:
    """Which log this is: positions of another one name other events."""
    row = connection.execute("select epoch from log.epoch").fetchone()
    return row[0] if row else UUID(int=0)


def _sender(producer: Any, topic: str, epoch: UUID) -> Send:
    headers = [("content-type", b"application/cloudevents+json; charset=utf-8")]

    def send(signals: Sequence[Signal]) -> None:
        futures = [
            producer.send(topic, key=each.person.bytes, value=each.event(epoch), headers=headers) for each in signals
        ]
        for each in futures:
            each.get(timeout=_SEND_SECONDS)

    return send
