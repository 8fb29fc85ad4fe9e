"""Current documents of one patient: for staff as they are stored, for patients folded from what is open to them."""

import asyncio
import time
from collections.abc import Callable

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from api.answers import Answer, computed, respond
from api.problems import ApiProblem
from api.subjects import CareViewer, Subject
from projections.catalogue import STORED
from projections.folds.audit_trail import AUDIT_TRAIL
from projections.folds.folding import Document, Projection
from projections.folds.patient_index import PATIENT_INDEX
from projections.folds.plan import PLAN
from projections.folds.record import RECORD
from projections.folds.treatment_summary import TREATMENT_SUMMARY
from projections.past.moments import Audience, Moment
from projections.past.replay import replay
from projections.reading.reads import HeldBack

_LONGEST_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.05
View = Callable[[Document], Document]

routes = APIRouter(tags=["read"])


@routes.get("", summary="Who the patient is, and where the documents are")
async def overview(subject: CareViewer) -> Response:
    def with_links(index: Document) -> Document:
        places = ("plan", "record", "appointments", "referrals", "summaries", "history", "accesses")
        links = {name: f"{subject.base}/{name}" for name in places}
        shown = {
            name: each for name, each in index.items() if name != "reported_links"
        }  # for whoever keeps the records
        return {"patient_id": str(subject.patient_id), **shown, "links": links}

    return await shown(subject, PATIENT_INDEX, "overview", with_links)


@routes.get("/plan", summary="The Personalised Cancer Plan")
async def plan(subject: CareViewer) -> Response:
    return await shown(subject, PLAN, "plan")


@routes.get("/record", summary="Diagnoses, investigations, treatments, referrals, appointments")
async def record(subject: CareViewer) -> Response:
    return await shown(subject, RECORD, "record")


@routes.get("/appointments", summary="The appointments of the record")
async def appointments(subject: CareViewer) -> Response:
    return await shown(subject, RECORD, "appointments", lambda record: {"appointments": record["appointments"]})


@routes.get("/referrals", summary="The referrals of the record")
async def referrals(subject: CareViewer) -> Response:
    return await shown(subject, RECORD, "referrals", lambda record: {"referrals": record["referrals"]})


@routes.get("/summaries", summary="End-of-treatment summaries, as drafted from the events")
async def summaries(subject: CareViewer) -> Response:
    return await shown(subject, TREATMENT_SUMMARY, "summaries")


async def shown(subject: Subject, projection: Projection, what: str, view: View | None = None) -> Response:
    """The document or a part of it: folded now for patients, as it is stored for others. Raises Refused, HeldBack,
    ApiProblem behind."""
    if subject.audience is Audience.PATIENT or projection not in STORED:
        answer, document = await folded_now(subject, projection, what)
        return respond(subject.request, answer(view(document) if view else document))
    return respond(subject.request, await _stored(subject, projection, what, view))


async def folded_now(
    subject: Subject, projection: Projection, what: str
) -> tuple[Callable[[Document], Answer], Document]:
    """The document, and what makes the answer from it or from a part. Raises Refused, HeldBack, ApiProblem behind."""
    await wait_for(subject, None)
    past = await subject.services.reading.past(subject.patient_id, subject.reader, what)
    head = past.head
    document = replay([projection], past, Moment(head), subject.audience)[projection.name]
    return lambda content: computed(content, head, head, f"{what}-{projection.version}"), document


async def _stored(subject: Subject, projection: Projection, what: str, view: View | None) -> Answer:
    """A whole document is passed on as it was written, without being read."""
    await wait_for(subject, projection)
    served = await subject.services.reading.document(projection, subject.patient_id, subject.reader)
    standing = served.standing
    if standing.held_back_since is not None:
        raise HeldBack(standing.held_back_since)
    if served.json is None:
        raise ApiProblem("behind")
    content = served.json if view is None else orjson.dumps(view(orjson.loads(served.json)))
    tag = f"{standing.through}.{what}-{served.version}"
    return Answer(
        content, standing.through, standing.checkpoint, standing.head, tag, seconds_behind=standing.seconds_behind
    )


async def wait_for(subject: Subject, projection: Projection | None) -> None:
    """Until the projection (None: the log itself) holds the position asked for. Raises ApiProblem behind."""
    if subject.at_least is None:
        return
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while await subject.services.accesses.reached(projection) < subject.at_least:
        if time.monotonic() > deadline:
            raise ApiProblem("behind")
        await asyncio.sleep(_POLL_SECONDS)


REPLAYABLE = {"plan": PLAN, "record": RECORD, "summaries": TREATMENT_SUMMARY, "history": AUDIT_TRAIL}
