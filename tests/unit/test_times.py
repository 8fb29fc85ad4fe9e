"""Dates are London dates, instants keep their offset's meaning, and nothing is guessed."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from domain.times import Occurred, Precision, at, is_after, london_midnight, on, parse


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-28T23:59:59Z", date(2026, 3, 28)),  # winter: London is UTC
        ("2026-03-29T00:59:59Z", date(2026, 3, 29)),  # the last second before the clocks go forward
        ("2026-03-29T23:00:00Z", date(2026, 3, 30)),  # the first day of summer time ends an hour early in UTC
        ("2026-07-01T22:59:59Z", date(2026, 7, 1)),
        ("2026-07-01T23:00:00Z", date(2026, 7, 2)),
        ("2026-10-24T23:00:00Z", date(2026, 10, 25)),  # the last midnight of summer time
        ("2026-10-25T23:59:59Z", date(2026, 10, 25)),  # a day of 25 hours
        ("2026-10-26T00:00:00Z", date(2026, 10, 26)),
        ("2026-07-02T00:30:00+05:30", date(2026, 7, 1)),
    ],
)
def test_an_instant_is_on_a_london_day(text: str, day: date) -> None:
    assert parse(text).london_date == day


@pytest.mark.parametrize(
    ("day", "midnight"),
    [
        (date(2026, 3, 29), datetime(2026, 3, 29, 0, tzinfo=UTC)),
        (date(2026, 3, 30), datetime(2026, 3, 29, 23, tzinfo=UTC)),
        (date(2026, 10, 25), datetime(2026, 10, 24, 23, tzinfo=UTC)),
        (date(2026, 10, 26), datetime(2026, 10, 26, 0, tzinfo=UTC)),
        (date(1969, 6, 1), datetime(1969, 5, 31, 23, tzinfo=UTC)),  # British Standard Time, all year round
        (date(1970, 1, 1), datetime(1969, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_date_stands_at_london_midnight(day: date, midnight: datetime) -> None:
    assert london_midnight(day) == midnight
    assert on(day).london_date == day


def test_every_day_of_a_year_comes_back_as_itself() -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    assert [on(day).london_date for day in days] == days
    assert sorted(on(day).at for day in days) == [on(day).at for day in days]


@pytest.mark.parametrize(
    ("text", "precision", "day"),
    [
        ("2026", Precision.YEAR, date(2026, 1, 1)),
        ("2026-07", Precision.MONTH, date(2026, 7, 1)),
        ("2026-07-09", Precision.DAY, date(2026, 7, 9)),
    ],
)
def test_a_partial_date_is_as_precise_as_told(text: str, precision: Precision, day: date) -> None:
    told = parse(text)
    assert (told.precision, told.london_date, told.is_date_only) == (precision, day, True)
    assert told.words() == text


@pytest.mark.parametrize(
    ("fraction", "microsecond"),
    [("", 0), (".1", 100_000), (".123", 123_000), (".123456", 123_456), (".1234567", 123_456), (".999999999", 999_999)],
)
def test_any_number_of_fractional_digits_is_read(fraction: str, microsecond: int) -> None:
    told = parse(f"2026-03-01T10:15:30{fraction}+01:00")
    assert told == Occurred(datetime(2026, 3, 1, 9, 15, 30, microsecond, tzinfo=UTC))
    assert parse(told.words()) == told


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T10:15:30",
        "2026-03-01T10:15",
        "2026-13",
        "2026-02-29",
        "26-03-01",
        "",
        "yesterday",
        "2026-03-01 ",
        "２０２６",
    ],
)
def test_nothing_is_guessed(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 whichever message the part that refuses has
        parse(text)


def test_a_moment_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        at(datetime(2026, 3, 1, 9))  # noqa: DTZ001 that is the fault which is tested
    assert at(datetime(2026, 3, 1, 9, tzinfo=timezone(timedelta(hours=1)))).at.hour == 8


def test_a_tolerance_is_a_tolerance() -> None:
    told = parse("2026-03-02T09:00:00Z")
    assert not is_after(told, datetime(2026, 3, 1, 9, tzinfo=UTC), timedelta(hours=24))
    assert is_after(told, datetime(2026, 3, 1, 8, 59, tzinfo=UTC), timedelta(hours=24))
