"""CloudEvents 1.0 as Kafka and HTTP carry them, read strictly: nothing that a sender left out is invented.

Binary mode is told by `ce_` headers (`ce-` over HTTP), structured mode by its content type alone, as the bindings
define them. Every refusal has a stable code (docs/ingest.md) and repeats no value of the message.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from consumers.messages import (
    JSON,
    STRUCTURED,
    RawMessage,
    canonical,
    content_type_of,
    decoded,
    is_json,
    media_type,
    refuse_size,
)
from consumers.translation import Refusal
from domain import times
from domain.identity import is_valid_nhs_number
from domain.times import Occurred

# A document such as a FHIR Bundle has its own dates: when it was sent adds nothing to what it says.
DOCUMENT_SENT = "uk.nhs.cancerplan.document.sent.v1"

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")
_EARLIEST_YEAR = 1800  # below it, arithmetic on time zones leaves the calendar
_LONGEST = 300
_KNOWN = frozenset(("specversion", "id", "source", "type", "time", "subject", "dataschema", "recordedtime"))
_DATA = frozenset(("data", "data_base64"))


class Given(NamedTuple):
    """What a message says of itself, unchecked: attributes by name, and its data as bytes or as decoded JSON."""

    attributes: dict[str, Any]
    content_type: str
    data: bytes | None
    document: Any = None
    is_structured: bool = False


class Envelope(NamedTuple):
    """`data` is the payload, as canonical JSON where it is JSON; `document` is then the same decoded, else None."""

    source: str
    id: str
    type: str
    time: Occurred
    recorded_time: Occurred | None
    content_type: str
    dataschema: str | None
    subject: str | None
    others: Mapping[str, Any]
    data: bytes
    document: Any

    def digest(self) -> bytes:
        """Equal for the same message, in whichever mode and with whatever trace headers it is sent again."""
        time = "" if self.type == DOCUMENT_SENT else self.time.at.isoformat()
        told = f"{self.type}\n{time}\n{self.subject or ''}\n{self.dataschema or ''}\n{self.content_type}\n"
        return hashlib.sha256(told.encode() + self.data).digest()


def opened(message: RawMessage) -> Given:
    """Raises Refusal where there is no CloudEvent at all."""
    content_type = content_type_of(message)
    if content_type == STRUCTURED:
        return _structured(decoded(message.value))
    attributes: dict[str, Any] = {}
    try:
        for name, value in message.headers:
            attribute = _attribute(name)
            if attribute is None:
                continue
            if attribute in attributes:
                raise Refusal(
                    "repeated-attribute", "", "a CloudEvents attribute came twice", "send each attribute once"
                )
            attributes[attribute] = (value or b"").decode()
    except UnicodeDecodeError:
        raise Refusal("not-utf8", "", "a header is not UTF-8", "send headers as UTF-8") from None
    if not attributes:
        raise Refusal(
            "not-a-cloudevent", "", "no CloudEvents attribute came with it", "send ce_ headers or structured mode"
        )
    return Given(attributes, content_type or JSON, message.value)


@lru_cache(1_000)
def _attribute(header: str) -> str | None:
    """The attribute that a header carries, in binary mode."""
    lowered = header.lower()
    return lowered[3:] if lowered.startswith("ce_") else None


def _structured(event: Any) -> Given:
    if not isinstance(event, dict):
        raise Refusal("not-a-cloudevent", "", "the message is not a JSON object", "send one CloudEvent a message")
    attributes = {name: value for name, value in event.items() if name not in _DATA and value is not None}
    told = attributes.pop("datacontenttype", JSON)
    content_type = media_type(told) if isinstance(told, str) else ""
    if "data_base64" in event:
        return Given(attributes, content_type, _from_base64(event["data_base64"]))
    data = event.get("data")
    if isinstance(data, str) and not is_json(content_type):
        return Given(attributes, content_type, data.encode())
    return Given(attributes, content_type, None, data, is_structured=True)


def _from_base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Refusal("invalid-data", "/data_base64", "not base64", "send base64 or plain data") from None


def identity(given: Given) -> tuple[str, str] | None:
    """Source and id, where both can be used to tell this message from every other one."""
    source, event_id = given.attributes.get("source"), given.attributes.get("id")
    if isinstance(source, str) and isinstance(event_id, str) and _is_word(source) and _is_word(event_id):
        return (source, event_id) if " " not in source and not _tells_a_number(source) else None
    return None


@lru_cache(1_000)
def _tells_a_number(source: str) -> bool:
    """Whether an NHS number stands in it: sources are kept in clear."""
    return any(is_valid_nhs_number(digits) for digits in re.findall(r"(?<!\d)\d{10}(?!\d)", source))


def envelope(given: Given) -> Envelope:
    """Raises Refusal for the first rule of the profile that the message breaks."""
    told = given.attributes
    if _required(told, "specversion") != "1.0":
        raise Refusal("unsupported-specversion", "/specversion", "not CloudEvents 1.0", "send specversion 1.0")
    event_id, source, kind = _required(told, "id"), _required(told, "source"), _required(told, "type")
    if " " in source:
        raise _invalid("source", "a URI without blanks")
    if _tells_a_number(source):
        raise _invalid("source", "a URI that names the sending system and no patient")
    time = _instant(told, "time")
    if time is None:
        raise _missing("time")
    data, document = _payload(given)
    recorded_time = _instant(told, "recordedtime")
    dataschema, subject = _word(told, "dataschema"), _word(told, "subject")
    others = {} if told.keys() <= _KNOWN else {name: told[name] for name in told if name not in _KNOWN}
    kept = given.content_type
    return Envelope(source, event_id, kind, time, recorded_time, kept, dataschema, subject, others, data, document)


def _payload(given: Given) -> tuple[bytes, Any]:
    if not is_json(given.content_type):
        refuse_size(given.data)
        return given.data or b"", None
    document = given.document if given.is_structured else decoded(given.data)
    return canonical(document), document


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable() and not value.isspace()


def _word(told: Mapping[str, Any], name: str) -> str | None:
    value: Any = told.get(name)
    if value is None or value == "":
        return None
    if _is_word(value):
        return str(value)
    raise _invalid(name, f"1 to {_LONGEST} printable characters")


def _required(told: Mapping[str, Any], name: str) -> str:
    value = _word(told, name)
    if value is None:
        raise _missing(name)
    return value


def _instant(told: Mapping[str, Any], name: str) -> Occurred | None:
    value = _word(told, name)
    if value is None:
        return None
    try:
        return _moment(value)
    except (ValueError, OverflowError):
        raise _invalid(name, "an instant of RFC 3339 with its offset, such as 2026-03-01T09:30:00Z") from None


@lru_cache(2_000)
def _moment(words: str) -> Occurred:
    """Systems record many things at once, so the same instants come again."""
    if not _INSTANT.fullmatch(words):
        raise ValueError("not an instant of RFC 3339")
    moment = times.at(datetime.fromisoformat(words.upper()))
    if moment.at.year < _EARLIEST_YEAR:
        raise ValueError("before any living person's record")
    return moment


def _missing(name: str) -> Refusal:
    return Refusal(f"missing-{name}", f"/{name}", f"the attribute {name} is absent", f"send {name}")


def _invalid(name: str, expected: str) -> Refusal:
    return Refusal(f"invalid-{name}", f"/{name}", f"the attribute {name} is not {expected}", f"send {name} so")
