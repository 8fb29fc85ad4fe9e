"""What works need of the log before they can be decided: who identifiers name, those patients' streams and keys."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from domain.annotation import Move
from domain.facts import Category, Command
from domain.identity import PatientReference
from domain.stream import Stream
from infra.keys import DataKey, KeyRing
from infra.writing.holdings import Holdings
from infra.writing.log import SUPPRESSED, Found, Loaded, Log
from infra.writing.work import Act, Part, Work


class _Wanted(NamedTuple):
    """`owner` has this stream, if anyone has; None where a caller named it, who may be wrong."""

    category: Category
    owner: UUID | None


class _Need(NamedTuple):
    """`digests` are all identifiers that may come to name the patient of this part."""

    part: Part
    digests: set[bytes]


class Ready(NamedTuple):
    """A part about one known person, everything of whom is held: their key, their patient stream, and the stream of
    each act."""

    patient_id: UUID
    key: DataKey
    record: Stream
    streams: tuple[Stream, ...]


class Prefetch:
    """Fills a writer's holdings. Not thread-safe: it belongs to the writer's thread."""

    def __init__(self, store: Log, keys: KeyRing, holdings: Holdings) -> None:
        self._log = store
        self._keys = keys
        self._holdings = holdings

    def prepare(self, works: Sequence[Work], locked: bool = False, afresh: bool = False) -> dict[int, Ready]:
        """Loads in one snapshot whatever these works need and we do not hold; often nothing, unless `afresh`.
        Returns the parts that need no further search, by `id`: a part has no hash.

        A load also shows what others wrote since; what we held of that is forgotten, and loaded in the next turn.
        """
        parts = [part for work in works for part in work.parts]
        ready: dict[int, Ready] = {}
        open_needs = self._needs(parts, ready)
        absent: set[bytes | UUID] = set()
        has_loaded = False
        while True:
            needs = [need for need in self._joined(open_needs) if not self._is_met(need, absent)]
            is_behind = afresh or self._holdings.merges_seen < self._holdings.seen
            if not (needs or is_behind):
                if has_loaded:
                    self._needs([part for part in parts if id(part) not in ready], ready)
                return ready
            has_loaded = True
            unknown = {each for need in needs for each in need.digests if self._is_new(each) and each not in absent}
            loaded, patients = self._load(needs, list(unknown), locked)
            absent = absent - set(loaded.written) if loaded.written is not None else set()
            absent.update(unknown, patients, (each for each in loaded.streams if self._holdings.stream(each) is None))
            # What others wrote, and whose key is gone, is forgotten, whoever else may have needed it.
            if loaded.is_as_before and patients <= loaded.keys.keys():
                open_needs = needs
            else:
                ready.clear()
                open_needs = self._needs(parts, ready)
            afresh = False

    def _needs(self, parts: Sequence[Part], ready: dict[int, Ready]) -> list[_Need]:
        """Of the parts that are not ready; those that are, are added to `ready`."""
        needs = []
        for part in parts:
            found = self._ready(part)
            if found is None:
                needs.append(_Need(part, self._digests(part)))
            else:
                ready[id(part)] = found
        return needs

    def _ready(self, part: Part) -> Ready | None:
        patient_id = self._known(part.patient)
        if patient_id is None:
            return None
        stream = self._holdings.stream
        key, record = self._holdings.keys.get(patient_id), stream(patient_id)
        if key is None or record is None or not _is_record_of(record, patient_id):
            return None
        streams = []
        for act in part.acts:
            held = stream(act.target.stream_id(patient_id)) if self._is_plain(act, patient_id) else None
            if held is None:
                return None
            streams.append(held)
        return Ready(patient_id, key, record, tuple(streams))

    def _known(self, patient: PatientReference | UUID) -> UUID | None:
        """The one whom all identifiers name."""
        if isinstance(patient, UUID):
            return patient
        names, digest = self._holdings.patients, self._keys.identifier_digest
        named = [names.get(digest(each)) for each in patient.identifiers]
        first = named[0] if named else None
        return first if first is not None and named.count(first) == len(named) else None

    def _is_plain(self, act: Act, patient_id: UUID) -> bool:
        """Whether it concerns only the stream that its target derives."""
        if act.stream_id is not None or act.patient_id is not None:
            return False
        if not isinstance(act.act, Command):
            return True
        is_alone = not act.act.of_person or self._holdings.persons.is_alone(patient_id)
        return is_alone and not isinstance(act.act, Move)

    def _is_new(self, digest: bytes) -> bool:
        return digest not in self._holdings.patients

    def _joined(self, told: list[_Need]) -> list[_Need]:
        """Whomever an identifier names that we have not met, its companions in the batch may come to name."""
        are_new = [any(map(self._is_new, need.digests)) for need in told]
        if not any(are_new):
            return told
        kin = _kin(need.digests for need, is_new in zip(told, are_new, strict=True) if is_new)
        return [
            _Need(need.part, set[bytes]().union(*(kin[each] for each in need.digests))) if is_new else need
            for need, is_new in zip(told, are_new, strict=True)
        ]

    def _is_met(self, need: _Need, absent: set[bytes | UUID]) -> bool:
        """Whether all that it needs is held, or known not to be there."""
        patients = self._holdings.patients
        for digest in need.digests:
            if digest not in patients and digest not in absent:
                return False
        return all(self._is_held(need.part, each, absent) for each in self._patients(need, {}))

    def _is_held(self, part: Part, patient_id: UUID, absent: set[bytes | UUID]) -> bool:
        holdings = self._holdings
        if patient_id not in holdings.keys and patient_id not in absent:
            return False
        for stream_id, _, _ in _streams(part, patient_id):
            if holdings.stream(stream_id) is None and stream_id not in absent:
                return False
        return True

    def _digests(self, part: Part) -> set[bytes]:
        if not isinstance(part.patient, PatientReference):
            return set()
        return {self._keys.identifier_digest(each) for each in part.patient.identifiers}

    def _load(self, needs: list[_Need], unknown: list[bytes], locked: bool) -> tuple[Loaded, set[UUID]]:
        """Also returns the patients whose keys were asked for."""
        holdings = self._holdings
        wanted: dict[UUID, _Wanted] = {}
        asked: set[UUID] = set()

        def missing(found: Found) -> tuple[Iterable[UUID], Iterable[UUID]]:
            if found.position < holdings.seen:  # another log than the one we knew: a restore, or a failover that lost
                holdings.clear()
            else:
                holdings.join(found.merges, found.position)
            streams, patients = self._missing(needs, found.patients)
            wanted.update(streams)
            asked.update(patients)
            return streams, patients

        loaded = self._log.load(holdings.seen, holdings.merges_seen, unknown, missing, locked)
        holdings.forget(loaded.written)
        holdings.seen = loaded.position
        holdings.patients.update(loaded.patients)
        holdings.keys.update(loaded.keys)
        for patient_id in asked - loaded.keys.keys():  # unknown, or destroyed: then nothing held of them is true
            holdings.evict(patient_id)
        for stream_id, sealed in loaded.streams.items():
            category, owner = wanted[stream_id]
            # Held as empty, a stream that was only named would pass for one that is known to be empty.
            if sealed is not None:
                holdings.hold(Stream.of_unread(stream_id, category, sealed))
            elif owner in holdings.keys:
                holdings.hold(Stream(stream_id, category))
        return loaded, asked

    def _missing(self, needs: list[_Need], found: dict[bytes, UUID]) -> tuple[dict[UUID, _Wanted], set[UUID]]:
        """Streams not held, and the patients whose keys open them or are needed to write."""
        streams: dict[UUID, _Wanted] = {}
        patients: set[UUID] = set()
        for need in needs:
            for patient_id in self._patients(need, found):
                lacking = {
                    stream_id: _Wanted(category, owner)
                    for stream_id, category, owner in _streams(need.part, patient_id)
                    if self._holdings.stream(stream_id) is None
                }
                streams |= lacking
                if lacking or patient_id not in self._holdings.keys:
                    patients.add(patient_id)
        return streams, patients

    def _patients(self, need: _Need, found: dict[bytes, UUID]) -> set[UUID]:
        if isinstance(need.part.patient, UUID):
            return self._persons(need.part, need.part.patient)
        held = self._holdings.patients
        named = {found.get(each) or held.get(each, SUPPRESSED) for each in need.digests}
        named.discard(SUPPRESSED)
        return named

    def _persons(self, part: Part, patient_id: UUID) -> set[UUID]:
        """Commands are decided on all records of a person; some acts concern another patient too."""
        persons = self._holdings.persons
        others = {act.patient_id for act in part.acts if act.patient_id is not None}
        if persons.is_alone(patient_id) or not any(_is_of_person(act) for act in part.acts):
            return {patient_id, *others}
        return {patient_id, *others, *persons.members(persons.person_of(patient_id))}


def _is_record_of(stream: Stream, patient_id: UUID) -> bool:
    """Whether it is the patient stream of someone who is known."""
    if stream.category is not Category.PATIENT:
        return False
    owner = stream.owner
    return owner is patient_id or owner == patient_id


def _is_of_person(act: Act) -> bool:
    return isinstance(act.act, Command) and act.act.of_person


def _kin(named: Iterable[set[bytes]]) -> dict[bytes, set[bytes]]:
    """Each identifier with those that one batch tells together with it, directly or through others: the first message
    may link an identifier to a patient whom the second then means by it."""
    kin: dict[bytes, set[bytes]] = {}
    for together in named:
        joined = together.union(*(kin[each] for each in together if each in kin))
        kin.update(dict.fromkeys(joined, joined))
    return kin


def _streams(part: Part, patient_id: UUID) -> Iterator[tuple[UUID, Category, UUID | None]]:
    """Each with what it is taken for and its owner, if anyone has it."""
    yield patient_id, Category.PATIENT, patient_id
    for act in part.acts:
        if act.stream_id is not None:
            yield act.stream_id, act.target.category, None
        if isinstance(act.act, Move) and act.act.into is not None:
            yield act.act.into, act.target.category, None
        elif act.stream_id is None or isinstance(act.act, Move):
            yield act.target.stream_id(patient_id), act.target.category, patient_id
