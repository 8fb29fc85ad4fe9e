"""For any history, a finding stands in a patient's documents exactly if it was told after it was found."""

from datetime import date, timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from domain import pathway
from domain.disclosure import as_seen_by_patient
from domain.facts import Category, Coding, Fact, Recorded, Target
from domain.history import effective
from domain.pathway import InformedOfOutcome, StageFinding, Told
from domain.referral import ReferralReceived
from domain.times import on
from tests.builders import recorded
from tests.given import Given, reading_as_patient
from tests.strategies import REPORTABLE, histories

KINDS = ("diagnosis", "ruled-out", "stage", "result", "recurrence", "progression", "treatment-plan")


class Step(NamedTuple):
    """On pathway `key` something of `kind` is found, or is told by its own code or as a whole."""

    key: str
    kind: str
    is_told: bool
    by_code: int | None


STEPS = st.lists(
    st.builds(
        Step,
        key=st.sampled_from(["left", "right"]),
        kind=st.sampled_from(KINDS),
        is_told=st.booleans(),
        by_code=st.one_of(st.none(), st.integers(0, 11)),
    ),
    max_size=12,
)


def found(kind: str, mark: str) -> Fact:
    """A finding that carries its mark in every member that can hold it."""
    code = Coding(system="s", code=mark, display=f"{mark} in words")
    facts: dict[str, Fact] = {
        "diagnosis": pathway.DiagnosisAgreed(codes=(code,), name=mark, morphology=code),
        "ruled-out": pathway.CancerRuledOut(reason=mark),
        "stage": pathway.StagedIntegrated(findings=(StageFinding(axis=mark, value=mark, code=code),), edition=mark),
        "result": pathway.InvestigationReported(investigation=mark, code=code, name=mark, result=mark),
        "recurrence": pathway.CancerRecurred(extent=mark, code=code),
        "progression": pathway.CancerProgressed(code=code),
        "treatment-plan": pathway.DiscussedAtMdt(meeting=mark, recommendation=mark),
    }
    return facts[kind]


def mark_of(place: int) -> str:
    return f"mark-{place:03}"


def history(steps: list[Step]) -> list[Recorded]:
    happenings = []
    for place, step in enumerate(steps):
        code = None if step.by_code is None else mark_of(step.by_code)
        told = InformedOfOutcome(told=(Told(what=step.kind, code=code),))
        fact = told if step.is_told else found(step.kind, mark_of(place))
        target = Target(Category.PATHWAY, step.key)
        happenings.append((target, fact, on(date(2026, 1, 1) + timedelta(days=place))))
    return recorded(happenings)


def was_told(steps: list[Step], place: int) -> bool:
    finding = steps[place]
    without_codes = finding.kind in ("ruled-out", "treatment-plan")
    return any(
        later.is_told
        and (later.key, later.kind) == (finding.key, finding.kind)
        and (later.by_code is None or (later.by_code == place and not without_codes))
        for later in steps[place + 1 :]
    )


@given(STEPS)
def test_a_finding_is_shown_exactly_if_it_was_told_after_it_was_found(steps: list[Step]) -> None:
    events = history(steps)
    seen = {event.position for event in as_seen_by_patient(effective(events))}
    for place, step in enumerate(steps):
        assert (place + 1 in seen) == (step.is_told or was_told(steps, place))


@given(STEPS)
def test_no_document_of_a_patient_holds_a_mark_of_what_is_closed(steps: list[Step]) -> None:
    read = Given(history(steps)).when(reading_as_patient())
    named = {step.by_code for step in steps if step.is_told}  # a telling is always shown
    for place, step in enumerate(steps):
        if not step.is_told and place not in named:
            assert read.shows(mark_of(place)) == was_told(steps, place)


@given(histories(tuple(each for each in REPORTABLE if each is not InformedOfOutcome)))
def test_where_nothing_was_told_only_the_person_themself_is_shown(events: list[Recorded]) -> None:
    for event in as_seen_by_patient(effective(events)):
        known_referral = isinstance(event.fact, ReferralReceived) and event.fact.patient_told
        assert event.fact.stored.startswith("patient.") or known_referral
        assert not event.fact.stored.startswith(("patient.care-lead", "patient.condition", "patient.professional"))


@given(histories())
def test_the_gate_invents_nothing_and_keeps_the_order(events: list[Recorded]) -> None:
    standing = effective(events)
    seen = as_seen_by_patient(standing)
    places = [event.position for event in seen]
    assert places == [event.position for event in standing if event.position in set(places)]


@given(histories())
def test_what_is_seen_once_is_seen_for_good(events: list[Recorded]) -> None:
    """More telling never closes what was open."""
    standing = effective(events)
    for end in range(len(standing)):
        earlier = {event.position for event in as_seen_by_patient(standing[:end])}
        assert earlier <= {event.position for event in as_seen_by_patient(standing)}
