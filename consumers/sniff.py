"""What kind of message a file holds, told from its bytes: for senders who publish files as they are."""

import json
from typing import Any

from consumers.translation import Refused

CLOUDEVENTS = "application/cloudevents+json"
CLOUDEVENT_LINES = "application/x-ndjson"
FHIR = "application/fhir+json"
HL7V2 = "application/hl7-v2+er7"
UNKNOWN = "application/octet-stream"
CSV = "text/csv"

_HL7_STARTS = (b"MSH|", b"\x0bMSH|", b"FHS|", b"BHS|")


class InvalidJson(ValueError):
    """The text begins like JSON and is none. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__(f"not valid JSON at line {line}, column {column}")
        self.line, self.column = line, column


def sniff(raw: bytes, name: str) -> tuple[str, Any]:
    """The content type, and the decoded document where it is one JSON document (a list for lines of CloudEvents).

    Any JSON that is no CloudEvent counts as FHIR: its translator says what is wrong with it. Raises InvalidJson.
    """
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(_HL7_STARTS):
        return HL7V2, None
    if not start.startswith((b"{", b"[")):
        return (CSV if name.casefold().endswith(".csv") else UNKNOWN), None
    events = _lines(start)
    if events:
        return CLOUDEVENT_LINES, events
    document = _decode(start)
    return (CLOUDEVENTS if _is_event(document) else FHIR), document


def unsupported(content_type: str) -> Refused:
    """For a message of a content type that nothing here reads."""
    if content_type == HL7V2:
        code, detail = "not-supported-yet", "HL7 v2 is not read yet"
    elif content_type == CSV:
        code, detail = "unsupported-content-type", "a table, whose columns have no agreed meaning"
    else:
        code, detail = "unsupported-content-type", "neither CloudEvents nor FHIR JSON"
    action = "send CloudEvents or FHIR JSON with its content type"
    return Refused("", "document", code, "/datacontenttype", detail, action)


def not_json(error: InvalidJson) -> Refused:
    return Refused(
        pointer="",
        kind="document",
        code="invalid-json",
        field="",
        detail=str(error),
        action="send JSON that a JSON parser accepts, in UTF-8",
    )


def _lines(text: bytes) -> list[Any]:
    """The CloudEvents of JSON lines; empty where the text is anything else."""
    rows = [row for row in text.splitlines() if row.strip()]
    if len(rows) < 2:
        return []
    try:
        events = [json.loads(row) for row in rows]
    except (ValueError, RecursionError):
        return []
    return events if all(_is_event(event) for event in events) else []


def _is_event(document: Any) -> bool:
    return isinstance(document, dict) and "specversion" in document


def _decode(text: bytes) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidJson(error.lineno, error.colno) from None
    except UnicodeDecodeError as error:
        before = text[: error.start]
        raise InvalidJson(before.count(b"\n") + 1, error.start - before.rfind(b"\n")) from None
    except RecursionError:
        raise InvalidJson(1, 1) from None
