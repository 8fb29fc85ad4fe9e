"""Any projection of one person at any moment: as known at a position of the log, and as it was on a date."""

from collections.abc import Iterable, Sequence

from domain.facts import Recorded
from projections.folds.changing import changes
from projections.folds.differences import Change, difference
from projections.folds.folding import Document, Projection, fold_in_order
from projections.folds.person import withholding
from projections.past.moments import Audience, History, Moment, Shown, is_restricted, shown


def replay(
    projections: Sequence[Projection], history: History, moment: Moment, audience: Audience
) -> dict[str, Document]:
    """Documents by name, of what this audience may see of that moment."""
    return folded(projections, shown(history, moment, audience))


def folded(projections: Sequence[Projection], seen: Shown) -> dict[str, Document]:
    chosen = _withheld(projections) if seen.is_withheld else projections
    standing = [each for each in chosen if each.input == "effective"]
    arrival = [each for each in chosen if each.input == "recorded"]
    return {**fold_in_order(standing, seen.standing), **fold_in_order(arrival, seen.arrived)}


def steps(projections: Sequence[Projection], history: History) -> list[tuple[Recorded, list[Change]]]:
    """For auditors: each event as it was recorded with what it changed, JSON Pointers with before and after."""
    recorded = history.of_person()
    if not history.is_of_one_record:
        return _steps_of_joined(projections, history, recorded)
    chosen = _withheld(projections) if is_restricted(recorded) else projections
    return list(zip(recorded, changes(chosen, recorded), strict=True))


def _steps_of_joined(
    projections: Sequence[Projection], history: History, recorded: Iterable[Recorded]
) -> list[tuple[Recorded, list[Change]]]:
    """Who is one person changes on the way, so every step is replayed."""
    before: Document = {}
    found = []
    for event in recorded:
        after = replay(projections, history, Moment(event.position), Audience.AUDITOR)
        found.append((event, difference(before, after)))
        before = after
    return found


def _withheld(projections: Sequence[Projection]) -> list[Projection]:
    return [withholding(each) for each in projections]
