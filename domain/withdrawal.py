"""What falls when a source says that a record of its own was entered in error: all that it had told by then.

Versions of a record may arrive after the word that withdraws them, so what counts is when each was told and not when
it came here.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.annotation import Withdrawn
from domain.facts import Provenance, Recorded
from domain.times import FUTURE_TOLERANCE

_TOLD = b'"recorded_at_source":'


class Withdrawal(NamedTuple):
    """One that stands in a stream as its version `version`."""

    as_of: datetime
    version: int

    def takes(self, version: int, told: datetime | None, recorded_at: datetime) -> bool:
        """Whether this version of the stream falls. Of what does not say when it was told (what people write here, and
        some messages) that which was recorded before falls: it was written in view of what is withdrawn."""
        if told is None:
            return version < self.version
        return credible(told, recorded_at) <= self.as_of


def withdrawal(event: Recorded) -> Withdrawal | None:
    fact = event.fact
    return Withdrawal(credible(fact.as_of, event.recorded_at), event.version) if isinstance(fact, Withdrawn) else None


def withdrawals(events: Iterable[Recorded]) -> dict[UUID, list[Withdrawal]]:
    """By stream."""
    found: dict[UUID, list[Withdrawal]] = {}
    for event in events:
        told = withdrawal(event)
        if told is not None:
            found.setdefault(event.stream_id, []).append(told)
    return found


def falls(event: Recorded, withdrawn: Sequence[Withdrawal]) -> bool:
    """`withdrawn` are those of its stream. What was moved in counts as a person put it there."""
    told = told_at(event.provenance_json) if withdrawn else None
    return any(each.takes(event.version, told, event.recorded_at) for each in withdrawn)


def told_at(provenance: bytes) -> datetime | None:
    """When the version of the source's record that tells this came to be there, where it says so."""
    return Provenance.model_validate_json(provenance).recorded_at_source if _TOLD in provenance else None


def credible(told: datetime, recorded_at: datetime) -> datetime:
    """A mistyped year must not take what will be told until then, nor keep anything from being taken."""
    return recorded_at if told > recorded_at + FUTURE_TOLERANCE else told
