"""Versions that are not served yet: a runner of new code rebuilds them by itself, beside its own work."""

import threading

import structlog

from projections.catalogue import STORED
from projections.rebuild.filling import Gone, WorkerDied
from projections.rebuild.rebuilding import NotRebuilt, Terms, rebuild
from projections.tables import generations
from projections.tables.tools import Tools

log = structlog.get_logger(__name__)
_PROCESSES = 2


def renew(tools: Tools) -> None:
    """Until it is done, what was served is served. What it refuses is left to the operator."""
    with tools.connect() as connection:
        awaiting = set(generations.awaiting(connection, STORED))
    for projection in (each for each in STORED if each.name in awaiting):
        try:
            report = rebuild(tools, [projection], Terms(_PROCESSES), lambda _: None)
            log.info("projection_renewed", projection=projection.name, seconds=round(report.seconds, 1))
        except (NotRebuilt, WorkerDied, Gone) as refused:
            log.warning("projection_not_renewed", projection=projection.name, reason=str(refused))


def begin(tools: Tools) -> threading.Thread:
    thread = threading.Thread(target=renew, args=[tools], daemon=True, name="renewing")
    thread.start()
    return thread
