"""The gateway as a process: Kafka and Odoo connected, HTTP served, stopped cleanly."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from producers.gateway.app import create_app
from producers.gateway.catalog import CatalogView
from producers.gateway.key_uses import KeyUses, KeyUseTeller
from producers.gateway.odoo import OdooCalls, TransportFactory
from producers.gateway.totals import TotalsView
from producers.kafka_client import CompactedReader, KafkaRecordProducer, ProducerLimits
from producers.metrics import GATEWAY_UNACKED_RECORDS
from schemas.settings import Settings
from schemas.topics import CATALOG, TOTALS, USAGE

_log = structlog.get_logger("fusion.gateway")

_DRAIN_EXTRA_S = 5


class Gateway:
    """The role. Starts without Kafka or Odoo and answers 503 where it needs them, until they are there."""

    def __init__(self, settings: Settings, connect_odoo: TransportFactory) -> None:
        self._settings = settings
        self._catalog = CatalogView()
        self._reader = CompactedReader(settings, settings.topic(CATALOG), self._catalog.apply)
        totals = TotalsView()
        self._totals_reader = CompactedReader(settings, settings.topic(TOTALS), totals.apply)
        totals.is_complete = self._totals_reader.is_caught_up
        limits = ProducerLimits(ack_timeout_s=settings.gateway_ack_timeout_s)
        self._producer = KafkaRecordProducer(settings, limits, topics=[settings.topic(USAGE)])
        self._odoo = OdooCalls(connect_odoo)
        key_uses = KeyUses()
        self._key_uses = KeyUseTeller(key_uses, connect_odoo)
        self.app = create_app(
            settings, self._producer, self._catalog, self._odoo, self._reader.is_caught_up, key_uses, totals
        )

    def is_ready(self) -> bool:
        """Tell whether it has reached Kafka and read the catalog in full, so that keys can be judged.

        Stays true when Kafka goes away later: the caller then gets our 503, which says more than a balancer's.
        """
        return self._producer.has_connected and self._reader.is_caught_up()

    def start(self) -> None:
        """Connect in the background."""
        GATEWAY_UNACKED_RECORDS.set_function(lambda: self._producer.unacked_records)
        self._producer.start()
        self._reader.start()
        self._totals_reader.start()
        self._key_uses.start()

    def close(self) -> None:
        """Flush what is queued for Kafka, at most for the acknowledgement time-out, and disconnect."""
        self.app.state.ports.intake.close()
        self._producer.close(self._settings.gateway_ack_timeout_s)
        self._reader.stop()
        self._totals_reader.stop()
        self._key_uses.close()
        self._odoo.close()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT: then take no new requests, answer those under way, flush, return."""
        config = uvicorn.Config(
            self.app,
            host=self._settings.gateway_host,
            port=self._settings.gateway_port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=int(self._settings.gateway_ack_timeout_s) + _DRAIN_EXTRA_S,
        )
        self.start()
        _log.info("gateway.started", host=self._settings.gateway_host, port=self._settings.gateway_port)
        try:
            with _signals_end_quietly():
                uvicorn.Server(config).run()
        finally:
            self.close()
        _log.info("gateway.stopped")


def run(settings: Settings, connect_odoo: TransportFactory) -> None:
    """Run the role until it is told to stop."""
    Gateway(settings, connect_odoo).run()


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Ignore the signal that uvicorn raises again once it has stopped: it would end the process before the flush."""
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
