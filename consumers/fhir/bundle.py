"""From one decoded FHIR document to its resources: Bundles of any type, arrays, Parameters, or a resource alone."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from consumers.fhir.message import Resource
from consumers.fhir.parameters import answered
from consumers.fhir.reading import Reading
from consumers.translation import Refusal, Refused

_DEPTH = 3
_NAME_LENGTH = 64

Part: TypeAlias = Resource | Refused


def parts(document: Any) -> list[Part]:
    """Each resource once, in the order of the document; what cannot be a resource is refused at its place."""
    return list(_walk(Reading(document), _DEPTH))


def refused(place: str, kind: str, refusal: Refusal) -> Refused:
    return Refused(place, kind, refusal.code, refusal.field, refusal.detail, refusal.action)


def _walk(place: Reading, depth: int, full_url: str | None = None) -> Iterable[Part]:
    try:
        yield from _resources(place, depth, full_url)
    except Refusal as refusal:
        yield refused(place.pointer, "unknown", refusal)


def _resources(place: Reading, depth: int, full_url: str | None) -> Iterable[Part]:
    if isinstance(place.value, list):
        yield from _array(place, depth)
        return
    if _is_patch(place.value):
        raise _patch(place)
    if not isinstance(place.value, dict):
        raise place.refusal("not-fhir", "neither an object nor an array", "send a FHIR resource as JSON")
    kind = place.get("resourceType").text(_NAME_LENGTH)
    if kind is None:
        raise place.get("resourceType").refusal(
            "no-resource-type", "the object does not say which resource it is", "send FHIR JSON with its resourceType"
        )
    if kind == "Bundle":
        yield from _bundle(place, depth)
        return
    resource = Resource(place, kind, place.get("id").key() or _end(full_url), full_url)
    inner = answered(resource) if kind == "Parameters" else []
    if inner:
        for each in inner:
            yield from _walk(each, depth - 1)
    else:
        yield resource


def _bundle(place: Reading, depth: int) -> Iterable[Part]:
    if depth == 0:
        raise place.refusal("nested-too-deep", "Bundles inside Bundles inside Bundles", "send the inner ones alone")
    entries = place.get("entry").items()
    if not entries:
        raise place.get("entry").refusal("empty-bundle", "the Bundle holds no entry", "send a Bundle with resources")
    for entry in entries:
        yield from _entry(entry, depth)


def _entry(entry: Reading, depth: int) -> Iterable[Part]:
    """A bundle entry, or a resource that stands where its entry should: some servers leave the wrapper out."""
    if not isinstance(entry.value, dict) or "resourceType" in entry.value:
        yield from _walk(entry, depth - 1)
        return
    try:
        full_url = entry.get("fullUrl").key()
        deleted = entry.get("request", "method").text() == "DELETE"
        inner = entry.get("resource")
        if not inner:
            raise _no_resource(inner, deleted)
    except Refusal as refusal:
        yield refused(entry.pointer, "unknown", refusal)
        return
    yield from _walk(inner, depth - 1, full_url)


def _no_resource(inner: Reading, deleted: bool) -> Refusal:
    if deleted:
        return inner.refusal(
            "deletion",
            "an entry that deletes at the source; the log forgets nothing",
            "send the resource with the status entered-in-error",
        )
    return inner.refusal("no-resource", "the entry holds no resource", "send the entry with its resource")


def _array(place: Reading, depth: int) -> Iterable[Part]:
    """Resources, or entries of a bundle, in an array without a Bundle around them."""
    if depth == 0:
        raise place.refusal("nested-too-deep", "arrays inside arrays", "send the resources in one array")
    rows = place.items()
    if not rows:
        raise place.refusal("empty-bundle", "the array holds nothing", "send at least one resource")
    if _is_patch(rows[0].value):
        raise _patch(place)
    for row in rows:
        yield from _entry(row, depth) if _is_entry(row.value) else _walk(row, depth - 1)


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and "resourceType" not in value and isinstance(value.get("resource"), dict)


def _is_patch(value: Any) -> bool:
    """A JSON Patch operation, or the object in which the Personal Demographics Service wraps them."""
    if not isinstance(value, dict) or "resourceType" in value:
        return False
    return "patches" in value or ("op" in value and "path" in value)


def _patch(place: Reading) -> Refusal:
    return place.refusal(
        "patch-not-a-resource",
        "a patch changes a resource that is not in the message, and does not say whose it is",
        "send the whole resource as it stands after the change",
    )


def _end(full_url: str | None) -> str | None:
    """The last part of an address, which is the id of the resource there."""
    if full_url is None:
        return None
    tail = full_url.split("/_history/", 1)[0].split("?", 1)[0].rstrip("/")
    return tail.rsplit("/", 1)[-1].rsplit(":", 1)[-1] or None
