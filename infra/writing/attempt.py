"""The works of one transaction and what became of each: decided now, known from before, or set aside."""

from typing import NamedTuple

from infra.writing.desk import Desk
from infra.writing.log import ReceiptRow
from infra.writing.work import SAME_ID_OTHER_CONTENT, Conclusion, Outcome, Work

_CONTRADICTION = Outcome(SAME_ID_OTHER_CONTENT, b"", None, None, 0, known=True)


class _Concluded(NamedTuple):
    conclusion: Conclusion
    first: int
    events: int


class Attempt:
    """Decided as often as needed; works that a receipt has answered keep that answer and still move their offset."""

    def __init__(self, works: list[Work]) -> None:
        self._works = works
        self._answered: dict[int, Outcome] = {}
        # What follows is true of the last decision only: another may find that the first of two was no original.
        self._contradicted: dict[int, Outcome] = {}
        self._aside: dict[int, Work] = {}
        self._twins: dict[int, int] = {}
        self._concluded: dict[int, _Concluded] = {}

    def open_works(self) -> list[Work]:
        return [work for place, work in enumerate(self._works) if place not in self._answered]

    def decide(self, desk: Desk) -> None:
        for last in (self._contradicted, self._aside, self._twins, self._concluded):
            last.clear()
        firsts: dict[bytes, int] = {}
        for place, work in enumerate(self._works):
            if work.offset is not None:
                desk.draft.move(work.offset)
            if place in self._answered:
                continue
            self._compare(place, firsts)
            if place in self._twins or place in self._contradicted:
                continue
            first = len(desk.draft.batch.events) + 1
            conclusion = desk.decide(self._current(place))
            self._concluded[place] = _Concluded(conclusion, first, len(desk.draft.batch.events) - first + 1)

    def answer_known(self, receipts: dict[bytes, ReceiptRow]) -> None:
        for place, work in enumerate(self._works):
            if place in self._answered:
                continue
            row = receipts.get(work.key)
            if row is None or work.replaces:
                self._answer_aside(place, receipts)
            elif row.digest == work.digest:
                self._answered[place] = _known(row)
            elif work.aside is None:
                self._answered[place] = _CONTRADICTION
            else:
                self._works[place] = aside_of(work, SAME_ID_OTHER_CONTENT)

    def outcomes(self, base: int, position: int) -> list[Outcome]:
        return [self._outcome(place, base, position) for place in range(len(self._works))]

    def _answer_aside(self, place: int, receipts: dict[bytes, ReceiptRow]) -> None:
        """What this batch would set aside was set aside before."""
        row = receipts.get(self._aside[place].key) if place in self._aside else None
        if row is not None:
            self._answered[place] = _known(row)

    def _current(self, place: int) -> Work:
        return self._aside.get(place, self._works[place])

    def _compare(self, place: int, firsts: dict[bytes, int]) -> None:
        """Notes a work whose key an earlier one of this batch has: a twin where equal, a contradiction where not."""
        work = self._current(place)
        earlier = firsts.setdefault(work.key, place)
        if earlier == place:
            return
        if self._current(earlier).digest == work.digest:
            self._twins[place] = earlier
        elif work.aside is None:
            self._contradicted[place] = _CONTRADICTION
        else:
            self._aside[place] = aside_of(work, SAME_ID_OTHER_CONTENT)
            self._compare(place, firsts)

    def _outcome(self, place: int, base: int, position: int) -> Outcome:
        if place in self._answered:
            return self._answered[place]
        if place in self._contradicted:
            return self._contradicted[place]
        if place in self._twins:
            return self._outcome(self._twins[place], base, position)._replace(known=True)
        conclusion, first, events = self._concluded[place]
        span = (base + first, base + first + events - 1) if events else (None, None)
        return Outcome(conclusion.outcome, conclusion.answer, span[0], span[1], position)


def aside_of(work: Work, code: str) -> Work:
    """The work that keeps this one's bytes with the reason `code`; where this one was read has been read all the same.
    Raises ValueError for a person's command, which is answered and not set aside."""
    if work.aside is None:
        raise ValueError("a command is not set aside")
    return work.aside(code)._replace(offset=work.offset)


def _known(row: ReceiptRow) -> Outcome:
    return Outcome(row.outcome, row.answer, row.first_position, row.last_position, row.position, known=True)
