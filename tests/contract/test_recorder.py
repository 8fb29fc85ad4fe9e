"""The `eventsourcing` library's own conformance cases, against recorders that stand on the log."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import eventsourcing.tests.persistence as conformance
import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, NotSupportedError, StoredEvent, Tracking
from eventsourcing.utils import Environment
from psycopg.conninfo import conninfo_to_dict

from infra.recorder import AggregateRecorder, ApplicationRecorder, Factory, ProcessRecorder, TrackingRecorder
from tests.conftest import Database

pytestmark = pytest.mark.postgres


def environment(database: Database) -> dict[str, str]:
    told = conninfo_to_dict(database.url("writer"))
    return {
        "PERSISTENCE_MODULE": "infra.recorder:Factory",
        "POSTGRES_DBNAME": str(told["dbname"]),
        "POSTGRES_HOST": str(told["host"]),
        "POSTGRES_PORT": str(told["port"]),
        "POSTGRES_USER": str(told["user"]),
        "POSTGRES_PASSWORD": str(told["password"]),
    }


class OnTheLog:
    """Gives each case a factory over a database of its own."""

    made: Factory

    @pytest.fixture(autouse=True)
    def factory_of_test(self, database: Database) -> Iterator[None]:
        self.made = Factory(environment(database))
        yield
        self.made.close()


class TestAggregateRecorder(OnTheLog, conformance.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return self.made.aggregate_recorder()


class TestApplicationRecorder(OnTheLog, conformance.ApplicationRecorderTestCase):
    def create_recorder(self) -> ApplicationRecorder:
        return self.made.application_recorder()

    def test_insert_subscribe(self) -> None:
        super().optional_test_insert_subscribe()


class TestNotificationsDoNotInterleave(OnTheLog, conformance.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        return self.made.application_recorder()


class TestTrackingRecorder(OnTheLog, conformance.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        return self.made.tracking_recorder(TrackingRecorder)


class TestProcessRecorder(OnTheLog, conformance.ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        return self.made.process_recorder()


class OtherTrackingRecorder(TrackingRecorder):
    """Only its class matters: the factory is asked for it."""


class TestFactory(conformance.InfrastructureFactoryTestCase[Any]):
    @pytest.fixture(autouse=True)
    def environment_of_test(self, database: Database) -> None:
        self.env = Environment("TestCase", environment(database))

    def expected_factory_class(self) -> type[Factory]:
        return Factory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return AggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return ApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        return TrackingRecorder

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        return OtherTrackingRecorder

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        return ProcessRecorder


class Need(Aggregate):
    """A library aggregate, to see an application run from end to end."""

    @event("Raised")
    def __init__(self, concern: str) -> None:
        self.concern = concern
        self.score = 0

    @event("Scored")
    def give(self, score: int) -> None:
        self.score = score


def test_an_application_of_the_library_runs_on_the_log(database: Database) -> None:
    with Application[Any](env=environment(database)) as application:
        need = Need("sleep")
        application.save(need)
        need.give(7)
        application.save(need)
        again: Need = application.repository.get(need.id)
        assert (again.concern, again.score, again.version) == ("sleep", 7, 2)
    with database.connect("auditor") as connection:
        rows = connection.execute(
            "select position, version, patient_id, key_id, octet_length(leaf_hash) from log.events order by position"
        ).fetchall()
    assert rows == [(1, 1, None, None, 32), (2, 2, None, None, 32)]


def test_events_and_tracking_are_recorded_together_or_not_at_all(database: Database) -> None:
    factory = Factory(environment(database))
    recorder = factory.process_recorder()
    stored = StoredEvent(uuid4(), 1, "topic", b"state")
    recorder.insert_events([stored], tracking=Tracking("upstream", 1))
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored], tracking=Tracking("upstream", 2))
    assert (recorder.max_tracking_id("upstream"), recorder.max_notification_id()) == (1, 1)
    factory.close()


def test_two_applications_may_follow_the_same_upstream(database: Database) -> None:
    factories = [Factory(Environment(name, environment(database))) for name in ("First", "Second")]
    first, second = (factory.process_recorder() for factory in factories)
    first.insert_events([], tracking=Tracking("upstream", 5))
    assert (first.max_tracking_id("upstream"), second.max_tracking_id("upstream")) == (5, None)
    for factory in factories:
        factory.close()


@pytest.mark.parametrize(
    "option",
    [{"POSTGRES_ENABLE_DB_FUNCTIONS": "yes"}, {"ORIGINATOR_ID_TYPE": "text"}, {"SINGLE_ROW_TRACKING": "no"}],
)
def test_options_that_go_round_the_write_path_are_refused(database: Database, option: dict[str, str]) -> None:
    with pytest.raises(NotSupportedError):
        Factory(environment(database) | option)


def test_snapshots_are_refused(database: Database) -> None:
    factory = Factory(environment(database))
    with pytest.raises(NotSupportedError):
        factory.aggregate_recorder("snapshots")
    factory.close()
