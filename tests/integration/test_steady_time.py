"""What the log is stamped with when a clock is wrong."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from infra.writing.metrics import WriteMetrics
from infra.writing.steady import TOLERANCE, SteadyTime
from infra.writing.writer import Writer
from tests.conftest import Database
from tests.works import CARE_PLAN_NEED, called, work

pytestmark = pytest.mark.postgres

HOUR = timedelta(hours=1)


def behind_by(distance: timedelta) -> SteadyTime:
    """To whom the database's clock looks as if it had jumped ahead."""
    return SteadyTime(lambda: datetime.now(UTC) - distance)


def stamps(database: Database) -> list[datetime]:
    with database.connect("auditor") as connection:
        return [row[0] for row in connection.execute("select recorded_at from log.events order by position")]


def ahead(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("append_clock_ahead_seconds") or 0.0


def test_a_clock_ahead_is_told_and_not_stamped(database: Database) -> None:
    registry = CollectorRegistry()
    with closing(
        Writer(database.log(), database.keys, metrics=WriteMetrics(registry), steady=behind_by(HOUR))
    ) as writer:
        writer.submit(work("1", CARE_PLAN_NEED))
    distance = datetime.now(UTC) - stamps(database)[-1]
    assert HOUR - TOLERANCE <= distance < HOUR
    assert abs(ahead(registry) - (HOUR - TOLERANCE).total_seconds()) < 60


def test_a_log_that_stands_ahead_is_told_and_never_goes_back(database: Database) -> None:
    registry = CollectorRegistry()
    with closing(Writer(database.log(), database.keys)) as writer:
        writer.submit(work("1", CARE_PLAN_NEED))
    with closing(
        Writer(database.log(), database.keys, metrics=WriteMetrics(registry), steady=behind_by(HOUR))
    ) as writer:
        writer.submit(work("2", CARE_PLAN_NEED, patient=called("another")))
    told = stamps(database)
    assert told == sorted(told)
    assert told[-1] == told[0]
    assert ahead(registry) > 0


def test_clocks_that_agree_raise_no_alarm(database: Database) -> None:
    registry = CollectorRegistry()
    with closing(Writer(database.log(), database.keys, metrics=WriteMetrics(registry))) as writer:
        writer.submit(work("1", CARE_PLAN_NEED))
    assert ahead(registry) == 0
    assert datetime.now(UTC) - stamps(database)[-1] < TOLERANCE * 3


def test_what_the_write_path_tells(database: Database) -> None:
    registry = CollectorRegistry()
    with closing(Writer(database.log(), database.keys, metrics=WriteMetrics(registry))) as writer:
        writer.submit(work("1", CARE_PLAN_NEED))
        writer.submit(work("1", CARE_PLAN_NEED))
    told = generate_latest(registry).decode()
    for line in (
        "append_lock_wait_seconds_count 2.0",
        "append_works_count 2.0",
        "append_events_sum 3.0",
        'append_answers_total{answer="appended"} 2.0',
        'append_answers_total{answer="known"} 1.0',
    ):
        assert line in told
