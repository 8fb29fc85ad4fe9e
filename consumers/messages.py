"""Messages as they come and as they are kept: the headers and bytes of one Kafka record or one HTTP request.

JSON is read once, here, with bounds on its size and depth; a refusal has a stable code and repeats no value.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from consumers.translation import Refusal
from infra.topics import MAX_MESSAGE_BYTES

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
JSON = "application/json"
# RFC 6838, section 4.2.
_MEDIA_TYPE = re.compile(
    r"(application|audio|example|font|haptics|image|message|model|multipart|text|video|x-[a-z]{1,20})/"
    r"[a-z0-9][a-z0-9!#$&^_.+-]{0,99}"
)
_NUMBER = re.compile(r"[0-9]{5}")


class RawMessage(NamedTuple):
    """One message as it came: headers under their Kafka names (`ce_id`), HTTP's percent-encoding undone. In Kafka a
    header may have no value."""

    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None
    coordinates: str


def http_messages(headers: Mapping[str, str], body: bytes) -> list[RawMessage]:
    """The CloudEvents of one HTTP request: one in binary or structured mode, or each of a batch.

    A batch that cannot be read is one message, which the pipeline refuses with the reason.
    """
    told = {name.lower(): value for name, value in headers.items()}
    if media_type(told.get("content-type", "")) == BATCH:
        return _batch(body)
    kept = tuple(
        (f"ce_{name[3:]}", _unescaped(value).encode()) if name.startswith("ce-") else (name, value.encode())
        for name, value in told.items()
        if name.startswith("ce-") or name == "content-type"
    )
    return [RawMessage(kept, body, "http")]


def _batch(body: bytes) -> list[RawMessage]:
    whole = RawMessage((("content-type", BATCH.encode()),), body, "http")
    try:
        events = decoded(body)
        canonical(events)
    except Refusal:
        return [whole]
    if not isinstance(events, list):
        return [whole]
    structured = (("content-type", STRUCTURED.encode()),)
    return [RawMessage(structured, orjson.dumps(each), f"http/{place}") for place, each in enumerate(events)]


def _unescaped(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return unquote(value[1:-1].replace('\\"', '"') if quoted else value)


def packed(message: RawMessage) -> bytes:
    """A message as one string of bytes, to be kept and taken up again: a line of JSON, then the value."""
    headers = [(name, None if value is None else value.decode("latin-1")) for name, value in message.headers]
    return orjson.dumps([headers, message.value is None]) + b"\n" + (message.value or b"")


def unpacked(kept: bytes, coordinates: str) -> RawMessage:
    line, _, value = kept.partition(b"\n")
    headers, is_null = orjson.loads(line)
    return RawMessage(
        tuple((name, None if text is None else text.encode("latin-1")) for name, text in headers),
        None if is_null else value,
        coordinates,
    )


def content_type_of(message: RawMessage) -> str:
    """The media type without parameters, in lower case; empty where the message does not tell it."""
    told = dict(message.headers).get("content-type")
    if told is None:
        named = (value for name, value in message.headers if name.lower() == "content-type" and value is not None)
        told = next(named, b"")
    return media_type(told.decode("latin-1"))


def told_content_type(message: RawMessage) -> str | None:
    """The media type where it may be kept in clear and shown: a header may hold anything, a person's number too."""
    told = content_type_of(message)
    return told if _MEDIA_TYPE.fullmatch(told) and not _NUMBER.search(told) else None


def with_prefix(attributes: Iterable[tuple[str, str]], content_type: str) -> tuple[tuple[str, bytes], ...]:
    """Headers of a message in binary mode."""
    headers = [("content-type", content_type.encode())]
    headers.extend((f"ce_{name}", value.encode()) for name, value in attributes)
    return tuple(headers)


def decoded(value: bytes | None) -> Any:
    """Raises Refusal for null, too large, not UTF-8, too deep or no JSON."""
    if value is None:
        raise Refusal(
            "null-value", "", "the message has no value; a null value erases nothing here", "send the event's data"
        )
    refuse_size(value)
    try:
        return orjson.loads(value.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        raise _unreadable(value, error) from None


def refuse_size(value: bytes | None) -> None:
    if value is not None and len(value) > MAX_MESSAGE_BYTES:
        raise Refusal("too-large", "", f"more than {MAX_MESSAGE_BYTES} bytes", "send it in smaller parts")


def _unreadable(value: bytes, error: orjson.JSONDecodeError) -> Refusal:
    if "depth" in error.msg:
        return _too_deep()
    try:
        value.decode()
    except UnicodeDecodeError:
        return Refusal("not-utf8", "", "the message is not UTF-8", "send JSON in UTF-8")
    where = f"line {error.lineno}, column {error.colno}"
    return Refusal("invalid-json", "", f"not JSON at {where}", "send JSON that a parser accepts")


def canonical(document: Any) -> bytes:
    """Sorted and without blanks. Raises Refusal where it is nested deeper than any real message (254 levels)."""
    try:
        written = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise _too_deep() from None
    if b"\\u0000" in written and _holds_nul(document):
        raise Refusal("invalid-text", "", "a text holds the character NUL", "send text without control characters")
    return written


def _holds_nul(document: Any) -> bool:
    match document:
        case str():
            return "\0" in document
        case list():
            return any(map(_holds_nul, document))
        case dict():
            return any("\0" in name or _holds_nul(value) for name, value in document.items())
        case _:
            return False


def _too_deep() -> Refusal:
    return Refusal("too-deep", "", "nested deeper than any real message", "send data with fewer levels")


def is_json(content_type: str) -> bool:
    return content_type == JSON or content_type.endswith("+json")


@lru_cache(1_000)
def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
