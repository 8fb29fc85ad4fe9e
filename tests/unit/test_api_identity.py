"""Tokens that are not to be believed, one by one."""

import asyncio
import json
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from api.identity import Identity, Principal, Role, trusts
from api.key_sets import KeySet, KeysUnavailable
from api.problems import ApiProblem
from infra.local_issuer import LocalIssuer
from infra.settings import Issuer

ISS, AUD = "https://issuer.test", "plan"
BORN = date(1960, 5, 1)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> LocalIssuer:
    return LocalIssuer(tmp_path_factory.mktemp("issuer"), ISS, AUD)


@pytest.fixture
def identity(issuer: LocalIssuer) -> Identity:
    same = Issuer(ISS, AUD, str(issuer.jwks_path))
    return Identity(trusts(same, same, same))


def ask(identity: Identity, token: str, scheme: str = "Bearer") -> Principal:
    return asyncio.run(identity.principal(f"{scheme} {token}"))


def signed(issuer: LocalIssuer, kind: str, algorithm: str, **changes: Any) -> str:
    """A staff token with members changed, or left out where None, signed by a key of the issuer's."""
    now = int(time.time())
    whole = {"iss": ISS, "aud": AUD, "iat": now, "exp": now + 60, "sub": "1", "role": "clinician"}
    whole |= {"id_assurance_level": "3", **changes}
    claims = {name: value for name, value in whole.items() if value is not None and name != "kid"}
    private: Any = load_pem_private_key((issuer.jwks_path.parent / f"{kind}.pem").read_bytes(), password=None)
    return jwt.encode(claims, private, algorithm, {"kid": changes.get("kid", kid(issuer, kind))})


def kid(issuer: LocalIssuer, kind: str) -> str:
    place = ("patient", "staff", "system").index(kind)
    found: str = json.loads(issuer.jwks_path.read_bytes())["keys"][place]["kid"]
    return found


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("clinician", Role.CLINICIAN),
        ("care-lead", Role.CLINICIAN),
        ("auditor", Role.AUDITOR),
        ("privacy-officer", Role.PRIVACY_OFFICER),
        ("operator", Role.OPERATOR),
        ("publisher", Role.PUBLISHER),
        ("aggregator", Role.AGGREGATOR),
    ],
)
def test_each_role_is_known_by_its_token(identity: Identity, issuer: LocalIssuer, role: str, expected: Role) -> None:
    principal = ask(identity, issuer.token(role, organisation="ryy"))
    assert (principal.role, principal.organisation) == (expected, "RYY")


def test_a_patient_is_known_by_number_and_birth_date_which_nothing_repeats(
    identity: Identity, issuer: LocalIssuer
) -> None:
    principal = ask(identity, issuer.token("patient", nhs_number="9000000009", birth_date=BORN))
    assert (principal.role, principal.nhs_number, principal.birth_date) == (Role.PATIENT, "9000000009", "1960-05-01")
    assert "9000000009" not in repr(principal)
    assert "1960" not in repr(principal)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.test"},
        {"aud": "another"},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"iss": None},
        {"aud": None},
        {"kid": "unknown"},
        {"kid": ""},
        {"role": "owner"},
        {"role": None},
        {"id_assurance_level": "2"},
    ],
)
def test_what_a_token_must_say(identity: Identity, issuer: LocalIssuer, changes: dict[str, Any]) -> None:
    assert ask(identity, signed(issuer, "staff", "ES256")).role is Role.CLINICIAN
    with pytest.raises(ApiProblem, match="invalid-token"):
        ask(identity, signed(issuer, "staff", "ES256", **changes))


def test_half_a_minute_of_difference_between_clocks_is_forgiven(identity: Identity, issuer: LocalIssuer) -> None:
    assert ask(identity, signed(issuer, "staff", "ES256", exp=int(time.time()) - 20)).role is Role.CLINICIAN


def test_algorithms_are_pinned_to_their_issuer(identity: Identity, issuer: LocalIssuer) -> None:
    patient = {"nhs_number": "9000000009", "birthdate": "1960-05-01", "identity_proofing_level": "P9"}
    refused = [
        signed(issuer, "staff", "ES256", kid=kid(issuer, "patient")),
        signed(issuer, "patient", "RS256", **patient),
        signed(issuer, "patient", "RS512", role="auditor"),
        signed(issuer, "patient", "RS512", **patient | {"identity_proofing_level": "P5"}),
        signed(issuer, "patient", "PS512", **patient),
        jwt.encode({"iss": ISS, "aud": AUD}, "", "none", {"kid": kid(issuer, "staff")}),
        jwt.encode({"iss": ISS, "aud": AUD}, "k" * 64, "HS512", {"kid": kid(issuer, "patient")}),
    ]
    for token in refused:
        with pytest.raises(ApiProblem, match="invalid-token"):
            ask(identity, token)
    assert ask(identity, signed(issuer, "patient", "RS512", **patient)).role is Role.PATIENT


def test_a_key_of_the_same_name_from_elsewhere_does_not_sign(identity: Identity, issuer: LocalIssuer) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    claims = {"iss": ISS, "aud": AUD, "iat": now, "exp": now + 60, "nhs_number": "9", "birthdate": "1960-05-01"}
    token = jwt.encode(claims | {"identity_proofing_level": "P9"}, stranger, "RS512", {"kid": kid(issuer, "patient")})
    with pytest.raises(ApiProblem, match="invalid-token"):
        ask(identity, token)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer a.b.c", f"Bearer {'x' * 9000}"])
def test_what_is_no_token(identity: Identity, header: str | None) -> None:
    with pytest.raises(ApiProblem, match="invalid-token"):
        asyncio.run(identity.principal(header))


def test_a_verified_token_is_remembered_only_until_it_expires(identity: Identity, issuer: LocalIssuer) -> None:
    token = issuer.token("clinician", lifetime=timedelta(seconds=-29))
    assert ask(identity, token).role is Role.CLINICIAN
    expired = issuer.token("clinician", lifetime=timedelta(seconds=-40))
    with pytest.raises(ApiProblem, match="invalid-token"):
        ask(identity, expired)


def test_keys_that_appear_later_are_found(tmp_path: Path) -> None:
    late = LocalIssuer(tmp_path, ISS, AUD)
    place = tmp_path / "issuer" / "jwks.json"
    keys = KeySet(str(place))

    async def later() -> bool:
        with pytest.raises(KeysUnavailable):
            await keys.key("any")
        assert late.jwks_path == place
        await asyncio.sleep(1.1)
        return await keys.key(kid(late, "staff")) is not None

    assert asyncio.run(later())


class Counting(KeySet):
    """Counts how often the issuer is asked."""

    reads = 0

    def _read(self) -> bytes:
        self.reads += 1
        time.sleep(0.05)
        return super()._read()


def test_many_requests_fetch_the_keys_once_and_unknown_names_wait(issuer: LocalIssuer) -> None:
    keys = Counting(str(issuer.jwks_path))

    async def at_once() -> None:
        await asyncio.gather(*(keys.key(kid(issuer, "staff")) for _ in range(20)))
        for number in range(20):
            assert await keys.key(f"invented-{number}") is None

    asyncio.run(at_once())
    assert keys.reads == 1


@pytest.mark.parametrize(
    "content",
    ['{"keys": 1}', "[]", "{", '{"keys": [{"kty": "oct", "kid": "a", "k": "AAAA"}]}', '{"keys": [{"kid": "a"}, 1]}'],
)
def test_what_holds_no_usable_key_gives_none(tmp_path: Path, content: str) -> None:
    place = tmp_path / "jwks.json"
    place.write_text(content)

    async def key() -> object:
        try:
            return await KeySet(str(place)).key("a")
        except KeysUnavailable:
            return None

    assert asyncio.run(key()) is None


def test_a_key_set_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / "jwks.json"
    place.write_text('{"keys": [' + " " * 300_000 + "]}")
    with pytest.raises(KeysUnavailable):
        asyncio.run(KeySet(str(place)).key("a"))
