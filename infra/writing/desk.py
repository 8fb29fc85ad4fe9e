"""Deciding a batch: works in turn, in memory, each seeing what the ones before it decided."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID, uuid4

from domain.annotation import Move
from domain.correcting import relocate
from domain.facts import PATIENT, Category, Command, EventId, NotAllowed, NotFound, Target
from domain.identity import Held, confirm, introduction, match
from domain.patient import Identifier, IdentifierLinked
from domain.stream import Stream
from infra.keys import DataKey, KeyRing
from infra.writing.draft import Draft, Mark
from infra.writing.holdings import Holdings
from infra.writing.log import SUPPRESSED
from infra.writing.prefetch import Ready
from infra.writing.work import Act, Conclusion, Part, PartOutcome, Work

STALE_PRECONDITION = "stale-precondition"
KEY_DESTROYED = "key-destroyed"


class MonthlyKey(NamedTuple):
    key_id: UUID
    month: date
    key: DataKey


class Desk:
    """One batch, decided on what `holdings` knows and what is already in its draft; `ready` are parts by `id`."""

    def __init__(self, holdings: Holdings, keys: KeyRing, monthly: MonthlyKey, ready: Mapping[int, Ready]) -> None:
        self.draft = Draft(holdings.seen)
        # All that decisions rest on, by the number of its id.
        self.touched: dict[int, Stream] = {}
        self._ready = ready
        self._holdings = holdings
        self._keys = keys
        self._monthly = monthly
        self._new_patients: dict[bytes, UUID] = {}

    def decide(self, work: Work) -> Conclusion:
        """Adds the work's events, receipt and raw bytes to the draft."""
        first = len(self.draft.batch.events) + 1
        outcomes = [self._part(part) for part in work.parts]
        conclusion = work.conclude(outcomes)
        self.draft.receipt(work, conclusion, first)
        if work.raw is not None:
            self._raw(work, work.raw, {each.patient_id for each in outcomes})
        if conclusion.rejection is not None or work.replaces:
            self.draft.set_aside(work, conclusion)
        return conclusion

    def reads(self) -> list[UUID]:
        """The streams that decisions rest on."""
        return [stream.stream_id for stream in self.touched.values()]

    def _part(self, part: Part) -> PartOutcome:
        mark = self.draft.mark()
        patient_id = None
        try:
            ready = self._ready.get(id(part))
            if ready is None:
                patient_id, events = self._patient(part)
                for act in part.acts:
                    events += self._act(patient_id, act)
            else:
                record = self._read(ready.record)
                if not isinstance(part.patient, UUID):
                    confirm(part.patient, record.state())
                patient_id, events = ready.patient_id, []
                for act, stream in zip(part.acts, ready.streams, strict=True):
                    events += self._decided(patient_id, ready.key, self._read(stream), act)
        except Held as held:
            return PartOutcome(patient_id, refusal=(held.code, str(held)))
        except NotAllowed as refused:
            is_new = len(self.draft.batch.keys) > mark.keys
            self._undo(mark)
            code = "not-found" if isinstance(refused, NotFound) else getattr(refused, "code", "not-allowed")
            return PartOutcome(None if is_new else patient_id, refusal=(code, str(refused)))
        return PartOutcome(patient_id, tuple(events))

    def _patient(self, part: Part) -> tuple[UUID, list[tuple[EventId, str]]]:
        if isinstance(part.patient, UUID):
            self._record_of(part.patient)
            return part.patient, []
        reference = part.patient
        named = [self._named_by(each) for each in reference.identifiers]
        first = named[0] if named else None
        if first is not None and named.count(first) == len(named):  # as nearly always
            confirm(reference, self._stream(first, PATIENT).state())
            return first, []
        told = zip(reference.identifiers, named, strict=True)
        known = {identifier: patient_id for identifier, patient_id in told if patient_id is not None}
        patient_id = match(reference, known, lambda each: self._stream(each, PATIENT).state())
        facts = introduction(reference, known, patient_id is None)
        patient_id = patient_id or self._register()
        linked = []
        for fact in facts:
            act = Act(PATIENT, fact, part.occurred, part.provenance)
            linked += self._act(patient_id, act)
            if isinstance(fact, IdentifierLinked):
                self._link(fact.identifier, patient_id)
        return patient_id, linked

    def _named_by(self, identifier: Identifier) -> UUID | None:
        digest = self._keys.identifier_digest(identifier)
        patient_id = self._new_patients.get(digest) or self._holdings.patients.get(digest)
        if patient_id == SUPPRESSED:
            raise Held(KEY_DESTROYED, "the record of whom this names was destroyed, and is not made anew")
        return patient_id

    def _register(self) -> UUID:
        patient_id, key_id = uuid4(), uuid4()
        key, wrapped = self._keys.generate(key_id)
        self._holdings.keys[patient_id] = key
        self.draft.batch.keys.append((key_id, patient_id, wrapped))
        return patient_id

    def _link(self, identifier: Identifier, patient_id: UUID) -> None:
        digest = self._keys.identifier_digest(identifier)
        self._new_patients[digest] = patient_id
        self.draft.batch.links.append((digest, patient_id))

    def _stream(self, patient_id: UUID, target: Target) -> Stream:
        stream_id = target.stream_id(patient_id)
        stream = self._holdings.stream(stream_id)
        if stream is None:  # of a patient whom this batch registers, so the log has nothing of it
            stream = Stream(stream_id, target.category)
            self._holdings.hold(stream)
        return self._read(stream)

    def _read(self, stream: Stream) -> Stream:
        """Notes that a decision rests on it."""
        self.touched[stream.stream_id.int] = stream
        return stream

    def _record_of(self, patient_id: UUID) -> Stream:
        """Raises NotFound where nobody is known by this id."""
        return self._named((patient_id,), patient_id, Category.PATIENT)

    def _named(self, owners: Sequence[UUID], stream_id: UUID, category: Category) -> Stream:
        """Whose it is and what it is say its own events, not the caller. Raises NotFound alike for what does not
        exist and for what is another's."""
        stream = self._holdings.stream(stream_id)
        if stream is None or stream.owner not in owners or stream.category is not category:
            raise NotFound(f"no such {category}")
        return self._read(stream)

    def _act(self, patient_id: UUID, act: Act) -> list[tuple[EventId, str]]:
        owner = act.patient_id or patient_id
        if act.patient_id is not None:
            self._record_of(owner)
        if isinstance(act.act, Move):
            return self._move(patient_id, owner, act, act.act)
        is_of_person = isinstance(act.act, Command) and act.act.of_person
        if is_of_person and not self._holdings.persons.is_alone(owner):
            return self._act_for_person(owner, act)
        return self._decided(owner, self._holdings.keys[owner], self._stream_of(owner, act), act)

    def _decided(self, owner: UUID, key: DataKey, stream: Stream, act: Act) -> list[tuple[EventId, str]]:
        if act.nothing_after is not None:
            _refuse_if_stale(act, [stream])
        decisions = stream.decide(act.act, act.occurred, act.provenance)
        return [self.draft.record(owner, key, stream, act, each) for each in decisions]

    def _stream_of(self, owner: UUID, act: Act) -> Stream:
        if act.stream_id is None:
            return self._stream(owner, act.target)
        return self._named((owner,), act.stream_id, act.target.category)

    def _act_for_person(self, patient_id: UUID, act: Act) -> list[tuple[EventId, str]]:
        """Decided on all records of a merged person, and recorded in the surviving one or where the caller named."""
        persons = self._holdings.persons
        survivor = persons.person_of(patient_id)
        members = [survivor, *sorted(persons.members(survivor) - {survivor})]
        records = [self._stream(each, PATIENT) for each in members]
        if act.stream_id is None:
            streams = [self._stream(each, act.target) for each in members]
            owner = survivor
        else:
            streams = [self._named(members, act.stream_id, act.target.category)]
            owner = streams[0].events[0].patient_id
        _refuse_if_stale(act, streams)
        act = act._replace(provenance=_in_view_of(act.provenance, [each for each in members if each != owner]))
        decisions = Stream.of_person(streams, records).decide(act.act, act.occurred)
        key = self._holdings.keys[owner]
        return [self.draft.record(owner, key, streams[0], act, each) for each in decisions]

    def _move(self, patient_id: UUID, to: UUID, act: Act, command: Move) -> list[tuple[EventId, str]]:
        """Away from here and into the other patient's record, sealed anew under that patient's key."""
        here = self._stream_of(patient_id, act)
        _refuse_if_stale(act, [here])
        relocation = relocate(here.events, command)
        category = act.target.category
        there = self._stream(to, act.target) if command.into is None else self._named((to,), command.into, category)
        facts = ((patient_id, here, relocation.away), *((to, there, each) for each in relocation.into))
        return [
            self.draft.record(owner, self._holdings.keys[owner], stream, act, decided)
            for owner, stream, fact in facts
            for decided in stream.decide(fact, act.occurred)
        ]

    def _raw(self, work: Work, raw: bytes, patients: set[UUID | None]) -> None:
        """One patient's bytes fall under that patient's key, all others under a key that ends with its month: those of
        several, or of whom a part is unclear. Taken up again, they are sealed anew once it is known of any part."""
        if work.replaces and patients <= {None}:
            return
        only = patients.pop() if len(patients) == 1 else None
        self.draft.keep(work.key, raw, self._monthly.key if only is None else self._holdings.keys[only])

    def _undo(self, mark: Mark) -> None:
        for digest, _ in self.draft.batch.links[mark.links :]:
            del self._new_patients[digest]
        self.draft.undo(mark)


class StalePrecondition(NotAllowed):
    """The caller decided on an older state of this stream."""

    code = STALE_PRECONDITION


def _refuse_if_stale(act: Act, streams: Sequence[Stream]) -> None:
    if act.nothing_after is not None and max(each.last_position for each in streams) > act.nothing_after:
        raise StalePrecondition("something newer was recorded; read again and decide again")


def _in_view_of(provenance: bytes, others: Sequence[UUID]) -> bytes:
    """The provenance, saying which other records were part of what its author saw."""
    if not others:
        return provenance
    told = ",".join(f'"{each}"' for each in others)
    return provenance[:-1] + f',"merged_with":[{told}]}}'.encode()
