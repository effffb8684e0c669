"""Usage from the event loop to Kafka: accepted only when every record is acknowledged by all in-sync replicas."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from producers.gateway.catalog import CatalogView
from producers.gateway.errors import ApiError, ErrorCode, unavailable
from producers.gateway.json_body import parse_object
from producers.gateway.usage import Envelope, checked_events, records_of
from producers.kafka_client import Position, RecordProducer
from producers.metrics import COUNTERS_ACCEPTED, GATEWAY_REFUSED_COUNTERS
from schemas.errors import BrokerUnavailable

_THREADS = 4
_FIELDS = frozenset(
    "subscription_external_id metric_code quantity period_start period_end idempotency_key revision properties".split()
)


@dataclass(frozen=True, slots=True)
class Submission:
    """One request's body and who sent it."""

    service: str
    body: bytes
    traceparent: str | None = None


class UsageIntake:
    """Checks, packs and sends submissions in threads, so that a large one or a silent broker blocks no other."""

    def __init__(
        self,
        topic: str,
        producer: RecordProducer,
        catalog: CatalogView,
        ack_timeout_s: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._topic = topic
        self._producer = producer
        self._catalog = catalog
        self._ack_timeout_s = ack_timeout_s
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="intake")

    async def accept(self, submission: Submission) -> int:
        """Return the number of counters, all of them durable.

        Raises:
            ApiError: 400 or 413, and nothing was sent; or 503 after at most the acknowledgement time-out: some may
                be durable, and sending the same again is safe.
            BrokerUnavailable: as 503.
        """
        try:
            async with asyncio.timeout(self._ack_timeout_s):
                loop = asyncio.get_running_loop()
                accepted, sent = await loop.run_in_executor(self._threads, self._send, submission)
                await asyncio.gather(*map(asyncio.wrap_future, sent))
        except TimeoutError:
            raise unavailable("Kafka did not acknowledge in time; send the same again") from None
        except ApiError as error:
            _count_refused(error)
            raise
        COUNTERS_ACCEPTED.labels("http").inc(accepted)
        return accepted

    def close(self) -> None:
        """Drop what waits for a thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, submission: Submission) -> tuple[int, Sequence["Future[Position]"]]:
        counters = checked_events(parse_object(submission.body), submission.service, self._catalog)
        envelope = Envelope(
            self._topic, submission.service, self._clock(), lambda: str(uuid4()), submission.traceparent
        )
        records = records_of(envelope, counters, self._partitions())
        return len(counters), [self._producer.send(record) for record in records]

    def _partitions(self) -> int:
        partitions = self._producer.partitions(self._topic)
        if partitions < 1:
            raise BrokerUnavailable("the usage topic has no partitions yet")
        return partitions


def _count_refused(error: ApiError) -> None:
    if error.content.code is ErrorCode.INVALID:
        for detail in error.content.details:
            GATEWAY_REFUSED_COUNTERS.labels(detail.field if detail.field in _FIELDS else "other").inc()
