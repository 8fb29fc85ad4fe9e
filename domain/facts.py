"""What every fact, command and recorded event is made of.

A fact's stored name (`pathway.diagnosis-agreed.v1`) is the storage format: it never changes once written.
"""

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from struct import Struct
from typing import Annotated, Any, ClassVar, NamedTuple, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from domain.times import Occurred, Precision

_SECONDS = Struct(">d").pack
Text = Annotated[str, StringConstraints(max_length=20_000)]
Word = Annotated[str, StringConstraints(max_length=300)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=300)]
OdsCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,12}$")]
PartialDate = Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")]


class Category(StrEnum):
    """The kinds of stream; the first word of each stored name."""

    PATIENT = "patient"
    REFERRAL = "referral"
    APPOINTMENT = "appointment"
    PATHWAY = "pathway"
    CARE_PLAN = "care-plan"

    __hash__ = str.__hash__  # an Enum's own is written in Python


class Value(BaseModel):
    """A part of a fact. Reading tolerates members it does not know: newer producers must not stop older readers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Fact(Value):
    """Something that happened. `stored` is the name under which it is kept for ever."""

    stored: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "stored" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} needs a stored name")


class Command(Value):
    """What a person asks for. Rules may refuse it; see the decisions of each aggregate.

    `of_person`: decided on all records of the person, where several are merged, and not on this one alone.
    """

    of_person: ClassVar[bool] = True


class Coding(Value):
    """One code of one code system; `system` is its URI."""

    system: Word
    code: Word
    display: Word | None = None


class Agent(Value):
    """Someone or something that acts: `kind` is patient, proxy, professional, organisation or device."""

    kind: Annotated[str, StringConstraints(pattern="^(patient|proxy|professional|organisation|device)$")]
    identifier: Word | None = None
    name: Word | None = None
    role: Word | None = None


class Provenance(Value):
    """Who and what caused an event. Author recorded it, performer did it (PRSB Provenance keeps them apart).

    `merged_with` names the other records of a merged person, in whose view someone wrote this.
    """

    source: Word
    source_event_id: Word
    author: Agent | None = None
    performer: Agent | None = None
    organisation: Word | None = None
    reason: Text | None = None
    recorded_at_source: AwareDatetime | None = None
    correlation_id: Word | None = None
    causation_id: Word | None = None
    rule_version: Word | None = None
    merged_with: tuple[UUID, ...] | None = None


class EventId(NamedTuple):
    stream_id: UUID
    version: int

    def __str__(self) -> str:
        return f"{self.stream_id}/{self.version}"


class Recorded(NamedTuple):
    """One event as it stands in the log, decrypted. `provenance` stays JSON until someone asks.

    `corrected_at` is the position of the correction whose fact stands in the place of the one recorded here; `part`
    tells apart the facts as which an event of an older version is read.
    """

    position: int
    recorded_at: Any
    stream_id: UUID
    version: int
    patient_id: UUID
    patient_seq: int
    occurred: Occurred
    fact: Fact
    provenance_json: bytes
    corrected_at: int | None = None
    part: int = 0

    @property
    def event_id(self) -> EventId:
        return EventId(self.stream_id, self.version)

    @property
    def provenance(self) -> Provenance:
        return Provenance.model_validate_json(self.provenance_json)


class NotAllowed(Exception):
    """The rules refuse this command; the text says why, without patient data."""


class NotFound(NotAllowed):
    """The thing the command concerns does not exist in this plan."""


Decision: TypeAlias = Fact | tuple[Fact, ...]
# Command class to its rule: (state, command) -> decision.
Decisions: TypeAlias = Mapping[type[Any], Callable[[Any, Any], Decision]]
NOTHING_NEW: tuple[Fact, ...] = ()


class Target(NamedTuple):
    """Which stream of a patient is meant. `key` is the source's own, such as `system|value`; empty where a
    patient has only one such stream."""

    category: Category
    key: str = ""

    def stream_id(self, patient_id: UUID) -> UUID:
        if self.category is Category.PATIENT:
            return patient_id
        return _derived(patient_id.int, self.category, self.key)


@lru_cache(20_000)
def _derived(patient: int, category: Category, key: str) -> UUID:
    """A writer asks for the same stream several times while it decides one batch. By the number of the patient's id: a
    UUID is hashed and compared in Python."""
    return uuid5(UUID(int=patient), f"{category}:{key}")


PATIENT = Target(Category.PATIENT)
CARE_PLAN = Target(Category.CARE_PLAN)


def scoped_key(system: str, value: str) -> str:
    """The key of a thing that a source names: the same value under another system is another thing."""
    return f"{system}|{value}" if len(system) + len(value) < 250 else str(uuid5(NAMESPACE_URL, f"{system}|{value}"))


def fact_json(fact: Fact) -> bytes:
    return fact.__pydantic_serializer__.to_json(fact, exclude_none=True)


def fingerprint(stored: str, occurred: Occurred, body: bytes) -> bytes:
    """Equal for the same fact: same kind, content and time of occurrence. Sixteen bytes, never stored."""
    at, precision = occurred
    return hashlib.blake2b(_kind(stored, precision) + _SECONDS(at.timestamp()) + body, digest_size=16).digest()


@lru_cache(1_000)
def _kind(stored: str, precision: Precision) -> bytes:
    return f"{stored}\n{precision}\n".encode()
