"""Settings: sources and their order, what development derives, what production demands."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.secret_files import secret
from infra.settings import (
    Issuer,
    Role,
    Settings,
    SettingsError,
    as_environment,
    leave_for_other_shells,
    load_settings,
)

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Read the settings with exactly the given variables set, and DATA_DIR in a folder of its own."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("SECRETS_DIR", raising=False)

    def read(**variables: str) -> Settings:
        for name, value in {"DATA_DIR": str(tmp_path), **variables}.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return read


def test_production_is_the_default(load: Load) -> None:
    assert not load().in_development


@pytest.mark.parametrize(
    ("use", "variable"),
    [
        (lambda settings: settings.database_url(Role.WRITER), "DATABASE_URL_WRITER"),
        (lambda settings: settings.database_url(Role.AUDITOR), "DATABASE_URL_AUDITOR"),
        (lambda settings: settings.key_encryption_file(), "KEY_FILE"),
        (lambda settings: settings.issuer("patient"), "PATIENT_ISSUER, PATIENT_AUDIENCE, PATIENT_JWKS"),
        (lambda settings: settings.issuer("system"), "SYSTEM_JWKS"),
        (lambda settings: settings.kafka(), "KAFKA_BOOTSTRAP"),
        (lambda settings: settings.log_name(), "LOG_ORIGIN"),
        (lambda settings: settings.signing_key_file(), "CHECKPOINT_KEY_FILE"),
        (lambda settings: settings.checkpoints_folder(), "CHECKPOINTS_DIR"),
    ],
)
def test_production_names_what_is_missing(load: Load, use: Callable[[Settings], object], variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        use(load(ENVIRONMENT="production"))


def test_whoever_meant_a_development_system_hears_where_it_was_looked_for(load: Load, tmp_path: Path) -> None:
    """`make run` with another DATA_DIR, and a command in a shell that does not know of it."""
    with pytest.raises(SettingsError, match=f"production has no default for it, and {tmp_path} holds no development"):
        load().database_url(Role.READER)
    with pytest.raises(SettingsError, match=r"production has no default for it$"):
        load(ENVIRONMENT="production").database_url(Role.READER)


def test_production_logs_in_to_kafka_over_tls(load: Load) -> None:
    with pytest.raises(SettingsError, match="KAFKA_PASSWORD"):
        load(KAFKA_BOOTSTRAP="k1:9093,k2:9093").kafka()
    arguments = load(KAFKA_USERNAME="consumer", KAFKA_PASSWORD="pw", KAFKA_CA_FILE="/ca.pem").kafka()
    assert arguments == {
        "bootstrap_servers": ["k1:9093", "k2:9093"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "consumer",
        "sasl_plain_password": "pw",
        "ssl_cafile": "/ca.pem",
    }
    with pytest.raises(SettingsError, match="KAFKA_SECURITY_PROTOCOL"):
        load(KAFKA_SECURITY_PROTOCOL="PLAINTEXT")


def test_development_derives_what_is_not_given(load: Load, tmp_path: Path) -> None:
    settings = load(ENVIRONMENT="development", POSTGRES_PORT="6001", KAFKA_PORT="6002")
    url = settings.database_url(Role.READER)
    password = (tmp_path / "secrets" / "reader.password").read_text()
    assert url == f"postgresql://reader:{password}@127.0.0.1:6001/cancerplan"
    assert settings.kafka() == {"bootstrap_servers": ["127.0.0.1:6002"], "security_protocol": "PLAINTEXT"}
    assert settings.issuer("staff") is None
    assert settings.key_encryption_file() == tmp_path / "secrets" / "key-encryption-key"


def test_development_without_a_server_says_how_to_start_one(load: Load) -> None:
    with pytest.raises(SettingsError, match="make run"):
        load(ENVIRONMENT="development").database_url(Role.WRITER)


def test_a_half_configured_issuer_is_an_error_everywhere(load: Load) -> None:
    with pytest.raises(SettingsError, match=r"^STAFF_AUDIENCE, STAFF_JWKS must be set$"):
        load(ENVIRONMENT="development", STAFF_ISSUER="https://issuer.example").issuer("staff")
    complete = load(STAFF_AUDIENCE="plan", STAFF_JWKS="/keys.json").issuer("staff")
    assert complete == Issuer("https://issuer.example", "plan", "/keys.json")


def test_keys_are_never_fetched_in_the_clear(load: Load) -> None:
    with pytest.raises(SettingsError, match="PATIENT_JWKS"):
        load(PATIENT_JWKS="http://issuer.example/jwks")


def test_an_error_names_the_variable_and_not_its_value(load: Load) -> None:
    with pytest.raises(SettingsError, match=r"^PORT: ") as caught:
        load(PORT="hunter2")
    assert "hunter2" not in str(caught.value)


def test_an_empty_variable_counts_as_unset(load: Load) -> None:
    assert load(PORT="", KEY_FILE="").port == 8080


def test_secrets_may_come_from_files(load: Load, tmp_path: Path) -> None:
    (tmp_path / "database_url_writer").write_text("postgresql://w@db/plan")
    settings = load(SECRETS_DIR=str(tmp_path))
    assert settings.database_url(Role.WRITER) == "postgresql://w@db/plan"
    assert "postgresql" not in repr(settings)
    with pytest.raises(SettingsError, match="SECRETS_DIR"):
        load(SECRETS_DIR=str(tmp_path / "absent"))


def test_another_shell_finds_the_running_system(load: Load) -> None:
    leave_for_other_shells(load(ENVIRONMENT="development", POSTGRES_PORT="6001", PORT="6003"))
    for name in ("ENVIRONMENT", "POSTGRES_PORT", "PORT"):
        os.environ.pop(name)
    found = load()
    assert (found.environment, found.postgres_port, found.port) == ("development", 6001, 6003)
    assert load(PORT="6004").port == 6004
    assert load(ENVIRONMENT="production").postgres_port is None


def test_production_leaves_nothing(load: Load) -> None:
    with pytest.raises(SettingsError):
        leave_for_other_shells(load())


def test_a_child_reads_the_same_settings(load: Load) -> None:
    settings = load(DATABASE_URL_OWNER="postgresql://o:pw@db/plan", KEY_FILE="/key", DEMO_PATIENTS="3")
    assert load(**as_environment(settings)) == settings


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: secret(tmp_path / "secrets", "writer.password"), range(40)))
    assert len(made) == 1
    assert stat.S_IMODE((tmp_path / "secrets" / "writer.password").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["writer.password"]
    assert secret(tmp_path / "secrets", "reader.password") not in made
