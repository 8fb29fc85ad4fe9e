"""What a writer holds in memory between batches: streams, who an identifier names, and patients' keys."""

from collections import OrderedDict
from collections.abc import Iterable
from uuid import UUID

from domain.persons import Merge, Persons
from domain.stream import Stream
from infra.keys import DataKey

# Measured: an event of 300 bytes of JSON takes about this much as Python objects.
_BYTES_PER_EVENT = 1_500
_BYTES_PER_STREAM = 800


class Holdings:
    """True as of log position `seen`. Bounded in bytes, least recently used streams forgotten first."""

    def __init__(self, limit_bytes: int = 96_000_000) -> None:
        self.seen = 0
        self.persons = Persons()
        # `persons` is true as of this position; behind `seen` where others have joined or parted records since.
        self.merges_seen = -1
        self.patients: OrderedDict[bytes, UUID] = OrderedDict()
        self.keys: OrderedDict[UUID, DataKey] = OrderedDict()
        self._streams: OrderedDict[UUID, tuple[Stream, int]] = OrderedDict()
        self._limit = limit_bytes
        self._bytes = 0

    def stream(self, stream_id: UUID) -> Stream | None:
        held = self._streams.get(stream_id)
        if held is None:
            return None
        self._streams.move_to_end(stream_id)
        return held[0]

    def hold(self, stream: Stream) -> None:
        """Adds a stream, or counts anew one that has grown."""
        self._bytes -= self._streams.get(stream.stream_id, (stream, 0))[1]
        size = _BYTES_PER_STREAM + _BYTES_PER_EVENT * len(stream.events)
        self._streams[stream.stream_id] = (stream, size)
        self._bytes += size

    def forget(self, streams: list[UUID] | None) -> None:
        """None: everything that others may have changed."""
        if streams is None:
            self._streams.clear()
            self._bytes = 0
            return
        for stream_id in streams:
            self._bytes -= self._streams.pop(stream_id, (None, 0))[1]

    def evict(self, patient_id: UUID) -> None:
        """Everything of someone whose key was destroyed."""
        self.keys.pop(patient_id, None)
        for digest in [digest for digest, each in self.patients.items() if each == patient_id]:
            del self.patients[digest]
        theirs = (stream for stream, _ in self._streams.values() if stream.events)
        self.forget([each.stream_id for each in theirs if each.events[0].patient_id == patient_id])

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
        while self._bytes > self._limit and self._streams:
            _, (_, size) = self._streams.popitem(last=False)
            self._bytes -= size
        for held in (self.patients, self.keys):
            while len(held) > self._limit // 2_000:
                held.popitem(last=False)
