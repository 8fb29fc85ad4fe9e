"""The evidence of one patient as a zip, for whoever may read that patient; what it proves: docs/evidence-export.md."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.identity import Principal, Role
from api.problems import ApiProblem, invalid_parameter
from api.services import Services
from api.subjects import Subject, Viewing
from infra.evidence.export import EvidenceBroken
from projections.reading.evidence import Made, OlderUnknown

_WORDS_ARE_FOR = (Role.CLINICIAN, Role.AUDITOR)


class ViewingEvidence(Viewing):
    """Patients are told why they are refused: an export counts every event and names its kind, undisclosed ones too.
    Raises ApiProblem evidence-withheld too."""

    async def principal(self, request: Request, services: Services) -> Principal:
        principal = await services.identity.principal(request.headers.get("authorization"))
        if principal.role is Role.PATIENT:
            raise ApiProblem("evidence-withheld")
        return await super().principal(request, services)


EvidenceViewer = Annotated[Subject, Depends(ViewingEvidence(Role.CLINICIAN, Role.AUDITOR, Role.PRIVACY_OFFICER))]
Since = Annotated[int | None, Query(ge=0, le=2**53, description="Size of an earlier checkpoint that you hold.")]

log = structlog.get_logger(__name__)
routes = APIRouter(tags=["read"])


@routes.get(
    "/evidence", summary="All events with their proofs, as a zip to be checked offline", response_class=Response,
    responses={200: {"content": {"application/zip": {}}, "description": "A zip; README.md in it says what it proves."}},
)  # fmt: skip
def evidence(subject: EvidenceViewer, since: Since = None) -> Response:
    made = _made(subject, since)
    if subject.at_least is not None and made.size < subject.at_least:
        raise ApiProblem("behind")
    headers = {
        "Cache-Control": "no-store",
        "Vary": "Authorization",
        "Content-Disposition": f'attachment; filename="evidence-{made.size}.zip"',
        "X-Position": str(made.size),
        "X-Log-Position": str(made.head),
    }
    return Response(made.content, headers=headers, media_type="application/zip")


def _made(subject: Subject, since: int | None) -> Made:
    """Raises Refused, NotYetSealed, EvidenceBroken, ApiProblem invalid-request."""
    with_words = subject.principal.role in _WORDS_ARE_FOR
    try:
        return subject.services.exports.export(subject.patient_id, subject.reader, since, with_words=with_words)
    except OlderUnknown:
        raise invalid_parameter("since", "is not the size of a checkpoint that this log signed") from None
    except EvidenceBroken:
        log.critical("evidence_broken")  # where: `python -m infra verify`
        raise
