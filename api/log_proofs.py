"""The log's checkpoints, consistency proofs and tiles, for whoever follows it: hashes alone, nothing of anyone.

Answers are as C2SP has them: a signed note, hashes in base64 by line, the raw bytes of a tile.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import PlainTextResponse, Response

from api.problems import ApiProblem, invalid_parameter
from api.services import Services, Shared
from api.subjects import Follower
from infra.evidence.merkle import HASH_BYTES, consistency_proof
from infra.evidence.notes import to_base64
from infra.evidence.signer import newest_kept
from infra.evidence.tiles import LeavesMissing, LogName, Tiles, parse_path

_MOST_LEAVES = 2**62
# What a tile holds is for good, and says nothing of anyone.
_FOR_GOOD = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Authorization"}
_CURRENT = {"Cache-Control": "no-store", "Vary": "Authorization"}
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}

routes = APIRouter(prefix="/v1/log", tags=["evidence"])
Which = Annotated[LogName, Query(alias="log", description="What was recorded, or who read it.")]
Leaves = Annotated[int, Query(ge=0, le=_MOST_LEAVES)]


@routes.get("/checkpoint", summary="The newest signed checkpoint", response_class=PlainTextResponse, responses=_TEXT)
def log_checkpoint(_: Follower, services: Shared, log: Which = LogName.EVENTS) -> Response:
    with services.proving.connection() as connection:
        signed = newest_kept(connection, log, services.origins[log])
    if signed is None:
        raise ApiProblem("not-found", "nothing was signed yet")
    return PlainTextResponse(signed.note, headers=_CURRENT)


@routes.get(
    "/consistency", summary="That the first `to` leaves begin with the first `from`",
    response_class=PlainTextResponse, responses=_TEXT,
)  # fmt: skip
def log_consistency(
    _: Follower,
    services: Shared,
    old: Annotated[Leaves, Query(alias="from")],
    new: Annotated[Leaves, Query(alias="to")],
    log: Which = LogName.EVENTS,
) -> Response:
    if old > new:
        raise invalid_parameter("from", "is not less than `to`")
    try:
        hashes = _read(services, log, lambda tiles: consistency_proof(old, new, tiles.read))
    except LeavesMissing:
        raise invalid_parameter("to", "is more than the log has") from None
    return PlainTextResponse("".join(f"{to_base64(each)}\n" for each in hashes), headers=_FOR_GOOD)


@routes.get(
    "/tile/{path:path}", summary="A tile of hashes, as C2SP tlog-tiles names it", response_class=Response,
    responses=_BYTES,
)  # fmt: skip
def log_tile(
    _: Follower,
    services: Shared,
    path: Annotated[str, Path(description="Level and number, such as `0/x001/067` or `1/000.p/12`.", max_length=60)],
    log: Which = LogName.EVENTS,
) -> Response:
    wanted = parse_path(path)
    if wanted is None:
        raise ApiProblem("not-found")
    hashes = _read(services, log, lambda tiles: tiles.hashes([wanted.tile]))[wanted.tile]
    content = hashes[: wanted.width * HASH_BYTES]
    if len(content) != wanted.width * HASH_BYTES:
        raise ApiProblem("not-found")
    return Response(content, headers=_FOR_GOOD, media_type="application/octet-stream")


def _read(services: Services, log: LogName, what: Callable[[Tiles], Any]) -> Any:
    with services.proving.connection() as connection:
        return what(Tiles(connection, log))
