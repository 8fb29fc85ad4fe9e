"""The AsyncAPI 3.1 document of the inbound topic, made from the vocabulary: one message for each type."""

from typing import Any

from consumers.envelope import DOCUMENT_SENT
from consumers.schemas import schemas
from consumers.vocabulary import PREFIX
from infra.topics import MAX_MESSAGE_BYTES

_ATTRIBUTES = {
    "ce_specversion": {"type": "string", "const": "1.0"},
    "ce_id": {"type": "string", "minLength": 1, "maxLength": 300},
    "ce_source": {
        "type": "string",
        "format": "uri-reference",
        "maxLength": 300,
        "examples": ["/nhs/england/RXX/pas/prod"],
    },
    "ce_type": {"type": "string"},
    "ce_time": {"type": "string", "format": "date-time", "description": "When it happened."},
    "ce_recordedtime": {"type": "string", "format": "date-time", "description": "When the source recorded it."},
    "ce_subject": {"type": "string", "description": "A path without patient data."},
    "ce_dataschema": {"type": "string", "format": "uri-reference"},
    "ce_traceparent": {"type": "string"},
    "content-type": {"type": "string"},
}
_REQUIRED = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"]


def asyncapi(topic: str) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    messages = {stored: _message(stored, schema, parts) for stored, schema in schemas().items()}
    messages["fhir-document"] = _document()
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Personalised Cancer Plan: events in",
            "version": "1.0.0",
            "description": "What hospital systems tell of a patient's care, as CloudEvents 1.0 in binary or "
            "structured mode. The same events are taken over HTTP at POST /v1/events.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {"care-events": _channel(topic, messages)},
        "operations": {"receiveCareEvents": {"action": "receive", "channel": {"$ref": "#/channels/care-events"}}},
        "components": {
            "messages": messages,
            "messageTraits": {"cloudevent": {"headers": _headers()}},
            "schemas": parts,
        },
    }


def _channel(topic: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": f"Messages up to {MAX_MESSAGE_BYTES} bytes. Any record key: events of one patient under one "
        "key arrive in order, though order is not needed.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"topic": topic, "topicConfiguration": {"cleanup.policy": ["delete"]}}},
    }


def _headers() -> dict[str, Any]:
    return {"type": "object", "required": _REQUIRED, "properties": _ATTRIBUTES}


def _message(stored: str, schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """Definitions that schemas share are lifted into the document's own; `parts` collects them."""
    body = {name: value for name, value in schema.items() if name not in ("$schema", "$id", "$defs")}
    for name, part in schema["$defs"].items():
        parts[name] = _lifted(part)
    return {
        "name": PREFIX + stored,
        "title": stored,
        "summary": schema["description"],
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": _lifted(body),
    }


def _document() -> dict[str, Any]:
    return {
        "name": DOCUMENT_SENT,
        "title": "A FHIR R4 resource or Bundle",
        "contentType": "application/fhir+json",
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": {"type": "object", "required": ["resourceType"]},
    }


def _lifted(part: Any) -> Any:
    if isinstance(part, list):
        return [_lifted(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: value.replace("#/$defs/", "#/components/schemas/") if name == "$ref" else _lifted(value)
        for name, value in part.items()
    }
