"""Send records and wait until Kafka has them all."""

import time
from collections.abc import Sequence
from concurrent.futures import Future

from producers.kafka_client import Position, Record, RecordProducer
from schemas.errors import BrokerUnavailable

ACK_TIMEOUT_S = 10.0
_IN_FLIGHT_MAX = 500


def publish(producer: RecordProducer, records: Sequence[Record]) -> None:
    """Return once all in-sync replicas hold every record.

    Raises:
        BrokerUnavailable: some may be in the log, some not; publish the same records again.
    """
    for start in range(0, len(records), _IN_FLIGHT_MAX):
        pending = [producer.send(record) for record in records[start : start + _IN_FLIGHT_MAX]]
        _wait(pending)


def _wait(pending: Sequence[Future[Position]]) -> None:
    deadline_s = time.monotonic() + ACK_TIMEOUT_S
    for future in pending:
        try:
            future.result(max(0.0, deadline_s - time.monotonic()))
        except TimeoutError as error:
            raise BrokerUnavailable(f"no acknowledgement within {ACK_TIMEOUT_S:g} s") from error
