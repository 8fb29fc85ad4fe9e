"""One stream as a writer holds it, and the one place where a command becomes facts."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from domain import appointment, care_plan, correcting, pathway, patient, referral
from domain.annotation import Withdrawn
from domain.catalogue import category_of
from domain.facts import Category, Command, Decisions, Fact, Recorded, fact_json, fingerprint
from domain.history import changes_others, effective, is_ahead, moment, withdrawn
from domain.times import FUTURE_TOLERANCE, Occurred, is_after
from domain.unread import Unread, are_plain, category_unread
from domain.withdrawal import Withdrawal, told_at, withdrawal


class Aggregate(NamedTuple):
    """`heeded`: the stored names of all facts that `evolve` looks at; None where they are most of them."""

    initial: Any
    evolve: Callable[[Any, Recorded], Any]
    decisions: Decisions
    heeded: frozenset[str] | None = None


AGGREGATES: Mapping[Category, Aggregate] = MappingProxyType(
    {
        Category.PATIENT: Aggregate(
            patient.Patient(), patient.evolve, patient.DECISIONS, frozenset(fact.stored for fact in patient.HEEDED)
        ),
        Category.REFERRAL: Aggregate(referral.Referral(), referral.evolve, referral.DECISIONS),
        Category.APPOINTMENT: Aggregate(appointment.Appointment(), appointment.evolve, appointment.DECISIONS),
        Category.PATHWAY: Aggregate(pathway.Pathway(), pathway.evolve, pathway.DECISIONS),
        Category.CARE_PLAN: Aggregate(care_plan.CarePlan(), care_plan.evolve, care_plan.DECISIONS),
    }
)


class Decided(NamedTuple):
    """A fact to be recorded, with its JSON as it will be stored and by what it is known again."""

    fact: Fact
    body: bytes
    fingerprint: bytes


def _decided(fact: Fact, occurred: Occurred) -> Decided:
    body = fact_json(fact)
    return Decided(fact, body, fingerprint(fact.stored, occurred, body))


class Stream:
    """All events of one stream, oldest first. Not thread-safe: it belongs to one writer.

    Those that were loaded are read when somebody needs them: of a report it is asked only whether it stands already,
    which the bytes tell.
    """

    __slots__ = (
        "_effective",
        "_events",
        "_fresh",
        "_latest",
        "_standing",
        "_state",
        "_unread",
        "_withdrawals",
        "category",
        "stream_id",
    )

    def __init__(self, stream_id: UUID, category: Category, events: list[Recorded] | None = None) -> None:
        self.stream_id = stream_id
        self.category = category
        self._events: list[Recorded] = events or []
        # None where nobody has looked yet.
        self._withdrawals: list[Withdrawal] | None = None if events else []
        # What stands before all in `_events`.
        self._unread: Unread | None = None
        self._standing: set[bytes] | None = None
        # What events that are not durable yet have added to it, one for each of them.
        self._fresh: list[bytes] = []
        self._effective: list[Recorded] | None = None
        self._state: Any = None
        # The moment of the last event in the state.
        self._latest: tuple[Any, ...] = ()

    @classmethod
    def of_unread(cls, stream_id: UUID, category: Category, unread: Unread) -> "Stream":
        """Of the kind that its events tell; of `category` where they tell none. Raises UnknownFact."""
        stream = cls(stream_id, category_unread(unread) or category)
        stream._unread = unread
        stream._withdrawals = None
        return stream

    @property
    def events(self) -> list[Recorded]:
        """Raises UnknownFact, or pydantic's ValidationError, where one cannot be read."""
        if self._unread is not None:
            self._events[:0] = self._unread.read()
            self._unread = None
        return self._events

    @property
    def count(self) -> int:
        return len(self._events) + (self._unread.count if self._unread is not None else 0)

    @property
    def is_empty(self) -> bool:
        return not self._events and self._unread is None

    @property
    def owner(self) -> UUID | None:
        """The patient whose stream it is; None while it is empty."""
        if self._unread is not None:
            return self._unread.owner
        return self._events[0].patient_id if self._events else None

    @property
    def version(self) -> int:
        if self._events:
            return self._events[-1].version
        return self._unread.version if self._unread is not None else 0

    @property
    def last_position(self) -> int:
        if self._events:
            return self._events[-1].position
        return self._unread.last_position if self._unread is not None else 0

    @classmethod
    def of_person(cls, streams: "Sequence[Stream]", patients: "Sequence[Stream]") -> "Stream":
        """For decisions that concern a whole person: what stands in the like `streams` of all their records, of which
        `patients` are the patient streams, since being joined and parted changes what stands."""
        joint = cls(streams[0].stream_id, streams[0].category)
        ids = {stream.stream_id for stream in streams}
        apart = (stream for stream in patients if stream.stream_id not in ids)
        events = [event for stream in (*streams, *apart) for event in stream.events]
        joint._events = sorted((each for each in events if each.stream_id in ids), key=lambda each: each.position)
        joint._effective = [event for event in effective(events) if event.stream_id in ids]
        return joint

    def effective(self) -> list[Recorded]:
        if self._effective is None:
            self._effective = effective(self.events, of_one_stream=True)
        return self._effective

    def state(self) -> Any:
        """What decisions rest on: the fold of the effective events, so that corrections count."""
        if self._state is None:
            aggregate = AGGREGATES[self.category]
            standing = self._heeded(aggregate.heeded)
            self._state = reduce(aggregate.evolve, standing, aggregate.initial)
            self._latest = moment(standing[-1]) if standing else ()
        return self._state

    def _heeded(self, names: frozenset[str] | None) -> list[Recorded]:
        """What stands, but for what the state would not look at and nobody has read."""
        plain = self._plain_unread()
        if names is None or plain is None:
            return self.effective()
        return effective([*plain.read(names), *self._events], of_one_stream=True)

    def _plain_unread(self) -> Unread | None:
        """What is not read yet, if all of it stands as it was recorded."""
        return self._unread if self._unread is not None and are_plain(self._unread.names()) else None

    def decide(self, act: Fact | Command, occurred: Occurred, provenance: bytes = b"{}") -> list[Decided]:
        """A report is its fact; a command is decided by its rule. The same fact is never recorded twice, but where a
        source says it again after it had withdrawn it; `provenance` tells.

        Raises NotAllowed when the rules refuse, ValueError when a fact belongs to another kind of stream.
        """
        facts = (act,) if isinstance(act, Fact) else self._decision(act)
        decided = [_decided(fact, occurred) for fact in facts]
        return [each for each in decided if self._is_new(each, provenance)]

    def extend(self, event: Recorded, known_by: bytes) -> None:
        """Adds an event that was just decided, at a position that `settle` may still move, with its fingerprint."""
        self._events.append(event)
        self._effective = None
        if changes_others(event.fact) or self._withdrawn():
            # what stands has changed otherwise than by this one fact
            self._standing = self._state = self._withdrawals = None
            self._fresh.clear()
            return
        if self._standing is not None and known_by not in self._standing:
            self._standing.add(known_by)
            self._fresh.append(known_by)
        if self._state is not None:
            self._grow(event)

    def _grow(self, event: Recorded) -> None:
        """The state with an event that stands after all others; what stands anywhere else folds all anew."""
        at = moment(event)
        if at <= self._latest or is_ahead(event):
            self._state = None
        else:
            self._state, self._latest = AGGREGATES[self.category].evolve(self._state, event), at

    def settle(self, after: int, shift: int, recorded_at: datetime) -> None:
        """The events decided after position `after` are durable, `shift` positions later than was supposed."""
        events = self._events
        self._fresh.clear()
        for index in range(len(events) - 1, -1, -1):
            event = events[index]
            if event.position <= after:
                break
            events[index] = Recorded(event.position + shift, recorded_at, *event[2:])
            self._effective = None
            if is_after(event.occurred, min(event.recorded_at, recorded_at), FUTURE_TOLERANCE):
                self._state = None  # its place depends on when it was recorded
        if self._withdrawals != []:  # or nobody has looked yet
            self._standing = self._state = self._withdrawals = None  # so does what falls

    def undo(self, after: int) -> None:
        """Forgets the events decided after position `after`: they were not recorded."""
        undone = 0
        while self._events and self._events[-1].position > after:
            self._events.pop()
            undone += 1
        if self._standing is not None and undone == len(self._fresh):
            self._standing.difference_update(self._fresh)
        else:
            self._standing = None
        self._fresh.clear()
        self._effective = self._state = self._withdrawals = None

    def _decision(self, command: Command) -> tuple[Fact, ...]:
        correct = correcting.DECISIONS.get(type(command))
        if correct is not None:
            return correct(self.events, command)
        rule = AGGREGATES[self.category].decisions.get(type(command))
        if rule is None:
            raise ValueError(f"{type(command).__name__} is not a command of a {self.category} stream")
        decision = rule(self.state(), command)
        return decision if isinstance(decision, tuple) else (decision,)

    def _is_new(self, decided: Decided, provenance: bytes) -> bool:
        belongs_to = category_of(type(decided.fact))
        if belongs_to is not None and belongs_to is not self.category:
            raise ValueError(f"{decided.fact.stored} does not belong in a {self.category} stream")
        if decided.fingerprint in self._fingerprints():
            return False
        return not self._withdrawn() or not self._has_fallen(decided, provenance)

    def _has_fallen(self, decided: Decided, provenance: bytes) -> bool:
        """Whether it is here already, among what was withdrawn, and would fall with that."""
        told = told_at(provenance)
        if told is None or all(told > each.as_of for each in self._withdrawn()):
            return False
        return decided.fingerprint in map(_fingerprint, withdrawn(self.events))

    def _withdrawn(self) -> list[Withdrawal]:
        """What was withdrawn of this record. Nothing is opened to know that nothing was."""
        if self._withdrawals is None:
            told = self._unread is not None and Withdrawn.stored in self._unread.names()
            held = self.events if told else self._events
            self._withdrawals = [each for event in held if (each := withdrawal(event)) is not None]
        return self._withdrawals

    def _fingerprints(self) -> set[bytes]:
        if self._standing is None:
            plain = None if self._events else self._plain_unread()
            if plain is not None:
                self._withdrawals = []
            self._standing = plain.fingerprints() if plain is not None else set(map(_fingerprint, self.effective()))
        return self._standing


def _fingerprint(event: Recorded) -> bytes:
    return fingerprint(event.fact.stored, event.occurred, fact_json(event.fact))
