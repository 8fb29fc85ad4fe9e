"""Signals to other systems: whom they name, what they must not tell, and that none is lost."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaError

from domain.appointment import AppointmentBooked
from domain.facts import PATIENT, Category, Fact, Target
from domain.pathway import DiagnosisAgreed, InformedOfOutcome, Told
from domain.patient import AboutMeWritten
from infra.kafka_broker import KafkaBroker
from infra.settings import Settings
from infra.topics import Topic, create_topics
from projections.catalogue import STORED
from projections.folds.plan import PLAN
from projections.live.signalling import Signal, Signalling, has_turn, run
from projections.rebuild import rebuilding
from projections.tables import parking
from tests.conftest import Database
from tests.processes import until
from tests.rebuilding import Site, site_of
from tests.samples import samples
from tests.works import PATHWAY, called, work

pytestmark = pytest.mark.postgres


class Sent:
    """What a broker would hold."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.is_down = False

    def __call__(self, signals: Sequence[Signal]) -> None:
        if self.is_down:
            raise KafkaError("down")
        self.signals += signals

    @property
    def documents(self) -> list[str]:
        return [each.document for each in self.signals]


class Outside:
    def __init__(self, site: Site, signalling: Signalling, sent: Sent) -> None:
        self.site = site
        self.signalling = signalling
        self.sent = sent
        self._numbers = iter(range(1_000))

    def tell(self, *persons: str) -> None:
        """What the patients themselves have told is theirs to see."""
        for person in persons:
            number = next(self._numbers)
            written = AboutMeWritten(heading="what-matters-to-me", words=f"{number}")
            self.site.writer.submit(work(f"s-{number}", (PATIENT, written), patient=called(person)))
        self.site.catch_up()

    def report(self, target: Target, fact: Fact) -> UUID:
        self.site.writer.submit(work(f"s-{next(self._numbers)}", (target, fact), patient=called("1")))
        found: UUID = self.site.one("select patient_id from log.events order by position desc limit 1")
        return found

    def step(self) -> list[str]:
        self.sent.signals.clear()
        self.signalling.step()
        return self.sent.documents


@pytest.fixture
def outside(database: Database, tmp_path: Path) -> Iterator[Outside]:
    with site_of(database, tmp_path) as site:
        site.tell(2)
        site.catch_up()
        with site.tools.connect() as connection:
            sent = Sent()
            yield Outside(site, Signalling(connection, site.tools, sent), sent)


def test_a_change_is_signalled_once_what_is_served_shows_it(outside: Outside) -> None:
    outside.report(PATIENT, AboutMeWritten(heading="what-matters-to-me", words="my garden"))
    assert outside.step() == []
    outside.site.catch_up()
    assert outside.step() == ["plan"]
    outside.tell("0", "1")
    assert outside.step() == ["plan", "plan"]
    assert outside.step() == []


def test_nothing_tells_of_a_finding_before_the_patient_is_told(outside: Outside) -> None:
    outside.report(PATHWAY, DiagnosisAgreed(icd10="C50.9"))
    outside.site.catch_up()
    assert outside.step() == []
    outside.report(PATHWAY, InformedOfOutcome(told=(Told(what="diagnosis"),)))
    outside.site.catch_up()
    assert {"record", "summaries"} <= set(outside.step())


def test_an_appointment_is_signalled(outside: Outside) -> None:
    booked = samples()[AppointmentBooked]
    outside.report(Target(Category.APPOINTMENT, "a"), booked)
    outside.site.catch_up()
    assert set(outside.step()) <= {"appointments"}


def test_a_rebuild_emits_none_and_a_switch_loses_none(outside: Outside) -> None:
    site = outside.site
    site.rebuild(*STORED)
    assert outside.step() == []
    outside.tell("0", "1")
    site.rebuild(PLAN)
    rebuilding.back(site.tools, PLAN)
    assert outside.step() == ["plan", "plan"]


def test_what_the_broker_did_not_take_is_sent_again_under_the_same_id(outside: Outside) -> None:
    outside.tell("0")
    outside.sent.is_down = True
    with pytest.raises(KafkaError):
        outside.signalling.step()
    outside.sent.is_down = False
    assert outside.step() == ["plan"]
    epoch = uuid4()
    event = outside.sent.signals[0].event(epoch)
    with outside.site.database.connect("projector") as connection:
        connection.execute("update read.checkpoints set position = position - 1 where projection = 'care-signals'")
    assert outside.step() == ["plan"]
    assert outside.sent.signals[0].event(epoch) == event


def test_whoever_was_held_back_is_signalled_when_served_again(outside: Outside) -> None:
    person = outside.site.one("select patient_id from log.events order by position limit 1")
    with outside.site.tools.connect() as connection:
        parking.park(connection, [parking.Failure(person, 1, "Test")])
        outside.tell("0")
        assert outside.step() == []
        parking.release(connection, [person])
    assert outside.step() == ["plan"]
    assert outside.step() == []


def test_a_signal_is_a_cloud_event_without_patient_data() -> None:
    told = orjson.loads(Signal(UUID(int=1), "plan", 7).event(UUID(int=2)))
    assert told.keys() == {"specversion", "id", "source", "type", "subject", "dataref", "position"}
    assert told["dataref"] == f"/v1/patients/{UUID(int=1)}/plan"
    assert told["type"] == "uk.nhs.cancerplan.signal.plan-changed.v1"


def test_only_one_of_several_sends(outside: Outside) -> None:
    with closing(outside.site.tools.connect()) as one, closing(outside.site.tools.connect()) as other:
        assert has_turn(one)
        assert not has_turn(other)


@pytest.mark.kafka
def test_signals_reach_the_topic(outside: Outside, kafka_broker: KafkaBroker) -> None:
    topic = f"signals-{uuid4()}"
    create_topics({"bootstrap_servers": kafka_broker.bootstrap}, [Topic(topic, partitions=1)])
    settings = Settings(environment="development", kafka_bootstrap=kafka_broker.bootstrap, signals_topic=topic)
    stopping = threading.Event()
    told: list[dict[str, int]] = []
    thread = threading.Thread(
        target=run, args=[outside.site.tools, settings, stopping.is_set, lambda kinds, _: told.append(kinds)]
    )
    thread.start()
    outside.tell("0", "1")
    until(lambda: told == [{"plan": 2}], "both are acknowledged", 30)
    stopping.set()
    thread.join()
    consumer = KafkaConsumer(topic, bootstrap_servers=kafka_broker.bootstrap, auto_offset_reset="earliest")
    polled = consumer.poll(timeout_ms=10_000)
    consumer.close()
    events = [orjson.loads(record.value) for records in polled.values() for record in records]
    assert [each["type"] for each in events] == ["uk.nhs.cancerplan.signal.plan-changed.v1"] * 2
