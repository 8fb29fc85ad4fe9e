"""Our own vocabulary: one CloudEvents type for each fact that a source may report.

The type is `uk.nhs.cancerplan.` and the fact's stored name; the data is a Report. Producers' schemas are closed
(consumers/schemas.py), this reading is tolerant: members it does not know are left out, wrong values are refused.
"""

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, create_model

from consumers.envelope import Envelope
from consumers.translation import Entry, Instruction, Refusal, Refused, Sender, Translated
from domain import merging, retention, times
from domain.catalogue import category_of
from domain.evolution import RETIRED, accepted, facts_of_today
from domain.facts import Agent, Category, Fact, Key, PartialDate, Target, Value, scoped_key
from domain.identity import PatientReference, identifier
from domain.patient import NHS_NUMBER, Identifier, IdentifierLinked, Name, PatientRegistered
from domain.times import Occurred

PREFIX = "uk.nhs.cancerplan."
_MOST_REASONS = 20
_EARLIEST_YEAR = 1800
_LONGEST_REMEMBERED = 600  # bytes of JSON; a usual patient takes 200, and some 6 kB of memory
# Matching records the first two by itself, from what every report says of its patient; joining records and ending
# them takes a person here.
_OURS_ALONE = (PatientRegistered, IdentifierLinked, *merging.FACTS, *retention.FACTS)
_WITH_KEY = (Category.PATHWAY, Category.APPOINTMENT, Category.REFERRAL)
_VAGUE = frozenset(
    ("updated", "changed", "completed", "finished", "processed", "handled", "started", "failed", "status")
)
_PARTIAL_DATE = TypeAdapter(PartialDate).json_schema()["pattern"]
_TRUST = re.compile(r"(/nhs/[a-z-]+/([A-Z0-9]{3,12}))(/|$)")

NhsNumber = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9 -]{8,14}[0-9]$")]


class LocalIdentifier(Value):
    """A number of the source's own; `system` is its URI."""

    system: Key
    value: Key


class Person(Value):
    """At least one of `nhs_number` and `identifiers`: nobody is matched by name alone."""

    nhs_number: NhsNumber | None = None
    identifiers: tuple[LocalIdentifier, ...] = Field(default=(), max_length=20)
    name: Name | None = None
    birth_date: PartialDate | None = None


class Report(Value):
    """The data of one event. Each type has its own class, with `fact` of the fact's class."""

    patient: Person
    key: Key | None = Field(
        default=None, description="The source's own key of the pathway, appointment or referral; required for those."
    )
    key_system: Key | None = Field(
        default=None, description="URI of the system that issued `key`; absent: the organisation in `source`."
    )
    occurred: str | None = Field(
        default=None,
        description="When it happened: year, month, date or instant with offset; absent: `time`.",
        pattern=r"^\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?)?)?$",
    )
    performer: Agent | None = Field(default=None, description="Who did it; not who wrote it down.")
    fact: Any


class _Kind(NamedTuple):
    """`told` reads all of a report but its patient. `target` is the stream, where it needs no key. `instants` and
    `days` are the fact's members that must be plausible dates, checked after its types."""

    stored: str
    report: type[Report]
    told: Callable[..., Any]
    target: Target | None
    category: Category
    instants: tuple[str, ...]
    days: tuple[str, ...]


def vocabulary() -> Collection[str]:
    """The stored names of all facts that a source may send."""
    return _accepted().keys()


def report_of(stored: str) -> type[Report]:
    """The class of the reports of a fact. Raises KeyError for a name outside the vocabulary."""
    return _kind(stored, *_accepted()[stored]).report


def _accepted() -> Mapping[str, tuple[type[Fact], Category]]:
    return _accepted_with(tuple(RETIRED))


@cache
def _accepted_with(_: tuple[str, ...]) -> Mapping[str, tuple[type[Fact], Category]]:
    return MappingProxyType(
        {
            stored: (fact, category)
            for stored, fact in accepted().items()
            if fact not in _OURS_ALONE and (category := category_of(fact)) is not None
        }
    )


@lru_cache(1_000)
def _kind(stored: str, fact: type[Fact], category: Category) -> _Kind:
    """Made when first heard: all at once take the better part of a second, for which the first message would wait."""
    members: dict[str, Any] = {"fact": (fact, ...)}
    if category in _WITH_KEY:
        members["key"] = (Key, Field(description=Report.model_fields["key"].description))
    report: type[Report] = create_model(f"{fact.__name__}Report", __base__=Report, **members)
    schema = fact.model_json_schema().get("properties", {})
    return _Kind(
        stored=stored,
        report=report,
        told=_all_but_patient(report).__pydantic_validator__.validate_json,
        target=None if category in _WITH_KEY else Target(category),
        category=category,
        instants=tuple(name for name in schema if _says(schema[name], "format", "date-time")),
        days=tuple(name for name in schema if _says(schema[name], "pattern", _PARTIAL_DATE)),
    )


def _all_but_patient(report: type[Report]) -> type[Value]:
    members: dict[str, Any] = {name: (each.annotation, each) for name, each in report.model_fields.items()}
    del members["patient"]
    return create_model(f"{report.__name__}WithoutPatient", __base__=Value, **members)


def _says(schema: Mapping[str, Any], member: str, value: str) -> bool:
    return schema.get(member) == value or any(_says(each, member, value) for each in schema.get("anyOf", ()))


def stored_name(kind: str) -> str:
    """The fact's stored name for a CloudEvents type. Raises Refusal where the type is none of the vocabulary."""
    name = kind.removeprefix(PREFIX)
    if name == kind or name not in _accepted():
        refuse_vague(kind)
        raise Refusal("unknown-type", "/type", "no fact has this type", "send a type of the vocabulary")
    return name


def refuse_vague(kind: str) -> None:
    """Raises Refusal for a type that does not name what happened: after it, nobody could tell what to record."""
    words = kind.split(".")
    verb = words[-2] if len(words) > 1 and re.fullmatch(r"v\d+", words[-1]) else words[-1]
    if verb in _VAGUE:
        raise Refusal("vague-type", "/type", "the type does not name what happened", "send a type that does")


def translate(envelope: Envelope, sender: Sender) -> list[Entry]:
    """One entry, or one refusal for each field that is wrong. Raises Refusal for a type or schema that is not ours."""
    kind = _kind_of(envelope.type, envelope.dataschema, tuple(RETIRED))
    try:
        told = kind.told(envelope.data, strict=True)
        patient = _patient(envelope.document["patient"], sender.source)
    except (ValidationError, KeyError):
        return _refused(kind, envelope.data)
    _check_dates(kind, told.fact)
    occurred = _occurred(told.occurred) if told.occurred else envelope.time
    target = kind.target or Target(kind.category, scoped_key(told.key_system or scope(sender.source), told.key))
    instructions = [Instruction(target, fact, occurred, told.performer) for fact in facts_of_today(told.fact)]
    _checked_day(patient.birth_date, "/patient/birth_date")
    if not patient.identifiers:
        raise Refusal(
            "no-patient", "/patient", "the patient has no identifier", "send nhs_number or identifiers with a system"
        )
    return [Translated("", kind.stored, patient, tuple(instructions))]


@lru_cache(1_000)
def _kind_of(kind: str, dataschema: str | None, _: tuple[str, ...]) -> _Kind:
    """The same few types come again and again."""
    stored = stored_name(kind)
    _check_schema(dataschema, stored)
    return _kind(stored, *_accepted()[stored])


@lru_cache(10_000)
def scope(source: str) -> str:
    """Where a key means the same thing: all systems of one organisation, else the source itself."""
    found = _TRUST.match(source)
    return found[1] if found else source


@lru_cache(10_000)
def organisation_of(source: str) -> str | None:
    """The ODS code in a source such as /nhs/england/RXX/pas/prod."""
    found = _TRUST.match(source)
    return found[2] if found else None


def _check_schema(dataschema: str | None, stored: str) -> None:
    wanted = f"/schemas/{stored}.json"
    if dataschema is None:
        raise Refusal("missing-dataschema", "/dataschema", "dataschema is absent", f"send a URL that ends in {wanted}")
    if not dataschema.endswith(wanted):
        raise Refusal(
            "other-dataschema", "/dataschema", "the schema is not the type's", f"send a URL that ends in {wanted}"
        )


def _refused(kind: _Kind, data: bytes) -> list[Entry]:
    """Every field that is wrong, in the order of the report: what was read in two parts is read anew as a whole."""
    try:
        kind.report.__pydantic_validator__.validate_json(data, strict=True)
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False, include_context=False)[:_MOST_REASONS]
        return [_invalid(kind.stored, each["loc"], each["msg"]) for each in told]
    raise ValueError("a report is right as a whole and wrong in its parts")


def _invalid(stored: str, place: tuple[str | int, ...], expected: str) -> Refused:
    pointer = "".join(f"/{step}" for step in place)
    return Refused("", stored, "invalid-field", pointer, expected, f"follow the schema /schemas/{stored}.json")


def _check_dates(kind: _Kind, fact: Fact) -> None:
    """The calendar's rules, which no pattern holds: what breaks them could be stored, but never be read again."""
    for name in kind.instants:
        moment = getattr(fact, name)
        if moment is not None and moment.year < _EARLIEST_YEAR:
            raise _bad_date(f"/fact/{name}")
    for name in kind.days:
        _checked_day(getattr(fact, name), f"/fact/{name}")


def _checked_day(words: str | None, pointer: str) -> None:
    if words is not None:
        _parsed(words, pointer)


def _occurred(words: str) -> Occurred:
    return _parsed(words, "/occurred")


def _parsed(words: str, pointer: str) -> Occurred:
    try:
        return _moment(words)
    except (ValueError, OverflowError):
        raise _bad_date(pointer) from None


@lru_cache(20_000)
def _moment(words: str) -> Occurred:
    """The same dates come again and again."""
    moment = times.parse(words)
    if moment.at.year < _EARLIEST_YEAR:
        raise ValueError("before any living person's record")
    return moment


def _bad_date(pointer: str) -> Refusal:
    return Refusal("invalid-field", pointer, "not a date of the calendar", "send a date that exists")


def _patient(told: Any, source: str) -> PatientReference:
    """Raises ValidationError."""
    person = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    return _met(person, source) if len(person) <= _LONGEST_REMEMBERED else _met.__wrapped__(person, source)


@lru_cache(2_000)
def _met(person: bytes, source: str) -> PatientReference:
    """A person's events come in a row, each with all that its source knows of them."""
    read = Person.__pydantic_validator__.validate_json(person, strict=True)
    told: list[Identifier] = []
    if read.nhs_number is not None:
        told.append(identifier(NHS_NUMBER, read.nhs_number, source))
    told.extend(identifier(each.system, each.value, source) for each in read.identifiers)
    return PatientReference(identifiers=tuple(dict.fromkeys(told)), name=read.name, birth_date=read.birth_date)
