"""What a translator makes of one message: per entry, what to record and for whom, or why not.

A translator reads and renames; it decides nothing and looks nothing up.
"""

from datetime import datetime
from typing import NamedTuple, TypeAlias

from domain.facts import Agent, Command, Fact, Target
from domain.identity import PatientReference
from domain.times import Occurred


class Instruction(NamedTuple):
    """One fact or command for one stream of the entry's patient."""

    target: Target
    act: Fact | Command
    occurred: Occurred
    performer: Agent | None = None


class Translated(NamedTuple):
    """`pointer` is a JSON Pointer into the message, empty for the whole; `kind` a resource or event type. `told_at`:
    when the source had this version of its record, where that is told otherwise than by the envelope."""

    pointer: str
    kind: str
    patient: PatientReference
    instructions: tuple[Instruction, ...]
    told_at: datetime | None = None


class NotOurs(NamedTuple):
    """Well-formed, but not about a cancer plan (a claim, an immunisation, a schedule); `why` says so in words."""

    pointer: str
    kind: str
    why: str


class Refused(NamedTuple):
    """`code` is stable (documented in docs/rejections.md), `field` a JSON Pointer, `detail` and `action` plain words
    without any value of the message."""

    pointer: str
    kind: str
    code: str
    field: str
    detail: str
    action: str


Entry: TypeAlias = Translated | NotOurs | Refused


class Refusal(Exception):
    """Raised inside a translator for one entry; the caller turns it into Refused."""

    def __init__(self, code: str, field: str, detail: str, action: str) -> None:
        super().__init__(detail)
        self.code, self.field, self.detail, self.action = code, field, detail, action


class Sender(NamedTuple):
    """Who sent the message, and when it says that it happened: CloudEvents `source`, `id` and `time`;
    `recorded_time` is when the source recorded it, where it says so."""

    source: str
    event_id: str
    time: Occurred
    organisation: str | None = None
    recorded_time: Occurred | None = None
