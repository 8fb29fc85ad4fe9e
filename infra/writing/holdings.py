"""What a writer holds in memory between batches: streams, who an identifier names, and patients' keys."""

from collections import OrderedDict
from collections.abc import Iterable
from operator import attrgetter
from uuid import UUID

from domain.persons import Merge, Persons
from domain.stream import Stream
from infra.keys import DataKey

# Measured: an event of 300 bytes of JSON takes about this much as Python objects. A process takes nearly twice as much
# of its system: what is forgotten leaves gaps.
_BYTES_PER_EVENT = 1_500
_BYTES_PER_STREAM = 800


class _Held:
    __slots__ = ("size", "stream", "used")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.size = 0
        self.used = 0


_used = attrgetter("used")


class Holdings:
    """True as of log position `seen`. Bounded in bytes, least recently used streams forgotten first."""

    def __init__(self, limit_bytes: int = 64_000_000) -> None:
        self.seen = 0
        self.persons = Persons()
        # `persons` is true as of this position; behind `seen` where others have joined or parted records since.
        self.merges_seen = -1
        self.patients: OrderedDict[bytes, UUID] = OrderedDict()
        self.keys: OrderedDict[UUID, DataKey] = OrderedDict()
        # By the number of the stream's id: a UUID is hashed in Python, which took a tenth of deciding.
        self._streams: dict[int, _Held] = {}
        self._uses = 0
        self._limit = limit_bytes
        self._bytes = 0

    def stream(self, stream_id: UUID) -> Stream | None:
        held = self._streams.get(stream_id.int)
        if held is None:
            return None
        self._uses += 1
        held.used = self._uses
        return held.stream

    def hold(self, stream: Stream) -> None:
        """Adds a stream, or counts anew one that has grown."""
        held = self._streams.get(stream.stream_id.int)
        if held is None:
            held = self._streams[stream.stream_id.int] = _Held(stream)
        self._uses += 1
        held.used = self._uses
        held.stream = stream
        size = _BYTES_PER_STREAM + _BYTES_PER_EVENT * stream.count
        self._bytes += size - held.size
        held.size = size

    def forget(self, streams: Iterable[UUID] | None) -> None:
        """None: everything that others may have changed."""
        if streams is None:
            self._streams.clear()
            self._bytes = 0
            return
        for stream_id in streams:
            held = self._streams.pop(stream_id.int, None)
            self._bytes -= held.size if held is not None else 0

    def evict(self, patient_id: UUID) -> None:
        """Everything of someone whose key was destroyed."""
        self.keys.pop(patient_id, None)
        for digest in [digest for digest, each in self.patients.items() if each == patient_id]:
            del self.patients[digest]
        held = [each.stream for each in self._streams.values()]
        self.forget([each.stream_id for each in held if each.owner == patient_id])

    def clear(self) -> None:
        """For another log than the one that filled this: nothing of it can be believed."""
        self.forget(None)
        self.patients.clear()
        self.keys.clear()
        self.persons, self.merges_seen = Persons(), -1

    def join(self, merges: Iterable[Merge], through: int) -> None:
        """All merges after `merges_seen` through a position."""
        for merge in merges:
            self.persons.add(merge)
        self.merges_seen = through

    def trim(self) -> None:
        """Called between batches: nothing that a batch needs may disappear under it."""
        if self._bytes > self._limit:
            self._forget_oldest()
        for held in (self.patients, self.keys):
            while len(held) > self._limit // 2_000:
                held.popitem(last=False)

    def _forget_oldest(self) -> None:
        """A tenth more than must go, since all are looked through for it."""
        for held in sorted(self._streams.values(), key=_used):
            if self._bytes <= self._limit - self._limit // 10:
                break
            del self._streams[held.stream.stream_id.int]
            self._bytes -= held.size
