"""The plan's needs assessments, and the support that was suggested, offered, accepted, started and ended."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from domain import care_plan
from domain.facts import Fact
from projections.folds.folding import NOT_RECORDED, Document, Entry, Handlers

_STAGES: MappingProxyType[type[Fact], str] = MappingProxyType(
    {
        care_plan.SupportSuggested: "suggested",
        care_plan.SupportOffered: "offered",
        care_plan.SupportAccepted: "accepted",
        care_plan.SupportDeclined: "declined",
        care_plan.SupportStarted: "started",
        care_plan.SupportEnded: "ended",
    }
)
SupportFact: TypeAlias = (
    care_plan.SupportSuggested
    | care_plan.SupportOffered
    | care_plan.SupportAccepted
    | care_plan.SupportDeclined
    | care_plan.SupportStarted
    | care_plan.SupportEnded
)
_SUPPORT_FIELDS = ("service", "need", "why", "contact")


@dataclass
class Assessments:
    assessments: list[Document] = field(default_factory=list)


@dataclass
class Support:
    support: dict[str, Document] = field(default_factory=dict)
    support_stages: dict[str, list[Document]] = field(default_factory=dict)


def _assessment_offered(state: Assessments, _: care_plan.AssessmentOffered, entry: Entry) -> None:
    offered = entry.item
    state.assessments.append(_unanswered(offered) | {"status": entry.stamped("offered"), "offered": offered})


def _assessment_declined(state: Assessments, fact: care_plan.AssessmentDeclined, entry: Entry) -> None:
    _answer(state, fact.point.value, entry, {"status": entry.stamped("declined")})


def _assessment_submitted(state: Assessments, fact: care_plan.AssessmentSubmitted, entry: Entry) -> None:
    submitted = entry.item
    outcome = "concerns" if fact.concerns else "no-concerns"
    answer = {name: submitted[name] for name in ("form_version", "concerns", "staff_role")}
    answer |= {"outcome": outcome, "status": entry.stamped("submitted")}
    _answer(state, fact.point.value, entry, answer)


def _answer(state: Assessments, point: str, entry: Entry, answer: Document) -> None:
    """Answers the offer at this point of the pathway that is still open; without one it stands by itself."""
    for place in range(len(state.assessments) - 1, -1, -1):
        assessment = state.assessments[place]
        if assessment["point"] == point and assessment["status"]["value"] == "offered":
            state.assessments[place] = assessment | answer | entry.stamp
            return
    state.assessments.append(_unanswered({"point": point}) | entry.stamp | answer)


def _unanswered(offered: Document) -> Document:
    empty = {"form_version": NOT_RECORDED, "concerns": NOT_RECORDED, "staff_role": NOT_RECORDED}
    return empty | {"outcome": NOT_RECORDED, "offered": NOT_RECORDED} | offered


def _support_described(state: Support, fact: SupportFact, entry: Entry) -> None:
    """An offer may say less than the suggestion before it; what was said stands until something else is said."""
    told = {name: each for name, each in entry.item.items() if each != NOT_RECORDED}
    state.support[fact.support] = _support(state, fact.support, entry) | told
    _support_moved(state, fact, entry)


def _support_moved(state: Support, fact: SupportFact, entry: Entry) -> None:
    _support(state, fact.support, entry)
    stage = entry.stamped(_STAGES[type(entry.fact)])
    state.support_stages[fact.support] = [*state.support_stages[fact.support], stage]


def _support(state: Support, key: str, entry: Entry) -> Document:
    if key not in state.support:
        state.support[key] = {"support": key, **dict.fromkeys(_SUPPORT_FIELDS, NOT_RECORDED), **entry.stamp}
        state.support_stages[key] = []
    return state.support[key]


SUPPORT: Handlers = dict.fromkeys(_STAGES, _support_moved) | dict.fromkeys(
    (care_plan.SupportSuggested, care_plan.SupportOffered), _support_described
)
ASSESSMENTS: Handlers = MappingProxyType(
    {
        care_plan.AssessmentOffered: _assessment_offered,
        care_plan.AssessmentDeclined: _assessment_declined,
        care_plan.AssessmentSubmitted: _assessment_submitted,
    }
)


def support(state: Support) -> list[Document]:
    return [
        each | {"status": stages[-1], "stages": stages}
        for each, stages in zip(state.support.values(), state.support_stages.values(), strict=True)
    ]
