"""From one message, whichever way it came, to one work for the writer; and from what became of it to the answer."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import structlog

from consumers import mns, vocabulary
from consumers.answers import conclude
from consumers.envelope import DOCUMENT_SENT, Envelope, Given, envelope, identity, opened
from consumers.fhir import documents
from consumers.messages import JSON, RawMessage, content_type_of, packed
from consumers.provenance import Written, provenance_of
from consumers.translation import Entry, Instruction, Refusal, Refused, Sender, Translated
from domain.cancer_codes import CancerCodes
from domain.identity import PatientReference
from infra.keys import KeyRing
from infra.writing.work import Act, Conclusion, OffsetMove, Outcome, Part, PartOutcome, Work
from infra.writing.writer import Writer

log = structlog.get_logger(__name__)

FHIR = ("application/fhir+json", "application/json+fhir")
HL7V2 = ("application/hl7-v2+er7", "x-application/hl7-v2+er7")
UNIDENTIFIED = "unidentified"
MOST_FACTS = 5_000
_PORTION, _PORTION_BYTES = 100, 1_000_000
_UNREAD = Given({}, "", None)


class _Identity(NamedTuple):
    """What makes the receipt: the same source and id are the same message, the digest says whether it is unaltered."""

    source: str
    event_id: str
    digest: bytes


class _Reading:
    """One message, as far as it has been read. No further step takes what is `over`: refused, for the reason that
    stands in its entries."""

    __slots__ = ("entries", "envelope", "given", "identity", "is_over", "message", "offset", "parts")
    envelope: Envelope

    def __init__(self, message: RawMessage, offset: OffsetMove | None) -> None:
        self.message = message
        self.offset = offset
        self.given = _UNREAD
        self.identity: _Identity | None = None
        self.entries: list[Entry] = []
        self.parts: tuple[Part, ...] = ()
        self.is_over = False

    def refuse(self, reason: Refused) -> None:
        self.entries = [reason]
        self.is_over = True


class Pipeline:
    """Holds no state of its own, so any number of threads may use one. `codes`: those of the deployment."""

    def __init__(self, keys: KeyRing, codes: CancerCodes | None = None) -> None:
        self._keys = keys
        self._codes = codes

    def work(self, message: RawMessage, offset: OffsetMove | None = None, replaces: bool = False) -> Work:
        """Never raises for anything in the message. `replaces`: its rejection is taken up again."""
        (work,) = self.works([(message, offset)], replaces)
        return work

    def works(self, messages: Iterable[tuple[RawMessage, OffsetMove | None]], replaces: bool = False) -> list[Work]:
        """The same of many, in their order."""
        readings = (_Reading(message, offset) for message, offset in messages)
        return [work for portion in _portions(readings) for work in self._read(portion, replaces)]

    def _read(self, portion: list[_Reading], replaces: bool) -> list[Work]:
        """Each step is taken with all of them before the next: a processor that stays within a little code needs a
        quarter less time than for one message after another."""
        for step in (_open, _check, _identify, self._translate, _attribute):
            _take(step, portion)
        return [self._work(each, replaces) for each in portion]

    def _work(self, reading: _Reading, replaces: bool) -> Work:
        message, offset = reading.message, reading.offset
        told = reading.identity or _identity(reading.given, message)
        return Work(
            source=told.source,
            key=self._keys.digest("receipt", told.source, told.event_id),
            digest=told.digest,
            parts=reading.parts,
            conclude=partial(conclude, reading.entries, message),
            raw=packed(message),
            offset=offset,
            replaces=replaces,
            aside=partial(self._aside, message, told, offset),
        )

    def _aside(self, message: RawMessage, told: _Identity, offset: OffsetMove | None, code: str) -> Work:
        """The same message under a receipt of its own, with `code` as the reason. Its content is part of the key:
        sent again, it is known."""

        def set_aside(_: list[PartOutcome]) -> Conclusion:
            refused = Refused("", "event", code, "", *ASIDE_WORDS.get(code, ASIDE_WORDS["not-storable"]))
            return conclude([refused], message, [])

        return Work(
            source=told.source,
            key=self._keys.digest("aside", code, told.source, told.event_id, told.digest.hex()),
            digest=told.digest,
            parts=(),
            conclude=set_aside,
            raw=packed(message),
            offset=offset,
        )

    def _translate(self, reading: _Reading) -> None:
        reading.entries = self._entries(reading.envelope)

    def _entries(self, read: Envelope) -> list[Entry]:
        sender = Sender(read.source, read.id, read.time, vocabulary.organisation_of(read.source), read.recorded_time)
        if read.content_type in FHIR:
            if read.type.startswith(vocabulary.PREFIX) and read.type != DOCUMENT_SENT:
                vocabulary.refuse_vague(read.type)
            return documents.translate(read.document, sender, self._codes)
        if read.content_type in HL7V2:
            raise Refusal(
                "not-supported-yet",
                "/datacontenttype",
                "HL7 v2 is not read yet; the bytes are kept and can be retried",
                "send the same as FHIR R4 or in our vocabulary",
            )
        if read.content_type != JSON:
            raise Refusal(
                "unsupported-content-type",
                "/datacontenttype",
                "nothing here reads this content type",
                "send application/json or application/fhir+json",
            )
        if read.type.startswith(vocabulary.PREFIX):
            return vocabulary.translate(read, sender)
        signal = _signal(read)
        return mns.translate(signal, sender) if mns.is_signal(signal) else vocabulary.translate(read, sender)


ASIDE_WORDS = {
    "same-id-other-content": (
        "the same source and id came before with other content",
        "send changed content under a new id",
    ),
    "not-storable": ("the database refuses to store this message", "report it to the operators of this service"),
}


def ingest(writer: Writer, pipeline: Pipeline, messages: Iterable[RawMessage]) -> list[Outcome]:
    """All in one transaction, in order. Raises WriterStopped, psycopg.Error."""
    return writer.write(pipeline.works((message, None) for message in messages))


def _portions(readings: Iterable[_Reading]) -> Iterator[list[_Reading]]:
    """A few at a time, since a decoded message takes many times the room of its bytes."""
    portion: list[_Reading] = []
    size = 0
    for each in readings:
        portion.append(each)
        size += len(each.message.value or b"")
        if len(portion) == _PORTION or size > _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    yield portion


def _take(step: Callable[[_Reading], None], readings: Iterable[_Reading]) -> None:
    for each in readings:
        if each.is_over:
            continue
        try:
            step(each)
        except Refusal as refusal:
            each.refuse(Refused("", "event", refusal.code, refusal.field, refusal.detail, refusal.action))
        except Exception:  # a fault of ours in reading one message must not stop all others: it is set aside
            log.exception("message_unreadable")
            each.refuse(_fault())


def _open(reading: _Reading) -> None:
    reading.given = opened(reading.message)


def _check(reading: _Reading) -> None:
    reading.envelope = envelope(reading.given)


def _identify(reading: _Reading) -> None:
    read = reading.envelope
    reading.identity = _Identity(read.source, read.id, read.digest())


def _attribute(reading: _Reading) -> None:
    parts = tuple(_parts(reading.envelope, reading.entries))
    if len(reading.message.value or b"") > MOST_FACTS:  # no fact takes less than a byte
        _refuse_too_many(parts)
    reading.parts = parts


def _refuse_too_many(parts: tuple[Part, ...]) -> None:
    """All of a message is recorded in one transaction, which others wait for."""
    told = [part.patient.identifiers for part in parts if isinstance(part.patient, PatientReference)]
    facts = len(set().union(*told)) + len(parts) + sum(len(part.acts) for part in parts)
    if facts > MOST_FACTS:
        raise Refusal("too-many", "", f"more than {MOST_FACTS} facts and identifiers", "send it in smaller parts")


def _signal(read: Envelope) -> dict[str, Any]:
    """The event as one JSON object, as the notification service documents it."""
    told = {"type": read.type, "subject": read.subject, "time": read.time.words(), "data": read.document}
    return {name: value for name, value in {**read.others, **told}.items() if value is not None}


def _identity(given: Given, message: RawMessage) -> _Identity:
    """Of a message whose envelope cannot be read: by its source and id if it has them, else by its content."""
    digest = _content(message)
    return _Identity(*(identity(given) or (UNIDENTIFIED, digest.hex())), digest)


def _content(message: RawMessage) -> bytes:
    return hashlib.sha256(content_type_of(message).encode() + b"\n" + (message.value or b"")).digest()


def _parts(read: Envelope, entries: list[Entry]) -> Iterator[Part]:
    of_all = provenance_of(read)
    for entry in entries:
        if isinstance(entry, Translated):
            provenance = of_all if entry.told_at is None else provenance_of(read, entry.told_at)
            acts = tuple([_act(each, provenance) for each in entry.instructions])
            yield Part(entry.patient, acts, provenance.plain, acts[0].occurred if acts else read.time)


def _act(told: Instruction, provenance: Written) -> Act:
    return Act(told.target, told.act, told.occurred, provenance.by(told.performer))


def _fault() -> Refused:
    return Refused(
        "",
        "event",
        "not-readable",
        "",
        "reading this message failed here",
        "report it to the operators of this service",
    )
