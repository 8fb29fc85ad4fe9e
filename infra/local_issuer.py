"""A token issuer for development: signs what NHS login, CIS2 and the systems' issuer would, for invented people.

It refuses production. Keys are made at their first use in `DATA_DIR/issuer`, beside the JWKS file that the API
reads: RS512 for patients (NHS login), ES256 for staff and for systems.
"""

import base64
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from infra.settings import Settings
from infra.synthetic.hospitals import CONSULTANT, NURSE, Professional

HALF_A_DAY = timedelta(hours=12)
RSA_BITS = 2048

# National role-based access control, as CIS2 conveys it: a job role, and activity codes, which decide.
_CLINICAL_ACTIVITIES = ("B0360", "B0380", "B0825")
_CLINICIAN_JOB = ("S8000:G8000:R8000", "Clinical Practitioner Access Role")
_NURSE_JOB = ("S8000:G8000:R8001", "Nurse Access Role")
_OFFICE_JOB = ("S8000:G8001:R8008", "Admin/Clinical Support Access Role")


class IssuerRefused(Exception):
    """The local issuer signs for development only, and only for roles that it knows; the message says which."""


@dataclass(frozen=True)
class _StaffRole:
    """Whom a staff token is for when nobody is named, and with which access."""

    role: str
    who: Professional
    job: tuple[str, str]
    activities: tuple[str, ...]


def _office(identifier: str, name: str, role: str) -> Professional:
    return Professional(identifier, name, role, "RZ1", "01632 960400")


_STAFF: Mapping[str, _StaffRole] = MappingProxyType(
    {
        "clinician": _StaffRole("clinician", CONSULTANT, _CLINICIAN_JOB, _CLINICAL_ACTIVITIES),
        "care-lead": _StaffRole("clinician", NURSE, _NURSE_JOB, _CLINICAL_ACTIVITIES),
        "auditor": _StaffRole("auditor", _office("555000000301", "Priya Raman", "Auditor"), _OFFICE_JOB, ("B0016",)),
        "privacy-officer": _StaffRole(
            "privacy-officer", _office("555000000302", "Gethin Rowe", "Privacy officer"), _OFFICE_JOB, ("B0015",)
        ),
        "operator": _StaffRole("operator", _office("555000000303", "Lena Brandt", "Operator"), _OFFICE_JOB, ("B0062",)),
    }
)
_SYSTEMS = MappingProxyType({"publisher": "demo-hospital-publisher", "aggregator": "demo-nhs-app-aggregator"})
ROLES = ("patient", *_STAFF, *_SYSTEMS)


class LocalIssuer:
    """`token` signs, `jwks_path` names the public keys. Raises IssuerRefused where ENVIRONMENT is production."""

    def __init__(self, data_dir: Path, issuer: str, audience: str) -> None:
        if os.environ.get("ENVIRONMENT") == "production":
            raise IssuerRefused("the local issuer signs in development only; production has issuers of its own")
        self._folder = data_dir / "issuer"
        self._issuer = issuer
        self._audience = audience

    @property
    def jwks_path(self) -> Path:
        """The JWKS file; written, with keys for it, where it is missing."""
        path = self._folder / "jwks.json"
        if not path.exists():
            keys = [_Key.of(self._folder, kind).public for kind in ("patient", "staff", "system")]
            _publish(path, orjson.dumps({"keys": keys}))
        return path

    def token(
        self,
        role: str,
        *,
        nhs_number: str | None = None,
        birth_date: date | None = None,
        organisation: str | None = None,
        subject: str | None = None,
        lifetime: timedelta = HALF_A_DAY,
    ) -> str:
        """A signed JWT for one of ROLES; `subject` replaces the demo's professional or client of that role.

        A patient's needs the NHS number and birth date. Raises IssuerRefused where it cannot say what it must.
        """
        if role == "patient":
            return self._sign("patient", _patient_claims(nhs_number, birth_date, subject), lifetime)
        if role in _STAFF:
            return self._sign("staff", _staff_claims(_STAFF[role], organisation, subject), lifetime)
        if role in _SYSTEMS:
            client = subject or _SYSTEMS[role]
            claims = {"sub": client, "client_id": client, "role": role}
            if organisation is not None:  # without one it is an integration engine of several organisations
                claims["organisation"] = organisation
            return self._sign("system", claims, lifetime)
        raise IssuerRefused(f"no such role; there are {', '.join(ROLES)}")

    def _sign(self, kind: str, claims: Mapping[str, Any], lifetime: timedelta) -> str:
        _ = self.jwks_path  # the API must find the key that signs
        now = int(time.time())
        times = {"iat": now, "nbf": now, "exp": now + int(lifetime.total_seconds()), "jti": str(uuid4())}
        key = _Key.of(self._folder, kind)
        content = {"iss": self._issuer, "aud": self._audience, **times, **claims}
        return jwt.encode(content, key.private, key.algorithm, {"kid": key.public["kid"]})


def local_issuer(settings: Settings) -> LocalIssuer:
    """The issuer of this development system; IssuerRefused in production."""
    if not settings.in_development:
        raise IssuerRefused("the local issuer signs in development only; set ENVIRONMENT=development there")
    return LocalIssuer(settings.data_dir, settings.local_issuer, settings.local_audience)


def _patient_claims(nhs_number: str | None, birth_date: date | None, subject: str | None) -> dict[str, Any]:
    """As NHS login's ID token has them after proof of identity at level P9."""
    if nhs_number is None or birth_date is None:
        raise IssuerRefused("a patient's token needs a person: PATIENT=patient_id (see `python -m infra demo`)")
    digest = hashlib.sha256(f"local issuer {nhs_number}".encode()).hexdigest()
    return {
        "sub": subject or f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}",
        "nhs_number": nhs_number,
        "birthdate": birth_date.isoformat(),
        "identity_proofing_level": "P9",
        "vot": "P9.Cp.Cd",
        "vtm": "https://auth.cancerplan.invalid/trustmark",
        "auth_time": int(time.time()),
        "token_use": "id",
    }


def _staff_claims(staff: _StaffRole, organisation: str | None, subject: str | None) -> dict[str, Any]:
    """As CIS2's user information has them: the role that is selected, its organisation and activity codes. `role`,
    `organisation` and `professional` say the same in our own words, as the API maps other issuers' claims to."""
    identifier = subject or staff.who.identifier
    person_role = f"{identifier[:9]}901"
    code, name = staff.job
    job = {
        "person_orgid": f"{identifier[:9]}801",
        "person_roleid": person_role,
        "org_code": organisation or staff.who.organisation,
        "role_code": code,
        "role_name": name,
        "activity_codes": list(staff.activities),
    }
    return {
        "sub": identifier,
        "uid": identifier,
        "nhsid_useruid": identifier,
        "name": staff.who.name if subject is None else identifier,
        "selected_roleid": person_role,
        "nhsid_nrbac_roles": [job],
        "role": staff.role,
        "organisation": job["org_code"],
        "professional": identifier,
        "id_assurance_level": "3",
        "authentication_assurance_level": "3",
    }


@dataclass(frozen=True)
class _Key:
    private: Any
    algorithm: str
    public: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, kind: str) -> "_Key":
        """The key of patients, staff or systems, from `folder`; made where it is missing, never replaced."""
        path = folder / f"{kind}.pem"
        algorithm, make = _MAKERS[kind]
        if not path.exists():
            made = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _publish(path, made)
        private: Any = load_pem_private_key(path.read_bytes(), password=None)
        public = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
        kid = _thumbprint(public)
        return cls(private, algorithm, {**public, "kid": kid, "use": "sig", "alg": algorithm, "key_ops": ["verify"]})


_MAKERS: Mapping[str, tuple[str, Callable[[], Any]]] = MappingProxyType(
    {
        "patient": ("RS512", lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)),
        "staff": ("ES256", lambda: ec.generate_private_key(ec.SECP256R1())),
        "system": ("ES256", lambda: ec.generate_private_key(ec.SECP256R1())),
    }
)


def _thumbprint(public: Mapping[str, Any]) -> str:
    """RFC 7638: the digest of the key's required members in order."""
    members = {name: public[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in public}
    digest = hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _publish(path: Path, content: bytes) -> None:
    """The first of two that make the same file wins; it appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first, and its key counts
    finally:
        draft.unlink()
