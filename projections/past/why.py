"""Why a field says what it says: the event that last set it.

The person's history is folded event by event, in the order in which things happened, and the field is followed
backwards to the event that made it what it is. So every pointer of every document has an answer, whether or not the
document names an event there.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from domain.facts import Recorded
from projections.folds.audit_trail import AUDIT_TRAIL
from projections.folds.folding import NOT_KNOWN, NOT_RECORDED, Document, Projection
from projections.folds.person import WITHHELD, withholding
from projections.folds.unfolding import in_order
from projections.past.moments import Audience, History, Moment, Shown, destroyed, shown
from projections.past.replay import folded

RECORDED = "recorded"
DESTROYED = "destroyed"
NO_SUCH_FIELD = "no-such-field"
_UNTOLD = (NOT_RECORDED, NO_SUCH_FIELD)
_NOWHERE: Any = object()


class Why(NamedTuple):
    """`answer`: recorded, not-recorded, not-known or withheld; no-such-field, as `value` too, where the document has
    none and never had. `event` is None where no event ever set it, or else the one that did, or that took it away."""

    answer: str
    value: Any
    event: Recorded | None


def why(projection: Projection, pointer: str, history: History, moment: Moment, audience: Audience) -> Document:
    """The answer as JSON, its event as the audit trail tells it. The answer is destroyed where no event that can still
    be read ever set the field, and some cannot be read any more. Raises ValueError where `pointer` is none of
    RFC 6901."""
    seen = shown(history, moment, audience)
    found = last_set(projection, pointer, seen)
    if found.event is None and found.answer in _UNTOLD and destroyed(history, moment, audience):
        found = Why(DESTROYED, DESTROYED, None)
    line = NOT_RECORDED if found.event is None else _line(found.event, seen, history, moment, audience)
    return {"answer": found.answer, "value": found.value, "event": line}


def last_set(projection: Projection, pointer: str, seen: Shown) -> Why:
    """Raises ValueError, as above."""
    path = _steps(pointer)
    events = seen.standing if projection.input == "effective" else seen.arrived
    documents = in_order(withholding(projection) if seen.is_withheld else projection, events)
    value = _at(documents[-1], path)
    if value is _NOWHERE:
        event = _taken_away(documents, events, path)
        said = NO_SUCH_FIELD if event is None else NOT_RECORDED
        return Why(said, said, event)
    for before, after, event in zip(documents[-2::-1], documents[:0:-1], reversed(events), strict=True):
        earlier = _followed(before, after, path)
        if earlier is None or _at(before, earlier) != value:
            return Why(_answer(value), value, event)
        path = earlier
    return Why(_answer(value), value, None)


def _taken_away(documents: list[Document], events: list[Recorded], path: list[str]) -> Recorded | None:
    """The event after which the field was there no more; None where it never was."""
    places = (place for place in reversed(range(len(events))) if _at(documents[place], path) is not _NOWHERE)
    last = next(places, None)
    return None if last is None else events[last]


def _answer(value: Any) -> str:
    said = value.get("value", value) if isinstance(value, dict) else value
    if said in ([], {}, NOT_RECORDED):
        return NOT_RECORDED
    return str(said) if said in (NOT_KNOWN, WITHHELD) else RECORDED


def _steps(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError("a JSON Pointer is empty or begins with a slash")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _at(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, _NOWHERE)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _NOWHERE
    return value


def _followed(before: Any, after: Any, path: Sequence[str]) -> list[str] | None:
    """The pointer into `before` to what `path` points to in `after`: an item may have stood elsewhere in its list.
    None where it did not stand there."""
    earlier = []
    for step in path:
        name = step
        if isinstance(after, list):
            if not isinstance(before, list):
                return None
            name = str(_place_before(before, after, int(step)))
        before, after = _at(before, [name]), _at(after, [step])
        if before is _NOWHERE:
            return None
        earlier.append(name)
    return earlier


def _place_before(before: list[Any], after: list[Any], place: int) -> int:
    if place < len(before) and before[place] == after[place]:
        return place
    return before.index(after[place]) if after[place] in before else place


def _line(event: Recorded, seen: Shown, history: History, moment: Moment, audience: Audience) -> Document:
    """A corrected event may have come into the time asked about from another, so the whole trail is looked through
    where the part that is shown does not have it."""
    for trail in (seen, shown(history, Moment(moment.position), audience)):
        for line in folded([AUDIT_TRAIL], trail)[AUDIT_TRAIL.name]["lines"]:
            if line["position"] == event.position:
                told: Document = line
                return told
    raise LookupError(f"position {event.position} is not in the audit trail")
