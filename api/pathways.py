"""What is done to one stream of the record: asking for another appointment, noting what the patient was told."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from api.commands import Asked, Body, carry_out
from api.subjects import ByClinician, ByPatientOrClinician
from domain.appointment import RequestChange
from domain.facts import Category, Key, Target, Text, Word
from domain.pathway import InformPatient, Told

routes = APIRouter(tags=["command"])
clinical = APIRouter(tags=["command"])

_APPOINTMENT = Target(Category.APPOINTMENT)
_PATHWAY = Target(Category.PATHWAY)


class Change(Body):
    wish: Literal["reschedule", "cancel"]
    words: Text | None = None


class Informed(Body):
    told: Annotated[tuple[Told, ...], Field(min_length=1, max_length=50)]
    professional: Key
    method: Word | None = None
    nurse_specialist_present: Word | None = None


@routes.post(
    "/appointments/{appointment}/change-requests",
    status_code=201,
    summary="Ask for another time, or not to come; the slot stands until the hospital answers",
)
async def request_change(intent: ByPatientOrClinician, appointment: UUID, body: Change) -> Response:
    command = RequestChange(**body.model_dump())
    return await carry_out(intent, Asked(_APPOINTMENT, command, body, "appointments", stream_id=appointment))


@clinical.post("/pathways/{pathway}/informed", status_code=201, summary="Note what the patient was told, and how")
async def inform_patient(intent: ByClinician, pathway: UUID, body: Informed) -> Response:
    command = InformPatient(**body.model_dump())
    return await carry_out(intent, Asked(_PATHWAY, command, body, "record", stream_id=pathway))
