"""What people read of an evidence export: each event in words. How it is laid out, `evidence_page` says for the screen
and `evidence_print` for paper."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.facts import Recorded
from domain.times import LONDON
from infra.evidence.envelopes import Stored
from infra.payloads import occurred
from projections.folds.audit_trail import AUDIT_TRAIL, STANDS
from projections.folds.folding import NOT_RECORDED, Document, fold_in_order
from projections.words.phrases import spaced, words

_NOT_TOLD = {
    "withheld": "The words are not for the role that asked.",
    "destroyed": "The words are gone: the key of the patient was destroyed.",
    "clear": "It was never sealed; the words are in the ciphertexts folder.",
    "included": "This version of the service has no sentence for it; the words are in the payloads folder.",
}


class Particulars(NamedTuple):
    """What stands at the head. `root` and `key` are as the checkpoint and its publisher write them."""

    patient: UUID
    patients: Sequence[UUID]
    made_at: datetime
    role: str
    origin: str
    size: int
    root: str
    key: str


class Line(NamedTuple):
    """One event, each member as it is shown, empty where nobody may say. `number` is its place in the log's tree;
    `is_gone`: it was marked in error, moved or withdrawn."""

    number: str
    happened: str
    what: str
    kind: str
    reason: str
    people: str
    source: str
    recorded: str
    stands: str
    is_gone: bool


def about(particulars: Particulars, events: int) -> dict[str, str]:
    """The particulars as they are shown, by name."""
    return {
        "patient": str(particulars.patient),
        "patients": ", ".join(map(str, particulars.patients)),
        "events": f"{events:,}",
        "made": _moment(particulars.made_at),
        "role": particulars.role,
        "origin": particulars.origin,
        "size": f"{particulars.size:,}",
        "root": particulars.root,
        "key": particulars.key,
    }


def lines(events: Sequence[Stored], texts: Mapping[int, str], recorded: Iterable[Recorded]) -> list[Line]:
    """`texts` says by position whether the words are included, withheld or destroyed; `recorded` are those events of
    `events` that could be read."""
    told = {line["position"]: line for line in fold_in_order([AUDIT_TRAIL], recorded)["audit_trail"]["lines"]}
    return [_line(event, told.get(event.position), texts[event.position]) for event in events]


def _line(event: Stored, line: Document | None, text: str) -> Line:
    happened = occurred(event.occurred_at, event.occurred_precision)
    when = _moment(event.occurred_at) if not happened.is_date_only else happened.words()
    number, at = f"{event.position - 1:,}", _moment(event.recorded_at)
    if line is None:
        return Line(number, when, _NOT_TOLD[text], event.type, "", "", "", at, "", is_gone=False)
    return Line(
        number=number,
        happened=when,
        what=line["text"],
        kind=event.type,
        reason="" if line["reason"] == NOT_RECORDED else line["reason"],
        people=_people(line),
        source=_source(line),
        recorded=at,
        stands="yes" if line["standing"] == STANDS else spaced(line["standing"]),
        is_gone=line["standing"] not in (STANDS, "corrected"),
    )


def _people(line: Document) -> str:
    author, performer = _agent(line["author"]), _agent(line["performer"])
    if author and performer and author != performer:
        return f"done by {performer}, recorded by {author}"
    return author or performer or "not recorded"


def _agent(told: Any) -> str:
    if not isinstance(told, dict):
        return ""
    return words(told.get("name") or told.get("identifier") or told.get("kind"), spaced(told.get("role")))


def _source(line: Document) -> str:
    organisation = "" if line["organisation"] == NOT_RECORDED else line["organisation"]
    return words(organisation, str(line["source"]))


def _moment(at: datetime) -> str:
    return f"{at.astimezone(LONDON):%d %B %Y, %H:%M:%S}"
