"""Answers with the positions that they hold, as every reader of patient data gets them.

ETags begin with a position, so that If-Match can say "nothing newer than what I read". A patient's also ends with a
digest of what they see: positions of events that are not open to them must not show, not even by a changed ETag.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from fastapi import Request
from starlette.responses import Response

from api.problems import invalid_parameter

_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_DATA = {"Cache-Control": "no-store", "Vary": "Authorization"}


class Answer(NamedTuple):
    """`position` is what the content holds, `projected` how far its projection is, `head` the log's end; `tag` is
    equal for equal content, whole or (where `by_content`) without its leading position;
    `seconds_behind`: how long the oldest event that the projection lacks has waited."""

    content: bytes
    position: int
    projected: int
    head: int
    tag: str
    by_content: bool = False
    seconds_behind: float = 0.0


def computed(content: Any, position: int, head: int, what: str) -> Answer:
    """An answer made for this request from events up to `position`."""
    body = orjson.dumps(content)
    digest = hashlib.sha256(body).hexdigest()[:32]
    return Answer(body, position, head, head, f"{position}.{what}.{digest}", by_content=True)


def respond(request: Request, answer: Answer, headers: Mapping[str, str] | None = None) -> Response:
    """304 where the caller holds this already."""
    told = {
        **_DATA,
        "ETag": f'"{answer.tag}"',
        "X-Position": str(answer.position),
        "X-Projection-Position": str(answer.projected),
        "X-Log-Position": str(answer.head),
        "X-Lag-Events": str(max(0, answer.head - answer.projected)),
        "X-Lag-Seconds": f"{answer.seconds_behind:.3f}",
        **(headers or {}),
    }
    if _holds(request.headers.get("if-none-match"), answer):
        return Response(status_code=304, headers=told)
    return Response(answer.content, headers=told, media_type="application/json")


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, {**_DATA, **(headers or {})}, "application/json")


def position_of(if_match: str | None) -> int | None:
    """The highest position among ETags; None where nothing is asked. Raises ApiProblem invalid-request."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [tag for weak, tag in _ETAG.findall(if_match) if not weak]
    positions = [int(tag.partition(".")[0]) for tag in tags if re.match(r"\d{1,18}\.", tag)]
    if not positions:
        raise invalid_parameter("If-Match", "is not an ETag of this service")
    return max(positions)


def _holds(if_none_match: str | None, answer: Answer) -> bool:
    if if_none_match is None:
        return False
    tags = [tag for _, tag in _ETAG.findall(if_none_match)]
    if answer.by_content:
        return _content(answer.tag) in map(_content, tags)
    return answer.tag in tags


def _content(tag: str) -> str:
    return tag.partition(".")[2]
