"""The baseline of replay: aggregates from the eventsourcing library's store, and the whole of two documents compared.

A person's cases are read as their events, put in order, and applied one after the other; after each the document of
all cases is made and compared with the one before it.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from consumers.messages import RawMessage
from tests.benchmarks.lab import Lab
from tests.benchmarks.stock import Case, Cases, environment, read


class StockAuditor:
    """`persons` are the cases of each."""

    def __init__(self, lab: Lab, name: str, told: Sequence[Sequence[RawMessage]]) -> None:
        self._cases = Cases(env=environment(lab, lab.empty(name)))
        held: dict[UUID, Case] = {}
        self.persons: list[list[UUID]] = []
        for messages in told:
            reports = [read(message) for message in messages]
            self._cases.save_together(held, reports)
            self.persons.append(list(dict.fromkeys(each.case_id for each in reports)))

    def replay(self, person: Sequence[UUID]) -> int:
        """How many differences there were."""
        events: list[Any] = [event for case_id in person for event in self._cases.events.get(case_id)]
        events.sort(key=lambda event: event.timestamp)
        cases: dict[UUID, Any] = {}
        before: dict[str, Any] = {}
        found = 0
        for event in events:
            cases[event.originator_id] = event.mutate(cases.get(event.originator_id))
            after = {str(case_id): _document(case) for case_id, case in cases.items()}
            found += len(_differences(before, after))
            before = after
        return found

    def close(self) -> None:
        self._cases.close()


def _document(case: Case) -> dict[str, Any]:
    facts: dict[str, list[dict[str, str]]] = {}
    for kind, occurred, fact in sorted(case.facts):
        facts.setdefault(kind, []).append({"occurred": occurred, "fact": fact})
    return {"patient": str(case.patient_id), "facts": facts}


def _differences(before: Any, after: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        names = [*before, *(name for name in after if name not in before)]
        pairs = [(f"{place}/{name}", before.get(name), after.get(name)) for name in names]
    elif isinstance(before, list) and isinstance(after, list):
        length = max(len(before), len(after))
        padded = [each + [None] * (length - len(each)) for each in (before, after)]
        pairs = [(f"{place}/{at}", was, now) for at, (was, now) in enumerate(zip(*padded, strict=True))]
    else:
        return [] if before == after else [(place, before, after)]
    return [each for at, was, now in pairs for each in _differences(was, now, at)]
