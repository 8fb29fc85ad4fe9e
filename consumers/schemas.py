"""The published JSON Schemas (2020-12) of our vocabulary: one for each type and version, closed for producers."""

from typing import Any

from consumers.vocabulary import report_of, vocabulary
from domain.evolution import Retired, stored_class

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(stored: str) -> dict[str, Any]:
    """The schema of a report's data, by the fact's stored name. Raises KeyError for a name outside the vocabulary."""
    report = report_of(stored)
    body = _closed(report.model_json_schema(mode="validation"))
    body["title"] = stored
    body["description"] = report.model_fields["fact"].annotation.__doc__ or stored
    if issubclass(stored_class(stored), Retired):
        body["deprecated"] = True
    body["$defs"]["Person"]["anyOf"] = [{"required": ["nhs_number"]}, {"required": ["identifiers"]}]
    return {"$schema": DIALECT, "$id": path(stored), **body}


def path(stored: str) -> str:
    """Where this service publishes the schema; `dataschema` ends with it."""
    return f"/schemas/{stored}.json"


def schemas() -> dict[str, dict[str, Any]]:
    return {stored: schema(stored) for stored in vocabulary()}


def _closed(part: Any) -> Any:
    """Every object refuses members that it does not name, so that a producer finds a misspelt one."""
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(value) for name, value in part.items() if name != "title" or not isinstance(value, str)}
    if closed.get("type") == "object" and "properties" in closed:
        closed["additionalProperties"] = False
    return closed
