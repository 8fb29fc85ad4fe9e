"""What waits for a person to decide: records of which a source says that they are of one human being."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import json_response
from api.services import Services, Shared
from api.subjects import KeeperOfAll
from domain.linking import LinkKind
from domain.patient import Identifier
from projections.folds.folding import Document
from projections.folds.patient_index import PATIENT_INDEX
from projections.reading.reads import Reader, Refused

_MOST = 100

routes = APIRouter(tags=["correct"], prefix="/v1/worklists")


@routes.get("/links", summary="Records that a source says are of the same person, until they are joined")
async def links(reader: KeeperOfAll, services: Shared) -> Response:
    """Another record that is not known here has no preview: nothing has come of it yet. A statement that is wrong is
    marked in error, like any event."""
    people = await services.reading.to_be_joined(_MOST)
    if not people:
        await services.accesses.note(reader, "links", "read")
    told = [each for patient_id in people for each in await _of(services, reader, patient_id)]
    return json_response({"links": told, "is_whole": len(people) < _MOST})


async def _of(services: Services, reader: Reader, patient_id: UUID) -> list[dict[str, Any]]:
    try:
        served = await services.reading.document(PATIENT_INDEX, patient_id, reader)
    except Refused:
        return []
    if served.standing.held_back_since is not None:
        return [{"patient_id": str(patient_id), "held_back_since": served.standing.held_back_since}]
    reported = (served.document or {}).get("reported_links", [])  # an older version, being built anew, has none
    return [_told(patient_id, each, await _other(services, each)) for each in reported]


async def _other(services: Services, link: Document) -> UUID | None:
    for each in link["identifiers"]:
        digest = services.keys.identifier_digest(Identifier.model_validate(each))
        found = await services.reading.by_identifier(digest)
        if found is not None:
            return found
    return None


def _told(patient_id: UUID, link: Document, other: UUID | None) -> dict[str, Any]:
    """`preview` is that of a merge as the source means it."""
    survivor, retired = (other, patient_id) if link["kind"] == LinkKind.REPLACED_BY else (patient_id, other)
    return {
        "patient_id": str(patient_id),
        "kind": link["kind"],
        "other": None if other is None else str(other),
        "occurred": link["occurred"],
        "because": link["because"],
        "preview": None if other is None else f"/v1/patients/{survivor}/merges/preview?patient={retired}",
    }
