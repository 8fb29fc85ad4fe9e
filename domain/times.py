"""When something happened: a moment with the precision that was told.

Dates are London dates (waiting times count London days), so a date stands at London midnight.
"""

import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson

LONDON = ZoneInfo("Europe/London")
# Since this year London has stood at UTC or an hour ahead of it; so only in the last hour of a day of UTC may London
# have another date, and no time zone need be asked, which takes longer than all else that gives an event its place.
_OF_WHOLE_HOURS = 1972
_LATE = 23
# Clocks of hospital systems differ by minutes; more than this ahead is a mistyped date, not a skew.
FUTURE_TOLERANCE = timedelta(hours=24)
_PARTIAL = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)


class Precision(StrEnum):
    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    INSTANT = "instant"

    __hash__ = str.__hash__  # an Enum's own is written in Python


class Occurred(NamedTuple):
    """`at` is UTC; for precisions coarser than an instant it is London midnight of the first day meant."""

    at: datetime
    precision: Precision = Precision.INSTANT

    @property
    def london_date(self) -> date:
        at = self.at
        if at.hour < _LATE and at.year >= _OF_WHOLE_HOURS and at.tzinfo is UTC:
            return at.date()
        return _london_date(at)

    @property
    def is_date_only(self) -> bool:
        return self.precision is not Precision.INSTANT

    def words(self) -> str:
        """`2026`, `2026-03`, `2026-03-01` or an ISO instant with offset, as precise as was told."""
        if self.precision is Precision.INSTANT:
            return iso(self.at)
        day = self.london_date
        match self.precision:
            case Precision.YEAR:
                return f"{day:%Y}"
            case Precision.MONTH:
                return f"{day:%Y-%m}"
            case _:
                return day.isoformat()


@lru_cache(10_000)
def _london_date(at: datetime) -> date:
    """In summer every day begins in the last hour of UTC, and many people's days are the same."""
    return at.astimezone(LONDON).date()


def iso(moment: datetime) -> str:
    """As its own `isoformat` says it, which takes three times as long."""
    return orjson.dumps(moment)[1:-1].decode() if moment.tzinfo is UTC else moment.isoformat()


def on(day: date) -> Occurred:
    return Occurred(london_midnight(day), Precision.DAY)


def at(moment: datetime) -> Occurred:
    """Raises ValueError for a moment without an offset: guessing one may move an event to another day."""
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, such as Z or +01:00")
    return Occurred(moment if moment.tzinfo is UTC else moment.astimezone(UTC))


def london_midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=LONDON).astimezone(UTC)


def parse(text: str) -> Occurred:
    """Reads an ISO 8601 year, month, date or instant with offset. Raises ValueError on anything else."""
    if _PARTIAL.fullmatch(text):
        return _parse_partial(text)
    moment = datetime.fromisoformat(_six_digits(text))
    return at(moment)


def _parse_partial(text: str) -> Occurred:
    parts = [int(part) for part in text.split("-")]
    precision = (Precision.YEAR, Precision.MONTH, Precision.DAY)[len(parts) - 1]
    year, month, day = [*parts, 1, 1][:3]
    return Occurred(london_midnight(date(year, month, day)), precision)


def _six_digits(text: str) -> str:
    """.NET systems send seven fractional digits, which Python refuses; the store keeps microseconds."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text) if "." in text else text


def is_after(occurred: Occurred, moment: datetime, tolerance: timedelta) -> bool:
    return occurred.at > moment + tolerance
