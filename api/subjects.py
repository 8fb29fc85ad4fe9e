"""Who may do what about whom, as types that an endpoint names in its signature.

An endpoint without one of these types is public, and a test lists the public ones. A role that may not do a thing
is refused before anything is known of the patient; a patient who is not theirs is like one who does not exist.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.dependencies.models import Dependant

from api.identity import Principal, Role
from api.problems import ApiProblem, invalid_parameter
from api.services import Services, services_of
from domain.patient import NHS_NUMBER, Identifier
from projections.past.moments import Audience
from projections.reading.reads import Reader

_PURPOSES = {
    Role.PATIENT: "own-record",
    Role.AUDITOR: "clinical-audit",
    Role.PRIVACY_OFFICER: "privacy-review",
}
_AUDIENCES = {Role.PATIENT: Audience.PATIENT, Role.AUDITOR: Audience.AUDITOR}
_ANY_PATIENT = (Role.AUDITOR, Role.PRIVACY_OFFICER)
_KEY = re.compile(r"[A-Za-z0-9._-]{8,255}")
_MOST_POSITION = 2**62

_POSITION_SCHEMA = {"type": "integer", "minimum": 0, "maximum": _MOST_POSITION}
_AT_LEAST = (("query", "min-position"), ("header", "X-Min-Position"))


class Subject(NamedTuple):
    """The patient whom a request concerns, with who asks. `patient_id` is None where none can be meant, which reads
    like a stranger's. `at_least`: the answer must hold this position. `base` is the path of the patient."""

    services: Services
    request: Request
    principal: Principal
    reader: Reader
    patient_id: UUID | None
    base: str
    at_least: int | None = None

    @property
    def audience(self) -> Audience:
        return _AUDIENCES.get(self.principal.role, Audience.STAFF)


class Intent(NamedTuple):
    """A command's subject with `key`, its Idempotency-Key, and `if_match`, an ETag of an earlier read."""

    subject: Subject
    key: str
    if_match: str | None


class Allowing:
    """A verified person or system in one of `roles`. Raises ApiProblem invalid-token, forbidden.

    Takes nothing but the request: each parameter and each dependency of a dependency costs every request some forty
    microseconds. What the description says of it is here in `parameters` and, that a token is needed, in openapi.py.
    """

    parameters: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(self, request: Request) -> Principal:
        return await self.principal(request, services_of(request))

    async def principal(self, request: Request, services: Services) -> Principal:
        principal = await services.identity.principal(request.headers.get("authorization"))
        if principal.role not in self.roles:
            raise ApiProblem("forbidden")
        return principal


def allowing(dependant: Dependant) -> Iterator[Allowing]:
    """Those that a request of this endpoint must pass; of a public one none."""
    if isinstance(dependant.call, Allowing):
        yield dependant.call
    for each in dependant.dependencies:
        yield from allowing(each)


class AllowingReader(Allowing):
    """The same, as who reads: for questions that concern no single patient."""

    async def __call__(self, request: Request) -> Reader:  # type: ignore[override]  # a dependency is called by its own annotations
        return _reader(await self.principal(request, services_of(request)), None, request)


class Viewing(Allowing):
    """Raises ApiProblem invalid-request too."""

    parameters = tuple(
        {
            "name": name,
            "in": place,
            "required": False,
            "schema": _POSITION_SCHEMA,
            "description": "Answer no earlier than with this position of the log.",
        }
        for place, name in _AT_LEAST
    )

    async def __call__(self, request: Request) -> Subject:  # type: ignore[override]  # as above
        at_least = _at_least(request)
        return (await self.subject(request, services_of(request)))._replace(at_least=at_least)

    async def subject(self, request: Request, services: Services) -> Subject:
        principal = await self.principal(request, services)
        own = await _own_id(principal, services) if principal.role is Role.PATIENT else None
        named = request.path_params.get("patient_id")
        if named is None and principal.role is not Role.PATIENT:
            raise ApiProblem("forbidden")
        patient_id = own if named is None else _uuid(named)
        base = "/v1/me" if named is None else f"/v1/patients/{named}"
        return Subject(services, request, principal, _reader(principal, own, request), patient_id, base)


class Acting(Viewing):
    """Raises ApiProblem idempotency-key-missing too."""

    parameters = ()

    async def __call__(  # type: ignore[override]  # as above
        self, request: Request,
        idempotency_key: Annotated[str | None, Header(description="Required; one for each request.")] = None,
        if_match: Annotated[str | None, Header(description="ETag of a read: nothing newer may stand.")] = None,
    ) -> Intent:  # fmt: skip
        subject = await self.subject(request, services_of(request))
        if idempotency_key is None or not _KEY.fullmatch(idempotency_key):
            raise ApiProblem("idempotency-key-missing")
        return Intent(subject, idempotency_key, if_match)


def _reader(principal: Principal, own: UUID | None, request: Request) -> Reader:
    return Reader(
        actor=principal.actor if own is None else f"patient/{own}",
        role=principal.role,
        organisation=principal.organisation,
        professional=principal.professional,
        patient_id=own,
        any_patient=principal.role in _ANY_PATIENT,
        purpose=_PURPOSES.get(principal.role, "direct-care"),
        correlation_id=request.scope.get("correlation_id"),
    )


async def _own_id(principal: Principal, services: Services) -> UUID | None:
    claimed = Identifier(system=NHS_NUMBER, value=principal.nhs_number or "")
    digest = services.keys.identifier_digest(claimed)
    return await services.accesses.claimed(digest, principal.birth_date or "")


def _at_least(request: Request) -> int | None:
    query = request.query_params if request.scope["query_string"] else {}
    told = ((name, (query if place == "query" else request.headers).get(name)) for place, name in _AT_LEAST)
    return max((_position(name, each) for name, each in told if each is not None), default=0) or None


def _position(name: str, told: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", told) or int(told) > _MOST_POSITION:
        raise invalid_parameter(name, "is not a position of the log")
    return int(told)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


CareViewer = Annotated[Subject, Depends(Viewing(Role.PATIENT, Role.CLINICIAN, Role.AUDITOR))]
AuditViewer = Annotated[Subject, Depends(Viewing(Role.AUDITOR))]
AccessViewer = Annotated[Subject, Depends(Viewing(Role.PATIENT, Role.AUDITOR, Role.PRIVACY_OFFICER))]
ByClinician = Annotated[Intent, Depends(Acting(Role.CLINICIAN))]
ByPatientOrClinician = Annotated[Intent, Depends(Acting(Role.PATIENT, Role.CLINICIAN))]
# Whoever keeps the records: joins, parts and moves, for any patient.
Keeper = Annotated[Subject, Depends(Viewing(Role.PRIVACY_OFFICER))]
ByKeeper = Annotated[Intent, Depends(Acting(Role.PRIVACY_OFFICER))]
ByClinicianOrKeeper = Annotated[Intent, Depends(Acting(Role.CLINICIAN, Role.PRIVACY_OFFICER))]
Searcher = Annotated[Reader, Depends(AllowingReader(Role.CLINICIAN, Role.AUDITOR, Role.PRIVACY_OFFICER))]
KeeperOfAll = Annotated[Reader, Depends(AllowingReader(Role.PRIVACY_OFFICER))]
Publisher = Annotated[Principal, Depends(Allowing(Role.PUBLISHER))]
Operator = Annotated[Principal, Depends(Allowing(Role.OPERATOR))]
Follower = Annotated[Principal, Depends(Allowing(*Role))]
