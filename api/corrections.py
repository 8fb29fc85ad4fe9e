"""What people say of events that were recorded wrongly: in error, otherwise, of somebody else."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from api.commands import Asked, Body, submit
from api.problems import ApiProblem
from api.subjects import ByClinicianOrKeeper, ByKeeper, Intent
from domain.annotation import Assign, Correct, MarkInError, Move
from domain.correcting import place_in_other_record
from domain.facts import Command, Recorded, Target, Text, Word
from domain.history import effective
from domain.unread import category_told

routes = APIRouter(tags=["correct"], prefix="/events/{stream}/{version}")

Version = Annotated[int, Path(ge=0, le=2**31 - 1)]
Why = Annotated[Text, Field(min_length=1)]


class Reason(Body):
    reason: Why


class Correction(Body):
    """`fact` in place of what was recorded, `occurred` in place of when; one of them at least."""

    fact: dict[str, Any] | None = None
    occurred: Word | None = None
    reason: Why


class Destination(Body):
    """The patient to whom the event belongs, and there the stream into which it goes, or one of its own."""

    to: UUID
    into: UUID | None = None
    reason: Why


@routes.post("/error", status_code=201, summary="Mark an event in error: it never happened as recorded")
async def mark_in_error(intent: ByClinicianOrKeeper, stream: UUID, version: Version, body: Reason) -> Response:
    command = MarkInError(versions=(version,), reason=body.reason)
    return await _on_event(intent, stream, version, command, body)


@routes.post("/correction", status_code=201, summary="Correct what an event says, or when it happened")
async def correct(intent: ByClinicianOrKeeper, stream: UUID, version: Version, body: Correction) -> Response:
    if body.fact is None and body.occurred is None:
        raise ApiProblem("invalid-request", "give `fact`, `occurred` or both")
    command = Correct(version=version, replacement=body.fact, occurred=body.occurred, reason=body.reason)
    return await _on_event(intent, stream, version, command, body)


@routes.post("/assignment", status_code=201, summary="Say that what was written while records were merged stays here")
async def assign(intent: ByKeeper, stream: UUID, version: Version, body: Reason) -> Response:
    return await _on_event(intent, stream, version, Assign(versions=(version,), reason=body.reason), body)


@routes.post("/move", status_code=201, summary="Move an event to the patient to whom it belongs")
async def move(intent: ByKeeper, stream: UUID, version: Version, body: Destination) -> Response:
    services = intent.subject.services
    await services.accesses.authorise(body.to, intent.subject.reader, "Move")
    command = Move(versions=(version,), to=body.to, into=body.into, reason=body.reason)
    return await _on_event(intent, stream, version, command, body, other=body.to)


async def _on_event(
    intent: Intent, stream: UUID, version: int, command: Command, body: Body, other: UUID | None = None
) -> Response:
    """Raises ApiProblem not-found, Refused, HeldBack. Who may read the history may speak of its events."""
    subject, name = intent.subject, type(command).__name__
    events, _ = await subject.services.reading.history(subject.patient_id, subject.reader, name, "command")
    in_stream = [event for event in events if event.stream_id == stream]
    event = next((each for each in in_stream if each.version == version), None)
    if event is None:
        raise ApiProblem("not-found", "there is no such event")
    target = _target(in_stream, version) if other is not None else Target(_category(in_stream))
    asked = Asked(target, command, body, "history", stream_id=stream, record=event.patient_id, other=other)
    return await submit(intent, (asked,), None)


def _category(in_stream: list[Recorded]) -> Any:
    category = category_told(in_stream)
    if category is None:
        raise ApiProblem("not-found", "there is no such event")
    return category


def _target(in_stream: list[Recorded], version: int) -> Target:
    """Where it goes in the other record. Raises ApiProblem not-found where it does not stand here any more."""
    standing = effective(in_stream, of_one_stream=True)
    event = next((each for each in standing if each.version == version), None)
    if event is None:
        raise ApiProblem("not-found", "no such event stands in this stream")
    return place_in_other_record(event)
