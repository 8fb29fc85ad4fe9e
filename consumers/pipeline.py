"""From one message, whichever way it came, to one work for the writer; and from what became of it to the answer."""

import hashlib
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import orjson
import structlog

from consumers import fhir, mns, vocabulary
from consumers.answers import Facing, conclude
from consumers.envelope import DOCUMENT_SENT, Envelope, Given, envelope, identity, opened
from consumers.messages import JSON, RawMessage, content_type_of, packed
from consumers.translation import Entry, Refusal, Refused, Sender, Translated
from domain.cancer_codes import CancerCodes
from domain.facts import Agent
from infra.keys import KeyRing
from infra.writing.work import Act, Conclusion, OffsetMove, Outcome, Part, PartOutcome, Work
from infra.writing.writer import Writer

log = structlog.get_logger(__name__)

FHIR = ("application/fhir+json", "application/json+fhir")
HL7V2 = ("application/hl7-v2+er7", "x-application/hl7-v2+er7")
UNIDENTIFIED = "unidentified"


class _Identity(NamedTuple):
    """What makes the receipt: the same source and id are the same message, the digest says whether it is unaltered."""

    source: str
    event_id: str
    digest: bytes


class Pipeline:
    """Holds no state of its own, so any number of threads may use one. `codes`: those of the deployment."""

    def __init__(self, keys: KeyRing, codes: CancerCodes | None = None) -> None:
        self._keys = keys
        self._codes = codes

    def work(self, message: RawMessage, offset: OffsetMove | None = None, replaces: bool = False) -> Work:
        """Never raises for anything in the message. `replaces`: its rejection is taken up again."""
        given: Given | None = None
        told: _Identity | None = None
        parts: tuple[Part, ...] = ()
        try:
            given = opened(message)
            read = envelope(given)
            told = _Identity(read.source, read.id, read.digest())
            entries = self._entries(read)
            parts = tuple(_parts(read, entries))
        except Refusal as refusal:
            entries = [Refused("", "event", refusal.code, refusal.field, refusal.detail, refusal.action)]
        except Exception:  # a fault of ours in reading one message must not stop all others: it is set aside
            log.exception("message_unreadable")
            entries = [_fault()]
        return self._work(message, told or _identity(given, message), entries, parts, offset, replaces)

    def _work(
        self,
        message: RawMessage,
        told: _Identity,
        entries: list[Entry],
        parts: tuple[Part, ...],
        offset: OffsetMove | None,
        replaces: bool,
    ) -> Work:
        facing = Facing(message.coordinates, content_type_of(message) or None)
        return Work(
            source=told.source,
            key=self._keys.digest("receipt", told.source, told.event_id),
            digest=told.digest,
            parts=parts,
            conclude=partial(conclude, entries, facing),
            raw=packed(message),
            offset=offset,
            replaces=replaces,
            aside=partial(self._aside, message, told, facing, offset),
        )

    def _aside(
        self, message: RawMessage, told: _Identity, facing: Facing, offset: OffsetMove | None, code: str
    ) -> Work:
        """The same message under a receipt of its own, with `code` as the reason. Its content is part of the key:
        sent again, it is known."""

        def set_aside(_: list[PartOutcome]) -> Conclusion:
            refused = Refused("", "event", code, "", *ASIDE_WORDS.get(code, ASIDE_WORDS["not-storable"]))
            return conclude([refused], facing, [])

        return Work(
            source=told.source,
            key=self._keys.digest("aside", code, told.source, told.event_id, told.digest.hex()),
            digest=told.digest,
            parts=(),
            conclude=set_aside,
            raw=packed(message),
            offset=offset,
        )

    def _entries(self, read: Envelope) -> list[Entry]:
        sender = Sender(read.source, read.id, read.time, vocabulary.organisation_of(read.source))
        if read.content_type in FHIR:
            if read.type.startswith(vocabulary.PREFIX) and read.type != DOCUMENT_SENT:
                vocabulary.refuse_vague(read.type)
            return fhir.translate(read.document, sender, self._codes)
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
    return writer.write([pipeline.work(message) for message in messages])


def _signal(read: Envelope) -> dict[str, Any]:
    """The event as one JSON object, as the notification service documents it."""
    told = {"type": read.type, "subject": read.subject, "time": read.time.words(), "data": read.document}
    return {name: value for name, value in {**read.others, **told}.items() if value is not None}


def _identity(given: Given | None, message: RawMessage) -> _Identity:
    """Of a message whose envelope cannot be read: by its source and id if it has them, else by its content."""
    digest = _content(message)
    named = identity(given) if given else None
    return _Identity(*(named or (UNIDENTIFIED, digest.hex())), digest)


def _content(message: RawMessage) -> bytes:
    return hashlib.sha256(content_type_of(message).encode() + b"\n" + (message.value or b"")).digest()


def _parts(read: Envelope, entries: list[Entry]) -> Iterable[Part]:
    """Provenance is written once for a message, and once more for each performer in it."""
    written: dict[Agent | None, bytes] = {}
    for entry in entries:
        if not isinstance(entry, Translated):
            continue
        acts = tuple(
            Act(each.target, each.act, each.occurred, _provenance(read, each.performer, written))
            for each in entry.instructions
        )
        occurred = acts[0].occurred if acts else read.time
        yield Part(entry.patient, acts, _provenance(read, None, written), occurred)


def _provenance(read: Envelope, performer: Agent | None, written: dict[Agent | None, bytes]) -> bytes:
    """JSON of domain.facts.Provenance."""
    found = written.get(performer)
    if found is not None:
        return found
    told = {
        "source": read.source,
        "source_event_id": read.id,
        "performer": performer.model_dump(exclude_none=True) if performer else None,
        "organisation": vocabulary.organisation_of(read.source),
        "recorded_at_source": read.recorded_time.at if read.recorded_time else None,
        "correlation_id": _trace(read),
    }
    written[performer] = orjson.dumps({name: value for name, value in told.items() if value is not None})
    return written[performer]


def _trace(read: Envelope) -> str | None:
    """The trace id of W3C Trace Context, the second field of `traceparent`."""
    if "traceparent" not in read.others:
        return None
    parts = str(read.others["traceparent"]).split("-")
    return parts[1] if len(parts) == 4 and len(parts[1]) == 32 else None


def _fault() -> Refused:
    return Refused(
        "",
        "event",
        "not-readable",
        "",
        "reading this message failed here",
        "report it to the operators of this service",
    )
