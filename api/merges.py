"""Two records of one person: what joining them would do, joining them, and parting them again."""

from collections.abc import Callable
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from api.access_log import told
from api.answers import computed, json_response, respond
from api.commands import Asked, submit
from api.corrections import Reason, Why
from api.problems import ApiProblem
from api.subjects import ByKeeper, Intent, Keeper, Subject
from domain.facts import PATIENT, Command, Recorded
from domain.merging import MergeInto, ReceiveMerge, ReleaseMerge, UnmergeFrom
from projections.reading.merging import preview

routes = APIRouter(tags=["correct"], prefix="/merges")


class Retired(Reason):
    """The record that becomes part of the one in the path."""

    patient: UUID
    reason: Why


@routes.get("/preview", summary="What joining another record to this one would bring together, and where they differ")
async def previewed(subject: Keeper, patient: UUID) -> Response:
    ours, head = await _history(subject, subject.patient_id)
    theirs, _ = await _history(subject, patient)
    if subject.patient_id is None or patient == subject.patient_id:
        raise ApiProblem("not-allowed", "a record is not merged into itself")
    return respond(subject.request, computed(preview(ours, theirs), head, head, "merge-preview"))


@routes.post("", status_code=201, summary="Join another record to this one; it can be undone")
async def merge(intent: ByKeeper, body: Retired) -> Response:
    receive = ReceiveMerge(patient=body.patient, reason=body.reason)
    return await _both(intent, body.patient, body, receive, lambda ours: MergeInto(survivor=ours, reason=body.reason))


@routes.get("/{patient}/accesses", summary="What was read and done while that record was part of this one")
async def accesses_while_merged(subject: Keeper, patient: UUID) -> Response:
    rows = await subject.services.accesses.while_merged(subject.patient_id, patient, subject.reader)
    return json_response({"accesses": [told(row, subject.audience) for row in rows]})


@routes.post("/{patient}/reversal", status_code=201, summary="Part a joined record from this one again")
async def unmerge(intent: ByKeeper, patient: UUID, body: Reason) -> Response:
    release = ReleaseMerge(patient=patient, reason=body.reason)
    return await _both(intent, patient, body, release, lambda ours: UnmergeFrom(survivor=ours, reason=body.reason))


async def _history(subject: Subject, patient_id: UUID | None) -> tuple[list[Recorded], int]:
    return await subject.services.reading.history(patient_id, subject.reader, "merge-preview")


async def _both(
    intent: Intent, patient: UUID, body: Reason, here: Command, there: Callable[[UUID], Command]
) -> Response:
    """One command for each record, recorded together or not at all. Raises Refused where either is not there."""
    subject = intent.subject
    for each in (subject.patient_id, patient):
        await subject.services.accesses.authorise(each, subject.reader, type(here).__name__)
    if subject.patient_id is None or patient == subject.patient_id:
        raise ApiProblem("not-allowed", "a record is not merged into itself")
    asked = (
        Asked(PATIENT, here, body, "history"),
        Asked(PATIENT, there(subject.patient_id), body, "history", other=patient),
    )
    return await submit(intent, asked, None, alone=True)
