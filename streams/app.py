"""The Faust application: group membership, fetching and rebalances. Everything that must not be lost is the meter's.

    usage.v1 ──► agent: apply ──► partition store ──► totals.v1, overage.v1, rejected.v1

Faust's tables, acks and commits carry no guarantee here: the store knows which offset it has applied, and each
assignment starts from there, whatever the group committed.
"""

import ssl
from typing import Any

import faust
import structlog
from faust.types import TP

from schemas import topics
from schemas.settings import Settings
from streams.consumer import consumer_class
from streams.meter import Meter

log = structlog.get_logger()


def create_app(settings: Settings, meter: Meter) -> Any:
    """Return the Faust app that feeds `meter`; nothing connects before it is started."""
    app = _MeterApp(
        meter,
        f"{settings.topic_prefix}meter",
        broker=[f"kafka://{server}" for server in settings.kafka_bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        datadir=settings.meter_data_dir,
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.meter_worker_id,
        broker_session_timeout=10,
        broker_heartbeat_interval=3,
        broker_request_timeout=30,
        broker_max_poll_records=10_000,
        broker_commit_interval=1,
        # A message is what a fetch brought of one partition, a megabyte or more.
        stream_buffer_maxsize=4,
    )
    app.transport.Consumer = consumer_class(meter)
    usage = app.topic(settings.topic(topics.USAGE), key_serializer="raw", value_serializer="raw")

    @app.agent(usage, concurrency=1)  # type: ignore[untyped-decorator]
    async def apply_usage(stream: Any) -> None:
        async for event in stream.noack().events():
            if await meter.apply(event.message.partition, event.message.value):
                event.ack()

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def take_up(_sender: Any, assigned: set[TP], **_: Any) -> None:
        await meter.assign(tp.partition for tp in assigned if tp.topic == usage.get_topic_name())

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def give_up(_sender: Any, revoked: set[TP], **_: Any) -> None:
        await meter.revoke(tp.partition for tp in revoked if tp.topic == usage.get_topic_name())

    @app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
    async def finish(_sender: Any, **_: Any) -> None:
        await meter.stop()

    return app


class _MeterApp(faust.App):  # type: ignore[misc]
    """An app that has its meter ready before it joins the group."""

    def __init__(self, meter: Meter, app_id: str, **options: Any) -> None:
        self._meter = meter
        super().__init__(app_id, **options)

    async def _on_agent_error(self, _agent: Any, error: BaseException) -> None:
        """End the process: left to itself, Faust starts the agent again behind the records on their way to it."""
        self._meter.fail(error)

    async def on_start(self) -> None:
        """Read the catalog first: nothing is rated without it."""
        await self._meter.start()
        await super().on_start()


def _credentials(settings: Settings) -> Any:
    if settings.kafka_security_protocol == "PLAINTEXT":
        return None

    context = (
        ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if "SSL" in settings.kafka_security_protocol
        else None
    )
    if settings.kafka_sasl_password is None:
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=settings.kafka_sasl_username,
        password=settings.kafka_sasl_password.get_secret_value(),
        mechanism=settings.kafka_sasl_mechanism,
        ssl_context=context,
    )
