"""Who may do what about whom, as types that an endpoint names in its signature.

An endpoint without one of these types is public, and a test lists the public ones. A role that may not do a thing
is refused before anything is known of the patient; a patient who is not theirs is like one who does not exist.
"""

import re
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import Depends, Header, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.identity import Principal, Role
from api.problems import ApiProblem
from api.services import Services, Shared
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

Bearer = Annotated[
    HTTPAuthorizationCredentials | None,
    Depends(HTTPBearer(bearerFormat="JWT", scheme_name="bearer", auto_error=False)),
]
AtLeast = Annotated[int | None, Query(alias="min-position", ge=0, le=_MOST_POSITION)]
AtLeastHeader = Annotated[int | None, Header(alias="X-Min-Position", ge=0, le=_MOST_POSITION)]


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
    """A verified person or system in one of `roles`. Raises ApiProblem invalid-token, forbidden."""

    def __init__(self, *roles: Role) -> None:
        self.roles = roles

    async def __call__(self, request: Request, services: Shared, _: Bearer) -> Principal:
        return await self.principal(request, services)

    async def principal(self, request: Request, services: Services) -> Principal:
        principal = await services.identity.principal(request.headers.get("authorization"))
        if principal.role not in self.roles:
            raise ApiProblem("forbidden")
        return principal


class AllowingReader(Allowing):
    """The same, as who reads: for questions that concern no single patient."""

    async def __call__(self, request: Request, services: Shared, _: Bearer) -> Reader:  # type: ignore[override]  # a dependency is called by its own annotations
        return _reader(await self.principal(request, services), None, request)


class Viewing(Allowing):
    async def __call__(  # type: ignore[override]  # as above
        self, request: Request, services: Shared, _: Bearer,
        at_least: AtLeast = None, at_least_header: AtLeastHeader = None,
    ) -> Subject:  # fmt: skip
        subject = await self.subject(request, services)
        return subject._replace(at_least=max(at_least or 0, at_least_header or 0) or None)

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

    async def __call__(  # type: ignore[override]  # as above
        self, request: Request, services: Shared, _: Bearer,
        idempotency_key: Annotated[str | None, Header(description="Required; one for each request.")] = None,
        if_match: Annotated[str | None, Header(description="ETag of a read: nothing newer may stand.")] = None,
    ) -> Intent:  # fmt: skip
        subject = await self.subject(request, services)
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
Publisher = Annotated[Principal, Depends(Allowing(Role.PUBLISHER))]
Operator = Annotated[Principal, Depends(Allowing(Role.OPERATOR))]
Follower = Annotated[Principal, Depends(Allowing(*Role))]
