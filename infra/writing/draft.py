"""One transaction in the making: what is decided becomes rows, and can be taken back part by part."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from domain.facts import EventId, Recorded
from domain.merging import Merged, Unmerged
from domain.persons import Merge
from domain.stream import Decided, Stream
from infra.keys import DataKey, nonces
from infra.payloads import PRECISION_LETTERS, seal
from infra.writing.batch import Batch
from infra.writing.work import Act, Conclusion, OffsetMove, Work


class Mark(NamedTuple):
    """How many rows there were."""

    events: int
    links: int
    keys: int


class Draft:
    """`seen` is the log position on which the decisions rest; positions are counted from there until it is durable."""

    def __init__(self, seen: int) -> None:
        self.batch = Batch()
        # The stream of each event, and what is to be sealed of it.
        self.grown: list[Stream] = []
        self.offsets: dict[tuple[str, str, int], int] = {}
        self._unsealed: list[tuple[DataKey, bytes, bytes]] = []
        self._raws: list[tuple[bytes, DataKey, bytes]] = []
        self._nonces = nonces()
        self._seen = seen
        self._now = datetime.now(UTC)

    def record(self, patient_id: UUID, key: DataKey, stream: Stream, act: Act, decided: Decided) -> tuple[EventId, str]:
        """Adds an event, which decisions after it see in its stream."""
        events, (fact, body, known_by) = self.batch.events, decided
        version, stored = stream.version + 1, fact.stored
        occurred, provenance, stream_id = act.occurred, act.provenance, stream.stream_id
        letter = PRECISION_LETTERS[occurred.precision]
        events.append((stream_id, version, patient_id, stored, occurred.at, letter, b"", key.key_id))
        self._unsealed.append((key, body, provenance))
        position = self._seen + len(events)
        event = Recorded(position, self._now, stream_id, version, patient_id, 0, occurred, fact, provenance)
        stream.extend(event, known_by)
        self.grown.append(stream)
        if isinstance(fact, Merged | Unmerged):
            self._note_merge(patient_id, fact)
        return EventId(stream_id, version), stored

    def _note_merge(self, patient_id: UUID, fact: Merged | Unmerged) -> None:
        """For readers that must find a person's records without opening anything."""
        joined = isinstance(fact, Merged)
        into = fact.into if isinstance(fact, Merged) else fact.out_of
        place = len(self.batch.events)
        noted = {"place": place, "patient_id": str(patient_id), "into_id": str(into), "joined": joined}
        self.batch.merges.append(noted)

    def merges(self, base: int) -> list[Merge]:
        """Those of this batch, recorded after position `base`."""
        return [
            Merge(base + each["place"], UUID(each["patient_id"]), UUID(each["into_id"]), each["joined"])
            for each in self.batch.merges
        ]

    def mark(self) -> Mark:
        return Mark(len(self.batch.events), len(self.batch.links), len(self.batch.keys))

    def undo(self, mark: Mark) -> None:
        """Takes back what was added since: events, identifiers that were linked, patients who were registered."""
        batch, (events, links, keys) = self.batch, mark
        for stream in set(self.grown[events:]):
            stream.undo(self._seen + events)
        batch.merges = [each for each in batch.merges if each["place"] <= events]
        del self.grown[events:], self._unsealed[events:], batch.events[events:], batch.links[links:], batch.keys[keys:]

    def receipt(self, work: Work, conclusion: Conclusion, first: int) -> None:
        count = len(self.batch.events) - first + 1
        outcome, answer = conclusion.outcome, conclusion.answer
        self.batch.receipts.append((work.key, work.source, work.digest, outcome, answer, first, count, work.replaces))

    def keep(self, receipt: bytes, raw: bytes, key: DataKey) -> None:
        """The bytes of a message, under this key."""
        self._raws.append((receipt, key, raw))

    def set_aside(self, work: Work, conclusion: Conclusion) -> None:
        rejection = conclusion.rejection
        self.batch.rejections.append(
            {
                "rejected_id": str(uuid4()),
                "receipt_key": work.key.hex(),
                "source": work.source,
                "content_type": rejection.content_type if rejection else None,
                "coordinates": rejection.coordinates if rejection else "",
                "reasons": rejection.reasons if rejection else [],
                "owner": rejection.owner if rejection else None,
                "state": "open" if rejection else "resolved",
            }
        )

    def move(self, offset: OffsetMove) -> None:
        place = (offset.cluster_id, offset.topic_id, offset.partition)
        self.offsets[place] = max(offset.offset + 1, self.offsets.get(place, 0))

    def seal(self) -> None:
        """All at the end: a processor that stays within a little code is faster than one that leaves it each time."""
        events, nonces = self.batch.events, self._nonces
        for place, (row, (key, body, provenance)) in enumerate(zip(events, self._unsealed, strict=True)):
            payload = seal(key, row[0], row[1], row[3], body, provenance, next(nonces))
            events[place] = (*row[:6], payload, row[7])
        self.batch.raws += [(each, key.key_id, key.seal(raw, each, next(nonces))) for each, key, raw in self._raws]
