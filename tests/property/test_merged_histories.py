"""Merges, moves, marks and corrections against a ledger that knows no events and simply changes its entries."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.annotation import Assigned, Corrected, MarkedInError, MovedAway, MovedIn
from domain.care_plan import NeedRaised
from domain.facts import CARE_PLAN, Category, Fact, Recorded, Target
from domain.history import Growing, effective
from domain.merging import FACTS as OF_MERGING
from domain.merging import Merged, MergeReceived, MergeReleased, Unmerged
from domain.pathway import PerformanceStatusAssessed
from domain.persons import Merge, Persons
from domain.times import Occurred
from tests.builders import FIRST_RECORDING, REPORTED, day
from tests.strategies import times

PATIENTS = tuple(UUID(int=number) for number in (1, 2, 3, 4))


@dataclass
class Entry:
    """One thing that is told of somebody: changed in place, as a register on paper would be."""

    where: UUID
    fact: Fact
    occurred: Occurred
    event: Recorded
    is_struck: bool = False
    in_view_of: frozenset[UUID] = frozenset()
    is_assigned: bool = False


@dataclass
class World:
    """The ledger and, beside it, the events that the same acts record."""

    entries: list[Entry] = field(default_factory=list)
    part_of: dict[UUID, UUID] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    versions: Counter[UUID] = field(default_factory=Counter)

    def person(self, patient: UUID) -> UUID:
        while patient in self.part_of:
            patient = self.part_of[patient]
        return patient

    def members(self, person: UUID) -> frozenset[UUID]:
        return frozenset(each for each in PATIENTS if self.person(each) == person)

    def record(self, patient: UUID, stream: UUID, fact: Fact, occurred: Occurred, others: frozenset[UUID]) -> Recorded:
        self.versions[stream] += 1
        position = len(self.events) + 1
        told = REPORTED.model_copy(update={"merged_with": tuple(sorted(others)) or None})
        event = Recorded(
            position, FIRST_RECORDING + timedelta(seconds=position), stream, self.versions[stream], patient, position,
            occurred, fact, told.model_dump_json(exclude_none=True).encode(),
        )  # fmt: skip
        self.events.append(event)
        return event

    def tell(self, patient: UUID, target: Target, fact: Fact, occurred: Occurred, *, by_person: bool) -> None:
        owner = self.person(patient) if by_person else patient
        others = self.members(owner) - {owner} if by_person else frozenset()
        event = self.record(owner, target.stream_id(owner), fact, occurred, others)
        self.entries.append(Entry(owner, fact, occurred, event, in_view_of=others))

    def strike(self, entry: Entry) -> None:
        entry.is_struck = True
        self._annotate(entry, MarkedInError(versions=(entry.event.version,)))

    def correct(self, entry: Entry, fact: Fact, occurred: Occurred | None) -> None:
        entry.fact, entry.occurred = fact, occurred or entry.occurred
        told = occurred.words() if occurred else None
        self._annotate(
            entry,
            Corrected(
                version=entry.event.version, replaced_by=fact.stored, replacement=fact.model_dump(), occurred=told
            ),
        )

    def assign(self, entry: Entry) -> None:
        entry.is_assigned = True
        self._annotate(entry, Assigned(versions=(entry.event.version,)))

    def move(self, entry: Entry, to: UUID) -> None:
        left = entry.event
        self._annotate(entry, MovedAway(versions=(left.version,), to_patient=to))
        moved = MovedIn(
            from_patient=left.patient_id, from_stream=left.stream_id, from_version=left.version,
            moved=entry.fact.stored, fact=entry.fact.model_dump(), occurred_at=entry.occurred.at,
            precision=entry.occurred.precision, recorded_at=left.recorded_at, provenance={"source": "x"},
        )  # fmt: skip
        stream = Target(_target(entry).category, f"moved|{left.stream_id}").stream_id(to)
        entry.event = self.record(to, stream, moved, day(1), frozenset())
        entry.where, entry.in_view_of = to, frozenset()

    def merge(self, retired: UUID, survivor: UUID) -> None:
        if retired == survivor or retired in self.part_of or survivor in self.part_of:
            return
        self.part_of[retired] = survivor
        self.record(survivor, survivor, MergeReceived(patient=retired), day(1), frozenset())
        event = self.record(retired, retired, Merged(into=survivor), day(1), frozenset())
        self.merges.append(Merge(event.position, retired, survivor, joined=True))

    def unmerge(self, retired: UUID) -> None:
        survivor = self.part_of.pop(retired, None)
        if survivor is None:
            return
        self.record(survivor, survivor, MergeReleased(patient=retired), day(1), frozenset())
        event = self.record(retired, retired, Unmerged(out_of=survivor), day(1), frozenset())
        self.merges.append(Merge(event.position, retired, survivor, joined=False))

    def shown(self, person: UUID) -> "Counter[tuple[Fact, Occurred]]":
        """What the ledger says of a person: theirs, not struck, and not written in view of somebody else's record."""
        members = self.members(person)
        return Counter(
            (entry.fact, entry.occurred)
            for entry in self.entries
            if entry.where in members and not entry.is_struck and (entry.is_assigned or entry.in_view_of <= members)
        )

    def _annotate(self, entry: Entry, fact: Fact) -> None:
        self.record(entry.event.patient_id, entry.event.stream_id, fact, day(1), frozenset())


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for number, patient in enumerate(PATIENTS):  # everyone is told of at least once, as by being registered
        world.tell(patient, STATUS, PerformanceStatusAssessed(scale="ECOG", value=str(number)), day(0), by_person=False)
    for _ in range(draw(st.integers(0, 25))):
        draw(st.sampled_from(ACTS))(draw, world)
    return world


def _tell(draw: st.DrawFn, world: World) -> None:
    target = draw(st.sampled_from([STATUS, NEEDS]))
    by_person = draw(st.booleans())
    world.tell(draw(patients), target, draw(FACTS[target]), draw(times()), by_person=by_person)


def _merge(draw: st.DrawFn, world: World) -> None:
    world.merge(draw(patients), draw(patients))


def _unmerge(draw: st.DrawFn, world: World) -> None:
    world.unmerge(draw(patients))


def _strike(draw: st.DrawFn, world: World) -> None:
    world.strike(_entry(draw, world))


def _correct(draw: st.DrawFn, world: World) -> None:
    entry = _entry(draw, world)
    world.correct(entry, draw(FACTS[_target(entry)]), draw(st.none() | times()))


def _assign(draw: st.DrawFn, world: World) -> None:
    world.assign(_entry(draw, world))


def _move(draw: st.DrawFn, world: World) -> None:
    entry, to = _entry(draw, world), draw(patients)
    if to != entry.where and not entry.is_struck:
        world.move(entry, to)


def _entry(draw: st.DrawFn, world: World) -> Entry:
    return world.entries[draw(st.integers(0, len(world.entries) - 1))]


def _target(entry: Entry) -> Target:
    return STATUS if isinstance(entry.fact, PerformanceStatusAssessed) else NEEDS


patients = st.sampled_from(PATIENTS)
STATUS, NEEDS = Target(Category.PATHWAY, "a"), CARE_PLAN
FACTS: dict[Target, st.SearchStrategy[Fact]] = {
    STATUS: st.sampled_from([PerformanceStatusAssessed(scale="ECOG", value=value) for value in "012"]),
    NEEDS: st.sampled_from([NeedRaised(need=need, concern="work") for need in "ab"]),
}
# What is told most often comes several times.
ACTS = (_tell, _tell, _tell, _merge, _merge, _unmerge, _strike, _correct, _assign, _move)


def of_person(world: World, person: UUID, through: int) -> list[Recorded]:
    members = Persons(world.merges).members(person, through)
    return [event for event in world.events if event.patient_id in members and event.position <= through]


def content(history: list[Recorded]) -> "Counter[tuple[Fact, Occurred]]":
    return Counter((each.fact, each.occurred) for each in history if not isinstance(each.fact, OF_MERGING))


@given(worlds(), st.randoms(use_true_random=False))
def test_a_person_has_what_the_ledger_says_in_whatever_order_events_are_read(world: World, random: Any) -> None:
    for person in {world.person(each) for each in PATIENTS}:
        events = of_person(world, person, len(world.events))
        random.shuffle(events)
        assert content(effective(events)) == world.shown(person)


@given(worlds())
def test_no_event_is_without_a_place(world: World) -> None:
    """Whatever was told of anybody stands with exactly one person, or was struck, moved or is held back for someone."""
    persons = {world.person(each) for each in PATIENTS}
    standing = Counter(
        event.event_id for person in persons for event in effective(of_person(world, person, len(world.events)))
    )
    assert set(standing.values()) <= {1}
    gone = {entry.event.event_id for entry in world.entries if entry.is_struck or entry.in_view_of}
    left = {event.event_id for event in world.events if isinstance(event.fact, MovedAway)}
    told = {entry.event.event_id for entry in world.entries}
    assert told - gone <= standing.keys() - left


@given(worlds(), patients, patients)
def test_merge_then_unmerge_gives_back_what_was(world: World, retired: UUID, survivor: UUID) -> None:
    if retired == survivor or retired in world.part_of or survivor in world.part_of:
        return
    before = {person: world.shown(person) for person in (retired, survivor)}
    world.merge(retired, survivor)
    world.unmerge(retired)
    for person, shown in before.items():
        assert content(effective(of_person(world, person, len(world.events)))) == shown


@given(worlds())
def test_a_history_as_known_earlier_is_not_changed_by_what_came_later(world: World) -> None:
    """Persons are positional: asked at a position, they are those of a log that ended there."""
    middle = len(world.events) // 2
    shorter = Persons(each for each in world.merges if each.position <= middle)
    longer = Persons(world.merges)
    for patient in PATIENTS:
        person = shorter.person_of(patient)
        assert longer.person_of(patient, middle) == person
        assert longer.members(person, middle) == shorter.members(person)
        assert longer.members(person, middle) <= longer.kin(patient)


@given(worlds())
def test_a_growing_history_follows_moves_and_views_of_others(world: World) -> None:
    """Record by record, since persons do not grow by events alone."""
    for patient in PATIENTS:
        growing, arrived = Growing(), []
        for event in (each for each in world.events if each.patient_id == patient):
            growing.add(event)
            arrived.append(event)
            assert growing.events == effective(arrived)
