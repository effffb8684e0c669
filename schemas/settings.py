"""All settings, from the environment (`FUSION_…`) or, for secrets, from files (`FUSION_…_FILE`).

Read once at start with `load`; a wrong value stops the start with one sentence.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.errors import ConfigurationError
from schemas.topics import Topic

ENV_PREFIX = "FUSION_"


class Settings(BaseSettings):
    """The one settings table. Times in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore", allow_inf_nan=False)

    # Kafka
    kafka_bootstrap: str = Field("127.0.0.1:9092", description="brokers, host:port, comma separated")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to the brokers"
    )
    kafka_sasl_mechanism: str | None = Field(None, description="for example SCRAM-SHA-512")
    kafka_sasl_username: str | None = Field(None, description="SASL user")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password")
    kafka_ssl_cafile: Path | None = Field(None, description="certificate authority of the brokers, PEM")
    topic_prefix: str = Field("billing.", description="before each topic's name", pattern=r"^[a-zA-Z0-9._-]*$")
    topic_partitions: int = Field(4, ge=1, le=1024, description="partitions of a new topic")
    topic_replication: int = Field(1, ge=1, le=7, description="replicas of a new topic")
    topic_min_insync: int = Field(1, ge=1, le=7, description="replicas that must have a record before it counts")
    usage_retention_days: int = Field(100, ge=1, description="how long the usage log is kept")
    usage_epoch: int = Field(1, ge=1, description="raise it when the usage topic is made anew")
    longest_period_days: int = Field(62, ge=1, description="longest billing period plus grace; the log must keep more")

    # Odoo
    odoo_url: str = Field(
        "http://127.0.0.1:8069", description="base address, without /web", pattern=r"^https?://[^/]+/?$"
    )
    odoo_db: str = Field("odoo", description="database name")
    odoo_login: str = Field("fusion-bot", description="user of the pipeline's group")
    odoo_password: SecretStr = Field(SecretStr(""), description="password or API key of that user")
    odoo_timeout_s: float = Field(60, gt=0, description="one call, connect to last byte")
    odoo_rows_per_call: int = Field(400, ge=1, le=500, description="rows in one call of the addon")
    catalog_poll_s: float = Field(1, gt=0, description="between two looks for catalog changes and outbox events")
    catalog_full_s: float = Field(60, gt=0, description="between two full comparisons, which also find deletions")

    catalog_deletions_percent_max: float = Field(
        50, gt=0, le=100, description="larger losses of the catalog stop the feed until a person allows them with 100"
    )

    # Gateway
    gateway_host: str = Field("127.0.0.1", description="address to listen on")
    gateway_port: int = Field(8080, ge=1, le=65535, description="port to listen on")
    gateway_body_bytes_max: int = Field(1 << 20, ge=1024, description="larger bodies get 413")
    gateway_ack_timeout_s: float = Field(5, gt=0, description="Kafka silent for so long: 503")
    gateway_requests_per_s: float = Field(
        1000, gt=0, description="per service; more get 429, bursts up to one second's"
    )

    # Meter
    meter_data_dir: Path = Field(Path(".local/data/meter"), description="snapshots; one directory per worker")
    meter_worker_id: str = Field("meter-0", description="stable per worker: static group membership")
    meter_flush_s: float = Field(1, gt=0, description="between two publications of changed totals")
    meter_memory_budget_mib: int = Field(
        1024, ge=64, description="alarm when the meter's process is about to need more; nothing is refused"
    )
    meter_snapshot_s: float = Field(120, gt=0, description="between two snapshots of a partition")
    meter_close_after_s: float = Field(
        3_024_000, ge=0, description="after its end an invoiced period's keys leave memory (35 days); 0: never"
    )
    meter_audit_s: float = Field(3600, ge=0, description="between two rounds of the continuous audit; 0: none")
    meter_audit_share: float = Field(0.1, gt=0, le=1, description="of one core that the continuous audit may take")

    # Webhooks
    webhook_schedule: Literal["compatible", "long"] = Field(
        "compatible", description="8 tries at 2^n minutes, or 3 days"
    )
    webhook_first_wait_s: float = Field(60, gt=0, description="unit of the compatible schedule; smaller only in tests")
    webhook_timeout_s: float = Field(15, gt=0, description="one attempt, connect to last byte")
    webhook_allow_private: bool = Field(default=False, description="allow http and private addresses (development)")
    webhook_worker_id: str = Field(
        "", max_length=64, description="stable per worker: a killed one resumes at once; empty: after 10 s"
    )
    webhook_rate_per_s: float = Field(10, gt=0, description="attempts per endpoint; bursts up to two seconds' worth")
    webhook_endpoint_in_flight: int = Field(4, ge=1, le=64, description="attempts at one endpoint at a time")
    webhook_in_flight: int = Field(500, ge=1, le=5000, description="attempts of one worker at a time")
    webhook_keep_days: float = Field(
        30, gt=0, description="how long ended deliveries are kept; less than events.v1 keeps may repeat deliveries"
    )
    secret_key: SecretStr = Field(SecretStr(""), description="Fernet key that seals webhook secrets on catalog.v1")

    # Every role
    ops_host: str = Field("127.0.0.1", description="address of /metrics, /healthz and /readyz")
    ops_port: int = Field(0, ge=0, le=65535, description="port of the same; 0 takes a free one and logs it")
    log_format: Literal["json", "console"] = Field("json", description="how log lines look")

    @model_validator(mode="after")
    def _retention_covers_a_period(self) -> Self:
        if self.usage_retention_days <= self.longest_period_days:
            raise ValueError(
                f"FUSION_USAGE_RETENTION_DAYS is {self.usage_retention_days}, must exceed"
                f" FUSION_LONGEST_PERIOD_DAYS ({self.longest_period_days}): the log is the truth of open periods"
            )
        return self

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL"):
            for name in ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password"):
                if not getattr(self, name):
                    raise ValueError(
                        f"{ENV_PREFIX}{name.upper()} must be set, as FUSION_KAFKA_SECURITY_PROTOCOL is"
                        f" {self.kafka_security_protocol}"
                    )
        return self

    @field_validator("kafka_ssl_cafile", mode="before")
    @classmethod
    def _empty_is_none(cls, path: object) -> object:
        return path or None

    @field_validator("odoo_url")
    @classmethod
    def _no_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 -- the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` only: it is the one place that reads an environment."""
        return (init_settings,)

    def topic(self, topic: Topic) -> str:
        """Full name of a topic on the cluster."""
        return self.topic_prefix + topic.name


def load(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Return the settings of `environment` (default: this process's), with `FUSION_X_FILE` read into `FUSION_X`.

    Raises:
        ConfigurationError: one sentence that names the variable, what is wrong and what would be right.
    """
    source = os.environ if environment is None else environment
    values = {
        name.removeprefix(ENV_PREFIX).lower(): value for name, value in source.items() if name.startswith(ENV_PREFIX)
    }
    for name in Settings.model_fields:
        path = values.get(f"{name}_file")
        if path is not None:
            values[name] = _read_secret(name, Path(path))
    try:
        return Settings(**{key: value for key, value in values.items() if key in Settings.model_fields} | overrides)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    """Return the first fault as `VARIABLE: what would be right (got what is there)`; secrets are not shown."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    name = str(first["loc"][0])
    kind = str(Settings.model_fields[name].annotation) if name in Settings.model_fields else ""
    got = "" if "Secret" in kind else f" (got {str(first['input'])!r})"
    return f"{ENV_PREFIX}{name.upper()}: {message[:1].lower()}{message[1:]}{got}"


def _read_secret(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        variable = f"{ENV_PREFIX}{name.upper()}_FILE"
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigurationError(f"{variable}: cannot read {path} ({why})") from error


def kafka_options(settings: Settings) -> dict[str, Any]:
    """Connection options in kafka-python's names: brokers and security, nothing else."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "security_protocol": settings.kafka_security_protocol,
        # The library's default of 30 s keeps a role away long after its broker is back.
        "reconnect_backoff_max_ms": 1000,
    }
    if settings.kafka_ssl_cafile:
        options["ssl_cafile"] = str(settings.kafka_ssl_cafile)
    return options | sasl_options(settings)


def sasl_options(settings: Settings) -> dict[str, Any]:
    """Return how to log in, if at all, in the names that kafka-python and aiokafka share."""
    if not settings.kafka_sasl_mechanism or not settings.kafka_sasl_password:
        return {}
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
    }
