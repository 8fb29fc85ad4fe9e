"""Who asks: bearer tokens verified by issuer, and the roles that they give.

Algorithms are pinned for each issuer: patients' tokens are RS512 (NHS login), those of staff and systems ES256 or
RS256. A token that names another algorithm, or none, is refused before any key is looked at.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import jwt
from jwt.exceptions import PyJWTError

from api.key_sets import KeySet, KeysUnavailable
from api.problems import ApiProblem
from infra.settings import Issuer

LEEWAY_SECONDS = 30
_LONGEST_TOKEN = 8_192
_REMEMBERED = 10_000
_REQUIRED = ["iss", "aud", "exp", "iat"]


class Role(StrEnum):
    PATIENT = "patient"
    CLINICIAN = "clinician"
    AUDITOR = "auditor"
    PRIVACY_OFFICER = "privacy-officer"
    PUBLISHER = "publisher"
    OPERATOR = "operator"
    AGGREGATOR = "aggregator"


# A care lead is a clinician who is named in the patient's plan; what they may do is the same.
_ROLES_OF_STAFF: Mapping[str, Role] = {
    "clinician": Role.CLINICIAN,
    "care-lead": Role.CLINICIAN,
    "auditor": Role.AUDITOR,
    "privacy-officer": Role.PRIVACY_OFFICER,
    "operator": Role.OPERATOR,
}
_ROLES_OF_SYSTEMS: Mapping[str, Role] = {"publisher": Role.PUBLISHER, "aggregator": Role.AGGREGATOR}


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified person or system. `actor` is who it is in the access log; a patient is there by patient_id.
    `nhs_number` and `birth_date` are of patients only, and of no log or answer."""

    role: Role
    actor: str
    organisation: str | None = None
    professional: str | None = None
    name: str | None = None
    nhs_number: str | None = field(default=None, repr=False)
    birth_date: str | None = field(default=None, repr=False)


class Trust(NamedTuple):
    """One issuer with what it may vouch for."""

    issuer: Issuer
    keys: KeySet
    algorithms: Sequence[str]
    principal: Callable[[Mapping[str, Any]], Principal]


class Identity:
    """Verifies tokens; a verified one is remembered until it expires."""

    def __init__(self, trusts: Sequence[Trust]) -> None:
        self._trusts = trusts
        self._verified: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()

    async def principal(self, authorization: str | None) -> Principal:
        """Raises ApiProblem invalid-token, or unavailable where the issuer's keys cannot be read."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
            raise ApiProblem("invalid-token")
        digest = hashlib.sha256(token.encode()).digest()
        held = self._verified.get(digest)
        if held is not None and held[0] > time.time():
            return held[1]
        expires, principal = await self._verify(token)
        self._remember(digest, expires, principal)
        return principal

    async def _verify(self, token: str) -> tuple[float, Principal]:
        try:
            header = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            trust = self._trusted(issuer, header.get("alg"))
            key = await trust.keys.key(str(header.get("kid")))
            if key is None or not header.get("kid"):
                raise ApiProblem("invalid-token")
            claims = jwt.decode(
                token, key, algorithms=list(trust.algorithms), audience=trust.issuer.audience,
                issuer=trust.issuer.issuer, leeway=LEEWAY_SECONDS, options={"require": _REQUIRED},
            )  # fmt: skip
        except PyJWTError:
            raise ApiProblem("invalid-token") from None
        except KeysUnavailable:
            raise ApiProblem("unavailable") from None
        return float(claims["exp"]), trust.principal(claims)

    def _trusted(self, issuer: object, algorithm: object) -> Trust:
        for trust in self._trusts:
            if trust.issuer.issuer == issuer and algorithm in trust.algorithms:
                return trust
        raise ApiProblem("invalid-token")

    def _remember(self, digest: bytes, expires: float, principal: Principal) -> None:
        self._verified[digest] = (expires, principal)
        while len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)


def trusts(patient: Issuer, staff: Issuer, system: Issuer) -> list[Trust]:
    """Staff and systems may share an issuer; then the claims decide which of the two a token is for."""
    signed = ("ES256", "RS256")
    same = (staff.issuer, staff.audience, staff.jwks) == (system.issuer, system.audience, system.jwks)
    people = [Trust(patient, KeySet(patient.jwks), ("RS512",), of_patient)]
    if same:
        return [*people, Trust(staff, KeySet(staff.jwks), signed, of_staff_or_system)]
    return [
        *people,
        Trust(staff, KeySet(staff.jwks), signed, of_staff),
        Trust(system, KeySet(system.jwks), signed, of_system),
    ]


def of_patient(claims: Mapping[str, Any]) -> Principal:
    """NHS login: only the highest proofing level vouches for an NHS number."""
    number, born = claims.get("nhs_number"), claims.get("birthdate")
    if claims.get("identity_proofing_level") != "P9" or not isinstance(number, str) or not isinstance(born, str):
        raise ApiProblem("invalid-token")
    return Principal(Role.PATIENT, "patient", nhs_number=number.replace(" ", ""), birth_date=born)


def of_staff(claims: Mapping[str, Any]) -> Principal:
    """CIS2: only the highest assurance of identity opens records."""
    if str(claims.get("id_assurance_level")) != "3":
        raise ApiProblem("invalid-token")
    return _working(claims, _ROLES_OF_STAFF)


def of_system(claims: Mapping[str, Any]) -> Principal:
    return _working(claims, _ROLES_OF_SYSTEMS)


def of_staff_or_system(claims: Mapping[str, Any]) -> Principal:
    return of_system(claims) if claims.get("role") in _ROLES_OF_SYSTEMS else of_staff(claims)


def _working(claims: Mapping[str, Any], roles: Mapping[str, Role]) -> Principal:
    role = roles.get(str(claims.get("role")))
    actor = _text(claims, "professional") or _text(claims, "sub")
    if role is None or actor is None:
        raise ApiProblem("invalid-token")
    organisation = _text(claims, "organisation")
    return Principal(
        role=role,
        actor=actor,
        organisation=organisation.upper() if organisation else None,
        professional=_text(claims, "professional"),
        name=_text(claims, "name"),
    )


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value[:300] if isinstance(value, str) and value else None
