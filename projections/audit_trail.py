"""The audit trail: every event as recorded, in the order of recording, with who, when, where from and what became
of it. Nothing is left out: events marked in error or corrected stay, and say so."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from domain import annotation
from projections.folding import NOT_RECORDED, Document, Entry, Handlers, Projection, explicit
from projections.wording import in_words

STANDS = "stands"
_NAMED_IN_PROVENANCE = (
    *("author", "performer", "organisation", "source", "source_event_id", "reason", "recorded_at_source"),
    *("correlation_id", "causation_id", "rule_version"),
)


@dataclass
class Trail:
    lines: list[Document] = field(default_factory=list)
    by_event: dict[str, Document] = field(default_factory=dict)
    # Annotations of events that are not in this part of the history.
    early: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def _line(trail: Trail, fact: Any, entry: Entry) -> None:
    told, event = entry.provenance, entry.event
    line = {
        "event": entry.because,
        "position": event.position,
        "kind": fact.stored,
        "text": in_words(fact),
        "occurred": entry.occurred,
        "precision": event.occurred.precision.value,
        "recorded_at": event.recorded_at.isoformat(),
        **{name: told.get(name) or NOT_RECORDED for name in _NAMED_IN_PROVENANCE},
        "standing": STANDS,
        "annotated_by": [],
        "because": entry.because,
    }
    trail.lines.append(line)
    trail.by_event[entry.because] = line
    for standing, by in trail.early.pop(entry.because, ()):
        _annotate(line, standing, by)


def _marked_in_error(trail: Trail, fact: annotation.MarkedInError, entry: Entry) -> None:
    for version in fact.versions:
        _annotation(trail, f"{entry.stream}/{version}", "marked-in-error", entry.because)


def _corrected(trail: Trail, fact: annotation.Corrected, entry: Entry) -> None:
    _annotation(trail, f"{entry.stream}/{fact.version}", "corrected", entry.because)
    trail.by_event[entry.because]["replacement"] = explicit(fact.replacement)


def _annotation(trail: Trail, event: str, standing: str, by: str) -> None:
    line = trail.by_event.get(event)
    if line is None:
        trail.early.setdefault(event, []).append((standing, by))
    else:
        _annotate(line, standing, by)


def _annotate(line: Document, standing: str, by: str) -> None:
    """What was marked in error stays so, whatever is corrected in it."""
    if line["standing"] != "marked-in-error":
        line["standing"] = standing
    line["annotated_by"].append(by)


HANDLERS: Handlers = MappingProxyType({annotation.MarkedInError: _marked_in_error, annotation.Corrected: _corrected})


def document(trail: Trail) -> Document:
    return {"lines": trail.lines}


AUDIT_TRAIL = Projection("audit_trail", 1, Trail, HANDLERS, document, every=_line, input="recorded")
