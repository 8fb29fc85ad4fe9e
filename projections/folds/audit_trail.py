"""The audit trail: every event as recorded, in the order of recording, with who, when, where from and what became
of it. Nothing is left out: events marked in error or corrected stay, and say so."""

from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from domain import annotation
from domain.evolution import Several
from domain.facts import Provenance, Recorded
from domain.history import is_ahead, versions_named
from domain.retention import KeyDestroyed
from domain.times import iso
from domain.withdrawal import Withdrawal, falls, withdrawal
from projections.folds.folding import NOT_RECORDED, Document, Entry, Handlers, Part, Projection
from projections.folds.items import explicit
from projections.words.wording import in_words

STANDS, DESTROYED = "stands", "destroyed"
# Found amiss, not refused: it is said to have occurred well after it was recorded, and sorts at its recording.
AHEAD = "occurred-after-recording"
WITHDRAWN = "withdrawn"
_GONE = ("marked-in-error", WITHDRAWN, "moved-away")
_UNTOLD = dict.fromkeys(Provenance.model_fields, NOT_RECORDED)


@dataclass
class Trail:
    lines: list[Document] = field(default_factory=list)
    # Where an event's line stands.
    places: dict[str, int] = field(default_factory=dict)
    # What is recorded in one batch has one time, and putting times into words costs most of a line.
    recording: tuple[datetime | None, str] = (None, "")
    # By stream what its source withdrew there, each with the event that says so.
    withdrawn: dict[str, tuple[tuple[Withdrawal, str], ...]] = field(default_factory=dict)


def _line(trail: Trail, fact: Any, entry: Entry) -> bool:
    event, is_gone = entry.event, isinstance(fact, annotation.Destroyed)
    line = {
        **_UNTOLD,
        **entry.provenance,
        "event": entry.because,
        "position": event.position,
        "kind": fact.was if is_gone or isinstance(fact, Several) else fact.stored,
        "text": in_words(fact),
        "occurred": entry.occurred,
        "precision": event.occurred.precision.value,
        "recorded_at": _recorded_at(trail, event),
        "standing": DESTROYED if is_gone else STANDS,
        "annotated_by": [],
        "findings": [AHEAD] if is_ahead(event) else [],
        "because": entry.because,
    }
    trail.places[entry.because] = len(trail.lines)
    trail.lines.append(line)
    for each, by in trail.withdrawn.get(entry.stream, ()):
        if _may_fall(line) and falls(event, (each,)):
            _annotation(trail, entry.because, WITHDRAWN, by)
    return True


def _recorded_at(trail: Trail, event: Recorded) -> str:
    if event.recorded_at != trail.recording[0]:
        trail.recording = (event.recorded_at, iso(event.recorded_at))
    return trail.recording[1]


def _marked_in_error(trail: Trail, _: annotation.MarkedInError, entry: Entry) -> None:
    for version in versions_named(entry.event):
        _annotation(trail, f"{entry.stream}/{version}", "marked-in-error", entry.because)


def _withdrawn(trail: Trail, _: annotation.Withdrawn, entry: Entry) -> None:
    """What came before it; what comes after it falls as it comes."""
    told = withdrawal(entry.event)
    if told is None:
        return
    trail.withdrawn[entry.stream] = (*trail.withdrawn.get(entry.stream, ()), (told, entry.because))
    for line in list(trail.lines):
        stream, _, version = line["event"].rpartition("/")
        if stream == entry.stream and _may_fall(line) and told.takes(int(version), *_times_of(line)):
            _annotation(trail, line["event"], WITHDRAWN, entry.because)


def _may_fall(line: Document) -> bool:
    return line["kind"] == annotation.MovedIn.stored or not line["kind"].startswith("annotation.")


def _times_of(line: Document) -> tuple[datetime | None, datetime]:
    """When it was told at its source, and recorded here."""
    told = line["recorded_at_source"]
    return (None if told == NOT_RECORDED else datetime.fromisoformat(told)), datetime.fromisoformat(line["recorded_at"])


def _moved_away(trail: Trail, _: annotation.MovedAway, entry: Entry) -> None:
    for version in versions_named(entry.event):
        _annotation(trail, f"{entry.stream}/{version}", "moved-away", entry.because)


def _corrected(trail: Trail, fact: annotation.Corrected, entry: Entry) -> None:
    for version in versions_named(entry.event):
        _annotation(trail, f"{entry.stream}/{version}", "corrected", entry.because)
    place = trail.places[entry.because]
    trail.lines[place] = trail.lines[place] | {"replacement": explicit(fact.replacement)}


def _key_destroyed(trail: Trail, _: KeyDestroyed, entry: Entry) -> None:
    """When and by whom is in this line; the lines whose content it took say so."""
    trail.lines = [
        line | {"annotated_by": [entry.because]} if line["standing"] == DESTROYED else line for line in trail.lines
    ]


def _annotation(trail: Trail, event: str, standing: str, by: str) -> None:
    """What does not stand here any more stays so, whatever is corrected in it."""
    place = trail.places.get(event)
    if place is None:
        return  # a version that there never was
    line = trail.lines[place]
    if line["standing"] not in _GONE:
        line = line | {"standing": standing}
    trail.lines[place] = line | {"annotated_by": [*line["annotated_by"], by]}


HANDLERS: Handlers = MappingProxyType(
    {
        annotation.MarkedInError: _marked_in_error,
        annotation.Withdrawn: _withdrawn,
        annotation.MovedAway: _moved_away,
        annotation.Corrected: _corrected,
        KeyDestroyed: _key_destroyed,
    }
)


def document(trail: Trail) -> Document:
    return {"lines": list(trail.lines)}


AUDIT_TRAIL = Projection("audit_trail", 1, (Part(Trail, HANDLERS, document, _line),), input="recorded")
