"""The page of an evidence export that people read: each event in words, in one file that needs nothing else."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from string import Template
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
    """What stands at the head of the page. `root` and `key` are as the checkpoint and its publisher write them."""

    patient: UUID
    patients: Sequence[UUID]
    made_at: datetime
    role: str
    origin: str
    size: int
    root: str
    key: str


def report(
    particulars: Particulars, events: Sequence[Stored], texts: Mapping[int, str], recorded: Iterable[Recorded]
) -> bytes:
    """`texts` says by position whether the words are included, withheld or destroyed; `recorded` are those events of
    `events` that could be read."""
    lines = {line["position"]: line for line in fold_in_order([AUDIT_TRAIL], recorded)["audit_trail"]["lines"]}
    rows = [_row(event, lines.get(event.position), texts[event.position]) for event in events]
    told = {
        "patient": str(particulars.patient),
        "patients": ", ".join(map(str, particulars.patients)),
        "events": f"{len(events):,}",
        "made": _moment(particulars.made_at),
        "role": particulars.role,
        "origin": particulars.origin,
        "size": f"{particulars.size:,}",
        "root": particulars.root,
        "key": particulars.key,
    }
    shown = {name: escape(each) for name, each in told.items()}
    return _template().substitute(shown, rows="\n".join(rows)).encode()


def _row(event: Stored, line: Document | None, text: str) -> str:
    number = f'<th scope="row">{event.position - 1:,}</th>'
    happened = occurred(event.occurred_at, event.occurred_precision)
    when = _moment(event.occurred_at) if not happened.is_date_only else happened.words()
    kind = f"<small>{escape(event.type)}</small>"
    if line is None:
        cells = [when, f"{escape(_NOT_TOLD[text])}<br>{kind}", "", "", _moment(event.recorded_at), ""]
    else:
        gone = "" if line["standing"] in (STANDS, "corrected") else ' class="gone"'
        what = f"<span{gone}>{escape(line['text'])}</span>{_reason(line)}<br>{kind}"
        standing = "yes" if line["standing"] == STANDS else escape(spaced(line["standing"]))
        cells = [when, what, _people(line), _source(line), _moment(event.recorded_at), standing]
    return f"<tr>{number}{''.join(f'<td>{each}</td>' for each in cells)}</tr>"


def _reason(line: Document) -> str:
    return "" if line["reason"] == NOT_RECORDED else f"<br>Reason: {escape(line['reason'])}"


def _people(line: Document) -> str:
    author, performer = _agent(line["author"]), _agent(line["performer"])
    if author and performer and author != performer:
        return f"done by {performer}, recorded by {author}"
    return author or performer or "not recorded"


def _agent(told: Any) -> str:
    if not isinstance(told, dict):
        return ""
    return escape(words(told.get("name") or told.get("identifier") or told.get("kind"), spaced(told.get("role"))))


def _source(line: Document) -> str:
    organisation = "" if line["organisation"] == NOT_RECORDED else line["organisation"]
    return escape(words(organisation, str(line["source"])))


def _moment(at: datetime) -> str:
    return f"{at.astimezone(LONDON):%d %B %Y, %H:%M:%S}"


@cache
def _template() -> Template:
    return Template(Path(__file__).with_name("evidence_report.html").read_text(encoding="utf-8"))
