"""From a person's request to one work for the writer, and from what became of it to the answer.

The receipt of a command is the client's Idempotency-Key: sent again, it has the same status, Location and position,
whatever has happened since. A refusal is kept the same way, so another try needs another key.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import json_response, position_of
from api.identity import Role
from api.problems import ApiProblem
from api.subjects import Intent, Subject
from domain.disclosure import as_seen_by_patient
from domain.facts import Agent, Command, Provenance, Recorded, Target
from domain.history import effective
from domain.times import at
from infra.writing.work import SAME_ID_OTHER_CONTENT, Act, Conclusion, Outcome, Part, PartOutcome, Work
from projections.past.moments import Audience

SOURCE = "/api/v1"
_REFUSED = "refused"
_NEVER = -1  # every stream has grown since then


class Body(BaseModel):
    """A request's body: members that it does not name are an error, so that none is silently lost."""

    model_config = ConfigDict(extra="forbid")


class Asked(NamedTuple):
    """One command for one stream. `made` is the id of the thing that it makes, `refers` are things it speaks of by
    the names of facts' fields, `document` is where the result shows, `body` what was sent. `record`: the stream is of
    this record of the person, not of the one asked about; `other`: another patient whom the command concerns."""

    target: Target
    command: Command
    body: BaseModel | None
    document: str = "plan"
    made: str | None = None
    refers: tuple[tuple[str, str], ...] = ()
    stream_id: UUID | None = None
    record: UUID | None = None
    other: UUID | None = None


async def carry_out(intent: Intent, asked: Asked) -> Response:
    """Raises Refused, HeldBack, WriterStopped, psycopg.Error, and ApiProblem for every other refusal."""
    nothing_after = await _authorised(intent, asked)
    return await submit(intent, (asked,), nothing_after)


async def submit(intent: Intent, asked: Sequence[Asked], nothing_after: int | None, *, alone: bool = False) -> Response:
    """Several commands with one body are one request: all or none is recorded. The caller has authorised them."""
    return await run_in_threadpool(_submitted, intent, asked, nothing_after, alone)


async def _authorised(intent: Intent, asked: Asked) -> int | None:
    """Notes the command in the access log. The answer is the position after which its stream must not have grown.

    A patient's knowledge decides what they can speak of: what is not open to them is not there, and is no newer
    event either. A precondition that fails here is still put to the writer, since a receipt may hold the answer.
    """
    subject, name = intent.subject, type(asked.command).__name__
    expected = position_of(intent.if_match)
    if subject.audience is not Audience.PATIENT:
        stream = (asked.stream_id, asked.target.category) if asked.stream_id else None
        await subject.services.accesses.authorise(subject.patient_id, subject.reader, name, stream)
        return expected
    events, head = await subject.services.reading.history(subject.patient_id, subject.reader, name, "command")
    seen = as_seen_by_patient(effective(events))
    if not _speaks_of_what_is_seen(asked, seen):
        raise ApiProblem("not-found")
    if expected is None:
        return None
    stream_id = _stream_id(asked, subject)
    then = as_seen_by_patient(effective(event for event in events if event.position <= expected))
    if [each for each in then if each.stream_id == stream_id] != [each for each in seen if each.stream_id == stream_id]:
        return _NEVER
    return head


def _submitted(intent: Intent, asked: Sequence[Asked], nothing_after: int | None, alone: bool) -> Response:
    subject, first = intent.subject, asked[0]
    patient_id = first.record or subject.patient_id
    if patient_id is None:
        raise ApiProblem("not-found")
    now, provenance = at(datetime.now(UTC)), _provenance(intent)
    acts = tuple(
        Act(each.target, each.command, now, provenance, each.stream_id, nothing_after, each.other) for each in asked
    )
    location = f"{subject.base}/{first.document}" + (f"#{first.made}" if first.made else "")
    work = Work(
        source=f"api/{subject.principal.role}",
        key=subject.services.keys.digest("command", subject.reader.actor, intent.key),
        digest=_digest(subject, first.body),
        parts=(Part(patient_id, acts, provenance, now),),
        conclude=partial(_conclude, location, first.made, subject.audience),
        alone=alone,
    )
    return _answered(subject, subject.services.writer.submit(work))


def made_id(intent: Intent, given: str | None = None) -> str:
    """The id of a new thing: the same for the same Idempotency-Key. Staff may choose one; a patient's own choice
    could tell them of things that they do not see. Raises ApiProblem forbidden."""
    if given is not None and intent.subject.principal.role is Role.PATIENT:
        raise ApiProblem("forbidden", "ids are given by the service")
    return given or str(uuid5(intent.subject.patient_id or UUID(int=0), f"{intent.subject.reader.actor} {intent.key}"))


def _speaks_of_what_is_seen(asked: Asked, seen: Iterable[Recorded]) -> bool:
    events = list(seen)
    if asked.stream_id is not None and all(each.stream_id != asked.stream_id for each in events):
        return False
    return all(any(getattr(each.fact, name, None) == value for each in events) for name, value in asked.refers)


def _stream_id(asked: Asked, subject: Subject) -> UUID | None:
    return asked.stream_id or (asked.target.stream_id(subject.patient_id) if subject.patient_id else None)


def _provenance(intent: Intent) -> bytes:
    """A patient is an author without a name: whose words they are follows from whose record this is."""
    who = intent.subject.principal
    kind = "patient" if who.role is Role.PATIENT else "professional"
    author = Agent(kind=kind, identifier=who.professional, name=who.name, role=who.role)
    told = Provenance(
        source=SOURCE,
        source_event_id=intent.key,
        author=author,
        organisation=who.organisation,
        correlation_id=intent.subject.reader.correlation_id,
    )
    return told.model_dump_json(exclude_none=True).encode()


def _digest(subject: Subject, body: BaseModel | None) -> bytes:
    """Of method, path and canonical body."""
    sent = body.model_dump(mode="json", exclude_unset=True) if body is not None else None
    request = subject.request
    told = f"{request.method} {request.url.path}\n".encode() + orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(told).digest()


def _conclude(location: str, made: str | None, audience: Audience, outcomes: list[PartOutcome]) -> Conclusion:
    """The receipt's answer: all that a retry needs to be answered alike. A patient gets no numbers of events, which
    would count those that are not open to them."""
    outcome = outcomes[0]
    if outcome.refusal is not None:
        code, words = outcome.refusal
        return Conclusion(_REFUSED, orjson.dumps({"code": code, "detail": words}))
    shown = audience is not Audience.PATIENT
    events = [{"type": stored} | ({"event": str(event_id)} if shown else {}) for event_id, stored in outcome.events]
    answer: dict[str, Any] = {"events": events} | ({"id": made} if made else {})
    told = {"location": location, "answer": answer}
    return Conclusion("recorded" if events else "nothing-new", orjson.dumps(told))


def _answered(subject: Subject, outcome: Outcome) -> Response:
    if outcome.outcome == SAME_ID_OTHER_CONTENT:
        raise ApiProblem("idempotency-key-reused")
    told = orjson.loads(outcome.answer)
    if outcome.outcome == _REFUSED:
        raise _refusal(subject, told["code"], told["detail"])
    position = outcome.last_position or outcome.position
    headers = {"Location": told["location"], "ETag": f'"{position}.written"', "X-Position": str(position)}
    status = 201 if outcome.outcome == "recorded" else 200
    return json_response({"position": position, **told["answer"]}, status, headers)


def _refusal(subject: Subject, code: str, words: str) -> ApiProblem:
    if code == "not-found":
        return ApiProblem("not-found", words if subject.audience is not Audience.PATIENT else None)
    return ApiProblem("precondition-failed") if code == "stale-precondition" else ApiProblem("not-allowed", words)
