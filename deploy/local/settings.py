"""Settings of the local stack, prefix `FUSION_LOCAL_`; read once, by the commands."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

REPOSITORY = Path(__file__).resolve().parents[2]


class LocalSettings(BaseSettings):
    """What may differ from the defaults; a port of 0 means: choose a free one and keep it."""

    model_config = SettingsConfigDict(env_prefix="FUSION_LOCAL_", frozen=True)

    dir: Path = Field(Path(".local"), description="folder of this stack: data, logs, PIDs, addresses")
    kafka_port: int = Field(0, ge=0, le=65535, description="Kafka's client port")
    kafka_controller_port: int = Field(0, ge=0, le=65535, description="Kafka's controller port")
    postgres_port: int = Field(0, ge=0, le=65535, description="PostgreSQL's port")
    odoo_port: int = Field(0, ge=0, le=65535, description="Odoo's HTTP port")
    odoo_gevent_port: int = Field(0, ge=0, le=65535, description="Odoo's long-polling port, used with workers")
    gateway_port: int = Field(0, ge=0, le=65535, description="the gateway's HTTP port")
    kafka_heap_mb: int = Field(512, ge=256, description="the broker's Java heap")
    kafka_fast_start: bool = Field(
        False, description="compile with C1 only: starts sooner, peaks lower; for tests, never for benchmarks"
    )
    postgres_fsync: bool = Field(True, description="off only where losing the database is fine, as in tests")
    odoo_workers: int = Field(0, ge=0, description="0 = threads in one process; 2 or more for load")
    odoo_cron_threads: int = Field(1, ge=0, description="0 = no scheduled job runs by itself")
    ready_within_s: float = Field(90, gt=0, description="how long one process may take to become ready")
