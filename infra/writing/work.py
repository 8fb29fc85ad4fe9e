"""What is handed to the writer, and what comes back. One work is one message or one command of the API."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from domain.facts import Command, EventId, Fact, Target
from domain.identity import PatientReference
from domain.times import Occurred


class Act(NamedTuple):
    """One fact or command for one stream: the one that `target` derives, or an existing one by its id.

    `nothing_after`: refuse (stale-precondition) if the stream has an event after this position. `patient_id`: the
    stream is this other patient's and not the part's; of a Move, the patient to whom events move.
    """

    target: Target
    act: Fact | Command
    occurred: Occurred
    provenance: bytes
    stream_id: UUID | None = None
    nothing_after: int | None = None
    patient_id: UUID | None = None


class Part(NamedTuple):
    """All acts for one patient, recorded together or not at all. A UUID names a patient who must exist."""

    patient: PatientReference | UUID
    acts: tuple[Act, ...]
    # Links and registrations that matching adds are attributed with this.
    provenance: bytes
    occurred: Occurred


class PartOutcome(NamedTuple):
    """`refusal` is (stable code, words without patient data); None when recorded, or already so (no events)."""

    patient_id: UUID | None
    events: tuple[tuple[EventId, str], ...] = ()
    refusal: tuple[str, str] | None = None


class Rejection(NamedTuple):
    """A message set aside. `reasons` are objects with code, pointer, field, detail, action; `owner` resolves it."""

    reasons: list[dict[str, Any]]
    coordinates: str
    content_type: str | None
    owner: str = "integration"


class Conclusion(NamedTuple):
    """How the whole work ended; `answer` is the JSON that every retry will be given again."""

    outcome: str
    answer: bytes
    rejection: Rejection | None = None


class OffsetMove(NamedTuple):
    """This work was read at `offset`; `topic_id` is the broker's own id, since a topic may be made anew."""

    cluster_id: str
    topic_id: str
    partition: int
    offset: int


class Work(NamedTuple):
    """`key` and `digest` make the receipt. `alone`: it changes whose streams others need, so nothing else is decided
    in its transaction. `aside` (if any) makes, from a reason code, the work that sets this one
    aside: when its key is known with another digest, or when it cannot be stored. `replaces` marks a retry of a
    work that was answered before."""

    source: str
    key: bytes
    digest: bytes
    parts: tuple[Part, ...]
    conclude: Callable[[list[PartOutcome]], Conclusion]
    raw: bytes | None = None
    offset: OffsetMove | None = None
    replaces: bool = False
    alone: bool = False
    aside: Callable[[str], "Work"] | None = None


class Outcome(NamedTuple):
    """`position` is the log position at which the answer stood; `known` says that a receipt answered."""

    outcome: str
    answer: bytes
    first_position: int | None
    last_position: int | None
    position: int
    known: bool = False


SAME_ID_OTHER_CONTENT = "same-id-other-content"
NOT_STORABLE = "not-storable"
