"""The development issuer: what its tokens say, who can verify them, and that production is refused."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest

from infra.local_issuer import ROLES, IssuerRefused, LocalIssuer, local_issuer
from infra.settings import Settings
from infra.synthetic.hospitals import CONSULTANT, NURSE

ISSUER, AUDIENCE = "https://issuer.example", "plan"


@pytest.fixture
def issuer(tmp_path: Path) -> LocalIssuer:
    return LocalIssuer(tmp_path, ISSUER, AUDIENCE)


def _verified(issuer: LocalIssuer, token: str) -> dict[str, Any]:
    header = jwt.get_unverified_header(token)
    keys = {key["kid"]: key for key in orjson.loads(issuer.jwks_path.read_bytes())["keys"]}
    key = keys[header["kid"]]
    assert header["alg"] == key["alg"]
    claims: dict[str, Any] = jwt.decode(
        token, jwt.PyJWK(key).key, algorithms=[key["alg"]], audience=AUDIENCE, issuer=ISSUER
    )
    return claims


def _for(issuer: LocalIssuer, role: str) -> str:
    return issuer.token(role, nhs_number="9990000018", birth_date=date(1960, 5, 1))


def test_a_patients_token_is_as_nhs_login_gives_it(issuer: LocalIssuer) -> None:
    token = _for(issuer, "patient")
    assert jwt.get_unverified_header(token)["alg"] == "RS512"
    claims = _verified(issuer, token)
    told = ("nhs_number", "birthdate", "identity_proofing_level", "vot", "token_use")
    assert [claims[name] for name in told] == ["9990000018", "1960-05-01", "P9", "P9.Cp.Cd", "id"]
    assert "9990000018" not in claims["sub"]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_verifies_against_the_published_keys(issuer: LocalIssuer, role: str) -> None:
    claims = _verified(issuer, _for(issuer, role))
    assert claims["exp"] - claims["iat"] == 12 * 3600
    if role != "patient":
        assert claims["role"] == ("clinician" if role == "care-lead" else role)


def test_staff_carry_organisation_and_activity_codes(issuer: LocalIssuer) -> None:
    claims = _verified(issuer, issuer.token("clinician", organisation="RZ2"))
    (role,) = claims["nhsid_nrbac_roles"]
    assert role["org_code"] == "RZ2"
    assert role["activity_codes"]
    assert claims["sub"] == claims["uid"] == CONSULTANT.identifier
    assert _verified(issuer, issuer.token("care-lead"))["sub"] == NURSE.identifier


def test_a_system_names_its_client_and_organisation(issuer: LocalIssuer) -> None:
    claims = _verified(issuer, issuer.token("publisher", organisation="RZ3", subject="a-client"))
    assert (claims["sub"], claims["client_id"], claims["organisation"]) == ("a-client", "a-client", "RZ3")


def test_a_token_expires(issuer: LocalIssuer) -> None:
    with pytest.raises(jwt.ExpiredSignatureError):
        _verified(issuer, issuer.token("auditor", lifetime=timedelta(seconds=-1)))


def test_keys_outlive_the_process(issuer: LocalIssuer, tmp_path: Path) -> None:
    token = _for(issuer, "patient")
    _verified(LocalIssuer(tmp_path, ISSUER, AUDIENCE), token)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "issuer").iterdir()} == {0o600}


@pytest.mark.parametrize("role", ["patient", "king"])
def test_it_does_not_sign_what_it_cannot_say(issuer: LocalIssuer, role: str) -> None:
    with pytest.raises(IssuerRefused):
        issuer.token(role)


def test_production_is_refused_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IssuerRefused):
        local_issuer(Settings(environment="production", data_dir=tmp_path))
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(IssuerRefused):
        LocalIssuer(tmp_path, ISSUER, AUDIENCE)
    assert not (tmp_path / "issuer").exists()
