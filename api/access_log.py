"""Who read or changed what of one patient: patients see roles and organisations, reviewers the persons too."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.answers import json_response
from api.cursors import Cursors, link_to_next
from api.documents import wait_for
from api.subjects import AccessViewer
from projections.folds.folding import NOT_RECORDED, Document
from projections.past.moments import Audience
from projections.reading.accesses import Access

_NEWEST = 2**62

routes = APIRouter(tags=["read"])


@routes.get("/accesses", summary="Who read or changed what of this patient, newest first")
async def accesses(
    subject: AccessViewer,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    services = subject.services
    cursors = Cursors(
        services.keys, (await services.epoch.current(), "accesses", str(subject.patient_id), subject.audience)
    )
    before = cursors.place(cursor, _NEWEST)
    await wait_for(subject, None)
    rows = await services.accesses.of(subject.patient_id, subject.reader, before, limit + 1)
    page: Document = {"accesses": [told(row, subject.audience) for row in rows[:limit]]}
    headers = {}
    if len(rows) > limit:
        page["next"] = cursors.cursor(rows[limit - 1].access_id)
        headers = link_to_next(f"{subject.base}/accesses", {"limit": limit}, page["next"])
    return json_response(page, headers=headers)


def told(row: Access, audience: Audience) -> Document:
    open_to_all = {
        "at": row.at.isoformat(),
        "role": row.role,
        "organisation": row.organisation or NOT_RECORDED,
        "purpose": row.purpose,
        "outcome": row.outcome,
    }
    if audience is Audience.PATIENT:
        return open_to_all  # what was read would say what there is to read
    return open_to_all | {"actor": row.actor, "what": row.projection or NOT_RECORDED}
