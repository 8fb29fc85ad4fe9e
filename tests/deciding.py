"""given(facts).when(command).then(facts): one stream and what its rules decide."""

from datetime import UTC, datetime

import pytest

from domain.facts import Category, Command, Fact, NotAllowed, Recorded
from domain.stream import AGGREGATES, Decided, Stream
from domain.times import Occurred
from tests.builders import FIRST_RECORDING, PATIENT_ID, REPORTED, in_turn, target_of

AFTER_ALL = Occurred(datetime(2026, 5, 31, 12, tzinfo=UTC))
_PROVENANCE = REPORTED.model_dump_json(exclude_none=True).encode()


def stream_of(category: Category, *facts: Fact) -> Stream:
    """The facts a day apart from 1 January 2026, recorded in that order."""
    events = in_turn(*((target_of(fact), fact) for fact in facts))
    return Stream(events[0].stream_id if events else PATIENT_ID, category, events)


def carry_out(stream: Stream, act: Fact | Command, occurred: Occurred = AFTER_ALL) -> list[Decided]:
    """Decides and records, as the writer does. Raises NotAllowed."""
    decided = stream.decide(act, occurred)
    for each in decided:
        place = stream.version + 1
        position = stream.last_position + 1
        event = Recorded(
            position, FIRST_RECORDING, stream.stream_id, place, PATIENT_ID, place, occurred, each.fact, _PROVENANCE
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
