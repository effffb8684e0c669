"""The right to write what Odoo says: held by one feed at a time, and begun before Odoo is asked."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from producers.kafka_client import (
    CompactedReader,
    FencedPublisher,
    Position,
    ProducerLimits,
    Record,
    RecordTooLarge,
)
from producers.odoo_feed.mirror import CatalogMirror
from schemas.errors import BrokerUnavailable, OwnershipLost
from schemas.settings import Settings
from schemas.topics import CATALOG

_ACK_TIMEOUT_S = 10.0
_RECORDS_MAX = 500  # of a transaction
_TRANSACTION_BYTES_MAX = 8 << 20


class Session(Protocol):
    """From one taking-over to the next, or to the first failure.

    Whatever is published in it was read from Odoo after it began, and after everything that an earlier session
    published. So two feeds at once leave nothing stale behind: the older one is shut out.
    """

    def catalog(self) -> dict[str, bytes] | None:
        """Return what the catalog topic holds, all that this session wrote included; None while that is being read."""
        ...

    def publish(self, topic: str, records: Sequence[Record]) -> None:
        """Return once all in-sync replicas hold every record, those of one key in order.

        Raises:
            BrokerUnavailable: some may be in the log, some not; read Odoo again and publish in a new session.
            OwnershipLost: another feed has begun a session.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...


class Sessions:
    """Opens a session where there is none, and drops the one that failed."""

    def __init__(self, begin: Callable[[], Session]) -> None:
        self._begin = begin
        self._session: Session | None = None

    @contextmanager
    def current(self) -> Iterator[Session]:
        """Yield the session that lasts; one that fails inside is not used again.

        Raises:
            BrokerUnavailable: none can begin.
        """
        session = self._session = self._session or self._begin()
        try:
            yield session
        except (BrokerUnavailable, OwnershipLost, RecordTooLarge):
            self.close()
            raise

    def close(self) -> None:
        """End what lasts."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


class KafkaSession:
    """The real session. It reads the catalog topic after it has shut out whoever wrote there before."""

    def __init__(self, settings: Settings) -> None:
        """Begin; raises BrokerUnavailable."""
        name = f"{settings.topic_prefix}odoo-feed"
        self._publisher = FencedPublisher(settings, name, ProducerLimits(ack_timeout_s=_ACK_TIMEOUT_S))
        self._topic = settings.topic(CATALOG)
        self._mirror = CatalogMirror()
        self._reader = CompactedReader(settings, self._topic, self._mirror.apply)
        self._written: dict[int, Position] = {}
        self._reader.start()

    def catalog(self) -> dict[str, bytes] | None:
        """See `Session.catalog`."""
        is_read = self._reader.is_caught_up() and all(map(self._reader.has_read, self._written.values()))
        return self._mirror.values() if is_read else None

    def publish(self, topic: str, records: Sequence[Record]) -> None:
        """See `Session.publish`."""
        for transaction in in_transactions(records):
            positions = self._publisher.publish(transaction)
            if topic == self._topic:
                self._written |= {position.partition: position for position in positions}

    def close(self) -> None:
        """See `Session.close`."""
        self._reader.stop()
        self._publisher.close()


def in_transactions(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the records in order, in parts that a broker takes at once."""
    part: list[Record] = []
    size_bytes = 0
    for record in records:
        record_bytes = len(record.value or b"") + len(record.key or b"")
        if part and (len(part) == _RECORDS_MAX or size_bytes + record_bytes > _TRANSACTION_BYTES_MAX):
            yield part
            part, size_bytes = [], 0
        part.append(record)
        size_bytes += record_bytes
    if part:
        yield part
