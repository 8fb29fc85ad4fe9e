"""given(facts).when(command).then(facts): one stream and what its rules decide."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.facts import Category, Command, Fact, NotAllowed, Recorded, fact_json
from domain.stream import AGGREGATES, Decided, Stream
from domain.times import Occurred
from infra.keys import DataKey
from infra.payloads import IN_CLEAR, PRECISION_LETTERS, in_clear, seal
from infra.writing.sealed import Sealed
from tests.builders import FIRST_RECORDING, PATIENT_ID, REPORTED, in_turn, target_of

AFTER_ALL = Occurred(datetime(2026, 5, 31, 12, tzinfo=UTC))
_PROVENANCE = REPORTED.model_dump_json(exclude_none=True).encode()


def told_at(moment: datetime | None) -> bytes:
    """The provenance of what a source had at this moment."""
    return REPORTED.model_copy(update={"recorded_at_source": moment}).model_dump_json(exclude_none=True).encode()


def stream_of(category: Category, *facts: Fact) -> Stream:
    """The facts a day apart from 1 January 2026, recorded in that order."""
    events = in_turn(*((target_of(fact), fact) for fact in facts))
    return Stream(events[0].stream_id if events else PATIENT_ID, category, events)


_KEY = DataKey(UUID(int=9), AESGCM(AESGCM.generate_key(256)))


def as_loaded(stream: Stream, key: DataKey = _KEY) -> Stream:
    """The same stream as the log gives it, sealed; opened with `key`."""
    if stream.is_empty:
        return Stream(stream.stream_id, stream.category)
    return Stream.of_unread(stream.stream_id, stream.category, Sealed([_row(each) for each in stream.events], key))


def _row(event: Recorded) -> tuple[Any, ...]:
    fact, occurred, provenance = event.fact, event.occurred, event.provenance_json
    if fact.stored in IN_CLEAR:
        payload = in_clear(fact, provenance)
    else:
        payload = seal(_KEY, event.stream_id, event.version, fact.stored, fact_json(fact), provenance)
    return *event[:6], fact.stored, occurred.at, PRECISION_LETTERS[occurred.precision].encode(), payload


def carry_out(
    stream: Stream, act: Fact | Command, occurred: Occurred = AFTER_ALL, provenance: bytes = _PROVENANCE
) -> list[Decided]:
    """Decides and records, as the writer does. Raises NotAllowed."""
    decided = stream.decide(act, occurred, provenance)
    for each in decided:
        place = stream.version + 1
        position = stream.last_position + 1
        event = Recorded(
            position, FIRST_RECORDING, stream.stream_id, place, PATIENT_ID, place, occurred, each.fact, provenance
        )
        stream.extend(event, each.fingerprint)
    return decided


def category_deciding(command: type[Command]) -> Category:
    return next(category for category, aggregate in AGGREGATES.items() if command in aggregate.decisions)


class Then:
    def __init__(self, stream: Stream, command: Command) -> None:
        self._stream = stream
        self._command = command

    def then(self, *facts: Fact) -> None:
        """Exactly these are recorded, and the same command once more records nothing."""
        assert tuple(each.fact for each in carry_out(self._stream, self._command)) == facts
        assert carry_out(self._stream, self._command) == []

    def then_nothing(self) -> None:
        self.then()

    def then_refused(self, why: str, kind: type[NotAllowed] = NotAllowed) -> None:
        with pytest.raises(kind, match=why):
            self._stream.decide(self._command, AFTER_ALL)


class Given:
    def __init__(self, *facts: Fact) -> None:
        self._facts = facts

    def when(self, command: Command) -> Then:
        return Then(stream_of(category_deciding(type(command)), *self._facts), command)


def given(*facts: Fact) -> Given:
    return Given(*facts)
