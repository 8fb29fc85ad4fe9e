"""Drafts of the end-of-treatment summary: for each treated pathway the sixteen headings, each line with its event.

A draft says only what events say. A heading that no event fills says so, and who could fill it; a clinician edits
and signs elsewhere.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from domain.patient import CareLeadRole
from projections.folds.folding import NOT_RECORDED, Document, Part, Projection
from projections.folds.summary_headings import HEADINGS, Heading
from projections.folds.summary_lines import (
    EVERY_DRAFT,
    IN_HOURS,
    OUT_OF_HOURS,
    Lines,
    LinesOfContacts,
    LinesOfPerson,
    handlers,
)
from projections.words.phrases import spaced


class _Under(NamedTuple):
    """A heading in each draft, or in the single one of all that is known where nothing was treated;
    `of_pathways`: whether any pathway says anything there."""

    in_draft: Mapping[str, Document]
    of_pathways: bool


def drafts(members: Mapping[str, _Under]) -> Document:
    """One draft for each treated pathway, or a single one of all that is known where nothing was treated.

    None where no pathway says anything: an empty summary would tell a patient that one is expected.
    """
    chosen = list(members[HEADINGS[0].key].in_draft)
    if chosen == [NOT_RECORDED] and not any(each.of_pathways for each in members.values()):
        chosen = []
    return {"drafts": [_draft(stream, members) for stream in chosen]}


def _draft(stream: str, members: Mapping[str, _Under]) -> Document:
    headings = [members[heading.key].in_draft[stream] for heading in HEADINGS]
    return {"pathway": stream, "status": "draft", "headings": headings}


def _under(heading: Heading) -> Part:
    first = _FIRST.get(heading.key, _no_lines)

    def members(under: Lines) -> Document:
        chosen = _chosen(under, first(under))
        in_draft = {stream: _shown(under, heading, stream, lines) for stream, lines in chosen.items()}
        return {heading.key: _Under(in_draft, any(draft != EVERY_DRAFT for draft, _ in under.lines))}

    return Part(_STATES.get(heading.key, Lines), handlers(heading.key), members)


def _chosen(under: Lines, before: list[Document]) -> dict[str, list[Document]]:
    """By draft."""
    if not under.treated:
        return {NOT_RECORDED: [*before, *under.lines.values()]}
    chosen = {stream: before.copy() for stream in under.treated}
    for (draft, _), line in under.lines.items():
        for each in chosen.values() if draft == EVERY_DRAFT else [chosen[draft]] if draft in chosen else []:
            each.append(line)
    return chosen


def _shown(under: Lines, heading: Heading, stream: str, lines: list[Document]) -> Document:
    """Made anew only where it has other lines, so that whoever compares passes over the others."""
    shown = under.shown.get(stream)
    if shown is None or shown["lines"] != lines:
        shown = under.shown[stream] = _heading(heading, lines)
    return shown


def _heading(heading: Heading, lines: list[Document]) -> Document:
    if not lines:
        return _WITHOUT_LINES[heading.key]
    missing = [{"what": what, "could_be_given_by": heading.given_by} for what in _missing(heading, lines)]
    return {"heading": heading.key, "title": heading.title, "lines": lines, "not_recorded": missing}


def _missing(heading: Heading, lines: list[Document]) -> list[str]:
    if heading.key == "who-to-call":
        covered = {line.get("when") for line in lines}
        return [f"Who to call {when}" for when in (IN_HOURS, OUT_OF_HOURS) if when not in covered]
    return [] if lines else [heading.title]


def _without_lines(heading: Heading) -> Document:
    missing = [{"what": what, "could_be_given_by": heading.given_by} for what in _missing(heading, [])]
    return {"heading": heading.key, "title": heading.title, "lines": [], "not_recorded": missing}


_WITHOUT_LINES: Mapping[str, Document] = MappingProxyType({each.key: _without_lines(each) for each in HEADINGS})


def _no_lines(_: Lines) -> list[Document]:
    return []


def _person_and_gp(person: LinesOfPerson) -> list[Document]:
    about_person = [_of_name(name) for name in person.names_newest_first()[:1]]
    for label, name in (("Born", "birth_date"), ("GP practice", "registered_practice")):
        told = person.detail(name)
        if told["value"] != NOT_RECORDED:
            stamp: Document = {member: told[member] for member in ("occurred", "because") if member in told}
            about_person.append({"text": f"{label}: {told['value']}"} | stamp)
    return about_person


def _of_name(name: Document) -> Document:
    told = [name["prefix"], *name["given"], name["family"]]
    parts = [name["text"]] if name["text"] != NOT_RECORDED else [each for each in told if each != NOT_RECORDED]
    return {"text": " ".join(parts), "occurred": name["occurred"], "because": name["because"]}


def _care_leads_to_call(contacts: LinesOfContacts) -> list[Document]:
    leads = contacts.care_leads
    return [_of_care_lead(leads[role.value]) for role in CareLeadRole if role.value in leads]


def _of_care_lead(lead: Document) -> Document:
    """A lead with a telephone is someone to call in working hours."""
    said = [spaced(lead["role"]), *(lead[name] for name in ("organisation", "telephone") if lead[name] != NOT_RECORDED)]
    line = {"text": f"{lead['name']}, {', '.join(said)}", "occurred": lead["occurred"], "because": lead["because"]}
    return line if lead["telephone"] == NOT_RECORDED else line | {"when": IN_HOURS}


_STATES: Mapping[str, type[Lines]] = MappingProxyType({"person-and-gp": LinesOfPerson, "who-to-call": LinesOfContacts})
_FIRST: Mapping[str, Callable[[Any], list[Document]]] = MappingProxyType(
    {"person-and-gp": _person_and_gp, "who-to-call": _care_leads_to_call}
)
TREATMENT_SUMMARY = Projection("treatment_summary", 1, tuple(map(_under, HEADINGS)), drafts, shows_parts=False)
