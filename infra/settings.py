"""Settings of every process, from environment variables.

Sources, the first that names a variable wins: the environment; outside production
`DATA_DIR/settings.env`, which the running development system leaves there so that a command in another
shell finds it; a folder `SECRETS_DIR` with one file per variable. Production has no default that is
unsafe: what is missing is an error at its first use, which names the variable.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.secret_files import secret

DATABASE = "cancerplan"


class SettingsError(Exception):
    """A setting is missing, malformed or unsafe; the message names the variable and never its value."""


class Role(StrEnum):
    """Roles of the database; each process is given the URLs of those it needs."""

    OWNER = "owner"
    WRITER = "writer"
    PROJECTOR = "projector"
    READER = "reader"
    AUDITOR = "auditor"
    CUSTODIAN = "custodian"
    SEALER = "sealer"
    SHREDDER = "shredder"


@dataclass(frozen=True)
class Issuer:
    """Who signs tokens, for whom, and where its keys are: an https URL or the path of a JWKS file."""

    issuer: str
    audience: str
    jwks: str


class Settings(BaseSettings):
    """One value for each variable; the variable's name is the field's in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, use_attribute_docstrings=True)

    environment: Literal["development", "production"] = "production"
    """`make run` sets development, where servers, keys and tokens are local."""
    data_dir: Path = Path(".data")
    """Folder of the embedded servers' data and of generated secrets."""
    port: int = Field(default=8080, ge=1, le=65535)
    """Port of the HTTP door."""
    kafka_port: int = Field(default=9092, ge=1, le=65535)
    """Port of the embedded broker."""
    postgres_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the embedded PostgreSQL server; unset: any free one, and the same again next time."""

    database_url_owner: SecretStr | None = None
    """Runs migrations."""
    database_url_writer: SecretStr | None = None
    """Appends through the functions of the log."""
    database_url_projector: SecretStr | None = None
    """Reads the log, keeps the read models."""
    database_url_reader: SecretStr | None = None
    """Reads the read models, writes the access log."""
    database_url_auditor: SecretStr | None = None
    """Reads the log and the access log."""
    database_url_custodian: SecretStr | None = None
    """Wraps keys anew, and asks for and confirms destructions; no running process needs it."""
    database_url_sealer: SecretStr | None = None
    """Seals the access log, keeps the Merkle tree and the heads; sees positions, patient ids and hashes alone."""
    database_url_shredder: SecretStr | None = None
    """Carries out destructions that two people have agreed on, when they are due."""

    kafka_bootstrap: str | None = None
    """Brokers as `host:port,host:port`; unset in development: the embedded one."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] | None = None
    """PLAINTEXT in development, SASL_SSL elsewhere; production refuses PLAINTEXT."""
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256"] = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    """Certificates of the authority that signed the brokers' ones; unset: the system's."""
    events_topic: str = "care-events"
    signals_topic: str = "care-signals"
    checkpoints_topic: str = "care-checkpoints"

    key_file: Path | None = None
    """Key-encryption key; unset in development: a generated one under DATA_DIR."""
    key_provider: str = "file"
    """`file` (KEY_FILE), or `module:function` of a provider that the deployment brings, called with the settings."""
    destructions_file: Path | None = None
    """Ledger of destroyed keys, apart from the database and its backups; one file for all processes, on a share where
    they run on several machines; unset in development: under DATA_DIR."""
    destruction_delay_hours: float | None = Field(default=None, ge=0)
    """From a destruction's confirmation to when it may be carried out; unset: 168, in development 1. In production
    never less than that with which `python -m infra migrate` last ran."""
    custody_seconds: float = Field(default=60.0, gt=0)
    """How often `python -m infra keys run` looks for destructions that are due."""
    log_origin: str | None = None
    """Name of the log in its checkpoints, such as `pathway.example/log`; unset in development: `localhost/log`."""
    checkpoint_key_file: Path | None = None
    """Ed25519 key that signs checkpoints, as PEM; unset in development: a generated one under DATA_DIR."""
    checkpoints_dir: Path | None = None
    """Folder of signed checkpoints, away from the database; unset in development: one under DATA_DIR."""
    export_key_file: Path | None = None
    """Ed25519 key that signs exports, as PEM; unset in development: a generated one under DATA_DIR."""
    export_public_key_file: Path | None = None
    """Its public half, which the heads name, for the process that signs checkpoints; unset: EXPORT_KEY_FILE's."""
    checkpoint_seconds: float = Field(default=5.0, gt=0)
    """How often a checkpoint is signed when there is something new."""

    patient_issuer: str | None = None
    patient_audience: str | None = None
    patient_jwks: str | None = None
    staff_issuer: str | None = None
    staff_audience: str | None = None
    staff_jwks: str | None = None
    system_issuer: str | None = None
    system_audience: str | None = None
    system_jwks: str | None = None
    local_issuer: str = "https://issuer.cancerplan.invalid"
    """`iss` of the local issuer, which signs tokens in development only."""
    local_audience: str = "personalised-cancer-plan"
    """`aud` of the local issuer."""

    demo_patients: int = Field(default=200, ge=0)
    """How many synthetic people the development system publishes."""
    examples_dir: Path = Path("../shared/examples")
    """Public example messages, where there are any."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.environment == "production" and self.kafka_security_protocol == "PLAINTEXT":
            raise ValueError("KAFKA_SECURITY_PROTOCOL: production does not talk to Kafka in the clear")
        for name in ("patient_jwks", "staff_jwks", "system_jwks"):
            url = getattr(self, name) or ""
            if "://" in url and not url.startswith("https://"):
                raise ValueError(f"{name.upper()}: must be an https URL or the path of a file")
        return self

    @property
    def in_development(self) -> bool:
        return self.environment == "development"

    @property
    def secrets_dir(self) -> Path:
        return self.data_dir / "secrets"

    def database_url(self, role: Role) -> str:
        """The URL under which `role` connects; in development the embedded server's."""
        given: SecretStr | None = getattr(self, f"database_url_{role}")
        if given is not None:
            return given.get_secret_value()
        self._only_in_development(f"DATABASE_URL_{role.upper()}")
        if self.postgres_port is None:
            raise SettingsError(f"nothing runs on {self.data_dir}: start it with `make run`, or set DATABASE_URL_…")
        password = secret(self.secrets_dir, f"{role}.password")
        return f"postgresql://{role}:{password}@127.0.0.1:{self.postgres_port}/{DATABASE}"

    def key_encryption_file(self) -> Path:
        """The file that holds, or in development will hold, the key-encryption key."""
        if self.key_file is None:
            self._only_in_development("KEY_FILE")
        return self.key_file or self.secrets_dir / "key-encryption-key"

    def destruction_ledger(self) -> Path:
        """The file that names every key that was destroyed."""
        if self.destructions_file is None:
            self._only_in_development("DESTRUCTIONS_FILE")
        return self.destructions_file or self.data_dir / "destructions.jsonl"

    @property
    def destruction_delay(self) -> timedelta:
        """Long enough for whoever should object to hear of it."""
        unset = 1.0 if self.in_development else 168.0
        return timedelta(hours=unset if self.destruction_delay_hours is None else self.destruction_delay_hours)

    def log_name(self) -> str:
        """Origin of the log of events, as long as no epoch was opened anew."""
        if self.log_origin is None:
            self._only_in_development("LOG_ORIGIN")
        return self.log_origin or "localhost/log"

    def signing_key_file(self) -> Path:
        """The file that holds, or in development will hold, the key that signs checkpoints."""
        if self.checkpoint_key_file is None:
            self._only_in_development("CHECKPOINT_KEY_FILE")
        return self.checkpoint_key_file or self.secrets_dir / "checkpoint-key.pem"

    def exports_key_file(self) -> Path:
        """The file that holds, or in development will hold, the key that signs exports."""
        if self.export_key_file is None:
            self._only_in_development("EXPORT_KEY_FILE")
        return self.export_key_file or self.secrets_dir / "export-key.pem"

    def exports_public_file(self) -> Path:
        return self.export_public_key_file or self.exports_key_file()

    def checkpoints_folder(self) -> Path:
        if self.checkpoints_dir is None:
            self._only_in_development("CHECKPOINTS_DIR")
        return self.checkpoints_dir or self.data_dir / "checkpoints"

    def issuer(self, of: Literal["patient", "staff", "system"]) -> Issuer | None:
        """Who signs the tokens of these people; None in development means the local issuer."""
        parts = {f"{of}_{part}": getattr(self, f"{of}_{part}") for part in ("issuer", "audience", "jwks")}
        missing = [name.upper() for name, value in parts.items() if value is None]
        if len(missing) == len(parts) and self.in_development:
            return None
        if missing:
            raise SettingsError(f"{', '.join(missing)} must be set")
        return Issuer(*parts.values())

    def kafka(self) -> dict[str, object]:
        """Connection arguments for any client class of kafka-python."""
        protocol = self.kafka_security_protocol or ("PLAINTEXT" if self.in_development else "SASL_SSL")
        arguments: dict[str, object] = {
            "bootstrap_servers": self._kafka_servers().split(","),
            "security_protocol": protocol,
        }
        if protocol != "PLAINTEXT" and self.kafka_ca_file is not None:
            arguments["ssl_cafile"] = str(self.kafka_ca_file)
        if protocol == "SASL_SSL":
            arguments |= self._kafka_login()
        return arguments

    def _kafka_servers(self) -> str:
        if self.kafka_bootstrap is None:
            self._only_in_development("KAFKA_BOOTSTRAP")
        return self.kafka_bootstrap or f"127.0.0.1:{self.kafka_port}"

    def _kafka_login(self) -> dict[str, object]:
        if self.kafka_username is None or self.kafka_password is None:
            raise SettingsError("KAFKA_USERNAME and KAFKA_PASSWORD must be set for SASL_SSL")
        return {
            "sasl_mechanism": self.kafka_sasl_mechanism,
            "sasl_plain_username": self.kafka_username,
            "sasl_plain_password": self.kafka_password.get_secret_value(),
        }

    def _only_in_development(self, variable: str) -> None:
        if not self.in_development:
            told = f"{variable} must be set: production has no default for it"
            is_meant = os.environ.get("ENVIRONMENT") == "production"
            raise SettingsError(told if is_meant else f"{told}, and {self.data_dir} holds no development system")


def load_settings() -> Settings:
    """Read all sources; SettingsError where one does not hold what it should."""
    secrets_dir = os.environ.get("SECRETS_DIR") or None
    if secrets_dir is not None and not Path(secrets_dir).is_dir():
        raise SettingsError("SECRETS_DIR is not a folder")
    left_by_run = Path(os.environ.get("DATA_DIR") or ".data") / "settings.env"
    in_production = os.environ.get("ENVIRONMENT") == "production"
    try:
        return Settings(_env_file=None if in_production else left_by_run, _secrets_dir=secrets_dir)
    except ValidationError as error:
        raise SettingsError("; ".join(_named(detail["loc"], detail["msg"]) for detail in error.errors())) from None


def _named(location: tuple[int | str, ...], message: str) -> str:
    variable = ".".join(str(part) for part in location).upper()
    return f"{variable}: {message}" if variable else message.removeprefix("Value error, ")


def as_environment(settings: Settings) -> dict[str, str]:
    """What a child process must find in its environment to read the same settings: variable to text."""
    values = settings.model_dump(exclude_none=True)
    return {name.upper(): _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def leave_for_other_shells(settings: Settings) -> None:
    """Write `DATA_DIR/settings.env`, so that a command in another shell speaks to this development system."""
    if not settings.in_development:
        raise SettingsError("only a development system leaves its settings in DATA_DIR")
    names = ("ENVIRONMENT", "PORT", "KAFKA_PORT", "POSTGRES_PORT")
    environment = as_environment(settings)
    lines = [f"{name}={environment[name]}\n" for name in names if name in environment]
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    draft = settings.data_dir / ".settings.env.new"
    draft.write_text("".join(lines), encoding="utf-8")
    draft.replace(settings.data_dir / "settings.env")
