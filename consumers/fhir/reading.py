"""Typed reading of JSON that nobody has checked: every getter knows where it stands and refuses with that place.

A refusal names the field as a JSON Pointer and never repeats a value of the message.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from consumers.translation import Refusal
from domain import times
from domain.facts import Coding
from domain.times import Occurred

_WORD = 300
_TEXT = 20_000
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2}))?")
_LARGEST = 1e15
_EARLIEST_YEAR = 1800  # no living person's record; below it, arithmetic on time zones leaves the calendar


class Reading:
    """One place in a decoded JSON document. `value` is None where the document says nothing."""

    __slots__ = ("_key", "_parent", "value")

    def __init__(self, value: Any, key: str | int | None = None, parent: "Reading | None" = None) -> None:
        self.value = value
        self._key = key
        self._parent = parent

    @property
    def pointer(self) -> str:
        """RFC 6901; the whole document is the empty string."""
        steps: list[str] = []
        place: Reading | None = self
        while place is not None and place._key is not None:
            steps.append(str(place._key).replace("~", "~0").replace("/", "~1"))
            place = place._parent
        return "".join(f"/{step}" for step in reversed(steps))

    def __bool__(self) -> bool:
        return self.value is not None

    def refusal(self, code: str, detail: str, action: str) -> Refusal:
        return Refusal(code, self.pointer, detail, action)

    def get(self, *names: str) -> "Reading":
        """The member, or a place that holds None. Several names walk down."""
        place = self
        for name in names:
            value = place.value
            if isinstance(value, dict):
                place = Reading(value.get(name), name, place)
            elif value is None:
                place = Reading(None, name, place)
            else:
                raise place._wrong_type("an object")
        return place

    def first(self, *names: str) -> "Reading":
        """The first of these members that the document has; the first name's place if it has none."""
        places = [self.get(name) for name in names]
        return next((place for place in places if place.value is not None), places[0])

    def items(self) -> list["Reading"]:
        """Elements of an array; a lone object counts as one, since releases differ on which members repeat."""
        if self.value is None:
            return []
        if isinstance(self.value, list):
            places = (Reading(inner, index, self) for index, inner in enumerate(self.value))
            return [place for place in places if place.value is not None]
        if isinstance(self.value, dict):
            return [self]
        raise self._wrong_type("an array")

    def text(self, limit: int = _TEXT) -> str | None:
        """Without blanks at its ends, and None when nothing is left. Longer text is cut, and ends with an ellipsis."""
        if self.value is None:
            return None
        if not isinstance(self.value, str):
            raise self._wrong_type("a string")
        words = self.value.strip()
        if not words.isascii() and any("\ud800" <= letter <= "\udfff" for letter in words):
            raise self.refusal("invalid-text", "the text holds half of a character", "send well-formed Unicode")
        return (words if len(words) <= limit else words[: limit - 1] + "…") or None

    def word(self) -> str | None:
        return self.text(_WORD)

    def key(self) -> str | None:
        """Text that identifies: cutting it would make two things one, so too long is refused."""
        words = self.text()
        if words is not None and len(words) > _WORD:
            raise self.refusal("too-long", f"more than {_WORD} characters", "send a shorter identifier")
        return words

    def required_key(self) -> str:
        words = self.key()
        if words is None:
            raise self.missing()
        return words

    def boolean(self) -> bool | None:
        if self.value is None or isinstance(self.value, bool):
            return self.value
        raise self._wrong_type("true or false")

    def number_words(self) -> str | None:
        """A number as it was written, or None."""
        if self.value is None:
            return None
        is_number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not is_number or not abs(self.value) < _LARGEST:  # so written, it also catches what is not a number
            raise self._wrong_type("a number")
        return f"{self.value:.15g}"

    def occurred(self) -> Occurred | None:
        """Year, month, date or instant, as precise as it was told."""
        words = self.text()
        if words is None:
            return None
        if _DATE.fullmatch(words):
            try:
                told = times.parse(words)
            except (ValueError, OverflowError):
                told = None
            if told is not None and told.at.year >= _EARLIEST_YEAR:
                return told
        raise self.refusal(
            "invalid-date",
            "not a date (YYYY, YYYY-MM, YYYY-MM-DD) or an instant with its offset",
            "send a date of the calendar, or an instant such as 2026-03-01T09:30:00Z",
        )

    def instant(self) -> datetime | None:
        """The moment, or None where only a day was told."""
        told = self.occurred()
        return None if told is None or told.is_date_only else told.at

    def day(self) -> date | None:
        """The London day, or None where only a month or year was told."""
        told = self.occurred()
        if told is None or told.precision in (times.Precision.YEAR, times.Precision.MONTH):
            return None
        return told.london_date

    def partial_date(self) -> str | None:
        """`1960`, `1960-05` or `1960-05-04`."""
        told = self.occurred()
        if told is None:
            return None
        return told.words() if told.is_date_only else told.london_date.isoformat()

    def missing(self, action: str = "send this field") -> Refusal:
        return self.refusal("missing-field", "a field that is needed is absent or empty", action)

    def withdrawal(self, what: str, among: str) -> Refusal:
        """For a record marked in error at its source whose stream holds facts of other records too."""
        return self.refusal(
            "withdrawal-by-hand",
            f"the withdrawn {what} stands on {among} among other facts, which must not fall with it",
            "mark the event in error by its version, or send the correction as an event of the plan's vocabulary",
        )

    def _wrong_type(self, expected: str) -> Refusal:
        return self.refusal("wrong-type", f"{expected} is expected here", "follow the definition of the resource")


def coding(place: Reading) -> Coding | None:
    """None where it has no code. A system that is not told is kept as empty: such a code matches no list."""
    code = place.get("code").key()
    if code is None:
        return None
    return Coding(system=place.get("system").key() or "", code=code, display=place.get("display").word())


def codings(concept: Reading) -> tuple[Coding, ...]:
    """Of a CodeableConcept, of a lone Coding, or of a bare code as older releases have it."""
    if isinstance(concept.value, str):
        word = concept.key()
        return (Coding(system="", code=word),) if word else ()
    places = concept.get("coding").items() or [concept]
    return tuple(told for told in map(coding, places) if told is not None)


def all_codings(concepts: Iterable[Reading]) -> tuple[Coding, ...]:
    return tuple(told for concept in concepts for told in codings(concept))


def concept_words(concept: Reading) -> str | None:
    """The text of a concept, else the display of one of its codes, else a code."""
    if isinstance(concept.value, str):
        return concept.word()
    told = codings(concept)
    return concept.get("text").word() or next((each.display for each in told if each.display), None) or _a_code(told)


def _a_code(told: tuple[Coding, ...]) -> str | None:
    return told[0].code if told else None


def has_code(concept: Reading, *codes: str) -> bool:
    return any(told.code in codes for told in codings(concept))


def first_occurred(*places: Reading) -> Occurred | None:
    """Of the first of these places where anything is told."""
    return next((place.occurred() for place in places if place), None)


def profiles(resource: Reading) -> str:
    """The canonical addresses of all profiles that a resource claims, one after another."""
    return " ".join(place.text() or "" for place in resource.get("meta", "profile").items())


def extension(place: Reading, ending: str) -> Reading:
    """The first extension whose address ends so; a place that holds None if there is none."""
    for each in place.get("extension").items():
        if (each.get("url").text() or "").endswith(ending):
            return each
    return Reading(None, "extension", place)
