"""What is made in a quicker way than by asking a serialiser or a time zone is what these would say."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue import FACTS
from domain.facts import Fact, fact_json
from domain.pathway import PerformanceStatusAssessed
from domain.times import LONDON, Occurred, iso
from infra.keys import DataKey
from infra.payloads import recorded, seal
from projections.folds.items import explicit, told
from tests.strategies import facts

_ANY_TIME = st.datetimes(datetime(1840, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 without zone
# Where clocks have been changed, by how much or on which day, in the years that the quicker way is taken.
_NEAR_MIDNIGHT = st.builds(
    lambda day, hour, minute: day.replace(hour=hour, minute=minute),
    st.datetimes(datetime(1971, 10, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 without zone
    st.sampled_from([22, 23, 0, 1]),
    st.sampled_from([0, 59]),
)


@given(facts(FACTS))
def test_a_fact_is_told_as_its_serialiser_tells_it(fact: Fact) -> None:
    expected: dict[str, Any] = explicit(fact.model_dump(mode="json"))
    made = told(fact)
    assert made == expected
    assert list(made) == list(expected)
    assert all(type(each) in (str, int, float, list, dict) for each in made.values())


@given(st.one_of(_ANY_TIME, _NEAR_MIDNIGHT))
def test_the_date_is_that_of_the_time_zone(at: datetime) -> None:
    assert Occurred(at).london_date == at.astimezone(LONDON).date()


@given(st.datetimes(timezones=st.sampled_from([UTC, LONDON])))
def test_an_instant_is_said_as_python_says_it(at: datetime) -> None:
    assert iso(at) == at.isoformat()


@pytest.mark.parametrize("zone", [UTC, LONDON])
def test_whatever_zone_the_server_tells_times_in_an_event_has_them_in_utc(zone: Any) -> None:
    key, stream = DataKey(UUID(int=9), AESGCM(AESGCM.generate_key(256))), UUID(int=1)
    fact = PerformanceStatusAssessed(scale="ECOG", value="1")
    payload = seal(key, stream, 1, fact.stored, fact_json(fact), b"{}")
    told_at = datetime(2026, 7, 1, 9, 30, tzinfo=UTC).astimezone(zone)
    event = recorded((1, told_at, stream, 1, stream, 1, fact.stored, told_at, b"I", payload), key)
    assert event.occurred.words() == "2026-07-01T09:30:00+00:00"
    assert event.recorded_at.isoformat() == "2026-07-01T09:30:00+00:00"
