"""What a sender is told of a message, and what is set aside of it: from entries and their outcomes to a conclusion."""

from collections import Counter
from typing import Any

import orjson

from consumers.messages import RawMessage, told_content_type
from consumers.translation import Entry, NotOurs, Refused, Translated
from domain.catalogue import CATALOGUE
from domain.pathway import DiagnosisAgreed
from infra.writing.work import Conclusion, PartOutcome, Rejection

# More entries than this are answered with counts, and only the refused ones by themselves.
MOST_ENTRIES = 100
_MOST_REASONS = 200
IDENTITY = frozenset(("identifiers-disagree", "nhs-number-conflict", "birth-date-conflict", "name-conflict"))
_PRIVACY = frozenset(("key-destroyed",))
_ASK_PRIVACY = "a privacy officer decides what becomes of it; send nothing more about this person"
_RESOLVE_IDENTITY = "find out at the source whose this is, correct it there, and retry"
_ACT = "see why the rules refuse it, and retry or discard"


def conclude(entries: list[Entry], message: RawMessage, outcomes: list[PartOutcome]) -> Conclusion:
    """`outcomes` are those of the translated entries, in their order. Of the message itself only where it came from
    is told, to those who resolve a rejection."""
    if len(entries) == 1 and outcomes and outcomes[0].events and outcomes[0].refusal is None:
        return _all_recorded(entries[0], outcomes[0])
    decided = iter(outcomes)
    told = [_told(entry, next(decided) if isinstance(entry, Translated) else None) for entry in entries]
    reasons = [_reason(entry, each) for entry, each in zip(entries, told, strict=True) if each["outcome"] == "rejected"]
    outcome = _overall({each["outcome"] for each in told})
    rejection = None
    if reasons:
        owner = _owner({each["code"] for each in reasons})
        rejection = Rejection(reasons[:_MOST_REASONS], message.coordinates, told_content_type(message), owner)
    return Conclusion(outcome, orjson.dumps(_answer(outcome, told)), rejection)


def _all_recorded(entry: Entry, outcome: PartOutcome) -> Conclusion:
    """As nearly always, and to the byte what the general way makes of it in three times as long."""
    place, kind = orjson.dumps(entry.pointer), orjson.dumps(entry.kind)
    events = '","'.join([str(event_id) for event_id, _ in outcome.events]).encode()
    told = b'{"pointer":%b,"kind":%b,"outcome":"recorded","events":["%b"]}' % (place, kind, events)
    return Conclusion("recorded", b'{"outcome":"recorded","entries":[%b]}' % told)


def _owner(codes: set[str]) -> str:
    if codes & _PRIVACY:
        return "privacy"
    return "identity" if codes & IDENTITY else "integration"


def _told(entry: Entry, outcome: PartOutcome | None) -> dict[str, Any]:
    told: dict[str, Any] = {"pointer": entry.pointer, "kind": entry.kind}
    match entry:
        case Refused():
            place = {"code": entry.code, "field": entry.field, "detail": entry.detail, "action": entry.action}
            return {**told, "outcome": "rejected", **place}
        case NotOurs():
            return {**told, "outcome": "not-ours", "detail": entry.why}
        case _:
            return told | _decided(entry, outcome)


def _decided(entry: Entry, outcome: PartOutcome | None) -> dict[str, Any]:
    if outcome is None or (outcome.refusal is None and not outcome.events):
        return {"outcome": "nothing-new"}
    if outcome.refusal is None:
        return {"outcome": "recorded", "events": [str(event_id) for event_id, _ in outcome.events]}
    code, detail = outcome.refusal
    action = _ASK_PRIVACY if code in _PRIVACY else _RESOLVE_IDENTITY if code in IDENTITY else _ACT
    field = f"{entry.pointer}/patient" if code in _PRIVACY | IDENTITY and entry.kind in CATALOGUE else entry.pointer
    return {"outcome": "rejected", "code": code, "field": field, "detail": detail, "action": action}


def _reason(entry: Entry, told: dict[str, Any]) -> dict[str, Any]:
    """A diagnosis that is held back must not wait unseen among spelling mistakes, so its reason says so."""
    reason = {name: value for name, value in told.items() if name != "outcome"}
    return reason | {"carries_diagnosis": True} if _carries_diagnosis(entry) else reason


def _carries_diagnosis(entry: Entry) -> bool:
    if isinstance(entry, Translated):
        return any(isinstance(each.act, DiagnosisAgreed) for each in entry.instructions)
    return entry.kind in ("Condition", DiagnosisAgreed.stored)


def _overall(outcomes: set[str]) -> str:
    if "rejected" in outcomes:
        return "partly" if outcomes & {"recorded", "nothing-new"} else "rejected"
    for outcome in ("recorded", "nothing-new"):
        if outcome in outcomes:
            return outcome
    return "not-ours"


def _answer(outcome: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    if len(told) <= MOST_ENTRIES:
        return {"outcome": outcome, "entries": told}
    counts: dict[str, Counter[str]] = {}
    for each in told:
        counts.setdefault(each["kind"], Counter())[each["outcome"]] += 1
    refused = [each for each in told if each["outcome"] == "rejected"]
    return {
        "outcome": outcome,
        "counts": counts,
        "entries": refused[:MOST_ENTRIES],
        "left_out": len(told) - len(refused[:MOST_ENTRIES]),
    }
