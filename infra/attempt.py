"""The works of one transaction and what became of each: decided now, known from before, or set aside."""

from typing import NamedTuple

from infra.desk import Desk
from infra.log import ReceiptRow
from infra.work import NOT_STORABLE, SAME_ID_OTHER_CONTENT, Conclusion, Outcome, Work


class _Concluded(NamedTuple):
    conclusion: Conclusion
    first: int
    events: int


class Attempt:
    """Decided as often as needed; works that a receipt has answered keep that answer and still move their offset."""

    def __init__(self, works: list[Work]) -> None:
        self.works = works
        self._answered: dict[int, Outcome] = {}
        self._twins: dict[int, int] = {}
        self._concluded: dict[int, _Concluded] = {}

    def open_works(self) -> list[Work]:
        return [work for place, work in enumerate(self.works) if place not in self._answered]

    def decide(self, desk: Desk) -> None:
        self._twins.clear()
        self._concluded.clear()
        firsts: dict[bytes, int] = {}
        for place in range(len(self.works)):
            work = self._unlike(place, firsts)
            if place in self._answered or place in self._twins:
                if work.offset is not None:
                    desk.move(work.offset)
                continue
            first = len(desk.batch.versions) + 1
            conclusion = desk.decide(work)
            self._concluded[place] = _Concluded(conclusion, first, len(desk.batch.versions) - first + 1)

    def answer_known(self, receipts: dict[bytes, ReceiptRow]) -> None:
        for place, work in enumerate(self.works):
            row = receipts.get(work.key)
            if row is None or work.replaces or place in self._answered:
                continue
            if row.digest == work.digest:
                self._answered[place] = Outcome(
                    row.outcome, row.answer, row.first_position, row.last_position, row.position, known=True
                )
            else:
                self._contradict(place)

    def outcomes(self, base: int, position: int) -> list[Outcome]:
        return [self._outcome(place, base, position) for place in range(len(self.works))]

    def _unlike(self, place: int, firsts: dict[bytes, int]) -> Work:
        """Notes works whose key an earlier one of this batch has: twins where equal, contradictions where not."""
        work = self.works[place]
        if place in self._answered:
            return work
        earlier = firsts.setdefault(work.key, place)
        if earlier != place and self.works[earlier].digest == work.digest:
            self._twins[place] = earlier
        elif earlier != place:
            self._contradict(place)
            return self.works[place] if place in self._answered else self._unlike(place, firsts)
        return work

    def _contradict(self, place: int) -> None:
        aside = self.works[place].aside
        if aside is None:
            self._answered[place] = Outcome(SAME_ID_OTHER_CONTENT, b"", None, None, 0, known=True)
        else:
            self.works[place] = aside(SAME_ID_OTHER_CONTENT)

    def _outcome(self, place: int, base: int, position: int) -> Outcome:
        if place in self._answered:
            return self._answered[place]
        if place in self._twins:
            return self._outcome(self._twins[place], base, position)._replace(known=True)
        conclusion, first, events = self._concluded[place]
        span = (base + first, base + first + events - 1) if events else (None, None)
        return Outcome(conclusion.outcome, conclusion.answer, span[0], span[1], position)


def set_aside(work: Work) -> Work | None:
    """The work that keeps this one's bytes with the reason that it cannot be stored; None for a person's command."""
    return work.aside(NOT_STORABLE) if work.aside is not None else None
