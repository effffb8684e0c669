"""Publishing for one source partition: in transactions, by one owner at a time, each refusal and stray once."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from schemas import topics
from schemas.errors import BrokerUnavailable, OwnershipLost
from schemas.settings import Settings
from streams.failpoints import failpoint
from streams.kafka_client.connection import RETRY_AFTER_S, TooLarge, connection_options, translated
from streams.records import Outgoing, Positions

_TRANSACTION_TIMEOUT_MS = 30_000
_START_WITHIN_S = 20.0
_PUBLISH_WITHIN_S = 30.0
_STOP_WITHIN_S = 3.0
# Seven days after its last commit a broker forgets an offset, with its default offsets.retention.minutes.
_CLAIM_AGAIN_AFTER_S = 86_400.0
# A flush's records of one partition in one request, as far as the broker's default limit on batches allows: with the
# client's own 16 KiB a flush is several requests, each of which waits for the one before.
_BATCH_BYTES_MAX = 512 << 10
_BATCH_BYTES_MIN = 16 << 10


class FencedPublisher:
    """Publishes what comes of one partition of the usage topic.

    Who claims the partition later shuts out the former owner. The claim is an offset of the group
    ``<prefix>meter-outbox-<epoch>`` for the partition, written in the owner's transactions:

    - its metadata name the owner, so that a former one, whose connection failed before it heard of the new one, does
      not take the partition back when it connects again;
    - the offset is the source offset up to which refused and stray input is out (`settled`), so that no replay
      publishes it twice. The metadata repeat it: an offset that somebody has reset by hand is noticed and ignored.
    """

    def __init__(self, settings: Settings, partition: int) -> None:
        # The id belongs to the partition, not to the worker: whoever starts it last shuts out the others.
        name = f"{settings.topic_prefix}meter-{settings.usage_epoch}-{partition}"
        self._group = f"{settings.topic_prefix}meter-outbox-{settings.usage_epoch}"
        self._place = TopicPartition(settings.topic(topics.USAGE), partition)
        self._connection = connection_options(settings)
        self._options = {
            **self._connection,
            "transactional_id": name,
            "transaction_timeout_ms": _TRANSACTION_TIMEOUT_MS,
            "acks": "all",
            "max_request_size": topics.REJECTED_BYTES_MAX,
            "max_batch_size": _BATCH_BYTES_MAX,
            "linger_ms": 0,
        }
        self._owner = ""
        self._claimed_s = 0.0
        self._producer: AIOKafkaProducer | None = None

    async def claim(self, settled: int) -> int:
        """Become the owner, shut out the former one, and return the offset up to which input is settled.

        Args:
            settled: what this worker knows to be settled; the result is not less.
        """
        await self.close()
        self._owner = secrets.token_hex(8)
        await self._start()
        failpoint("claim.started")
        _, recorded = await self._read_claim()
        failpoint("claim.read")
        settled = max(settled, recorded)
        await self.publish((), settled)
        failpoint("claim.made")
        return settled

    async def keep_claim(self, settled: int) -> None:
        """Write the claim again if it is a day old: offsets that nobody commits are forgotten by the broker.

        Raises what `publish` raises.
        """
        if time.monotonic() - self._claimed_s > _CLAIM_AGAIN_AFTER_S:
            await self.publish((), settled)

    async def reconnect(self) -> int:
        """Connect again if a failure made that necessary, and return the offset up to which input is settled by now.

        A publication whose acknowledgement was lost may have gone out all the same: its input must not go out again.
        """
        return await self._restart() if self._producer is None else 0

    async def publish(self, records: Iterable[Outgoing], settled: int) -> Positions:
        """Publish all records or none of them, acknowledged by all replicas in sync, and note what is settled.

        Returns the position behind the last of them in each partition they went to. What lies before it came of
        earlier publications and claims, or of other partitions of the usage topic.

        Raises:
            OwnershipLost: a later owner has claimed the partition; nothing of this was published.
            TooLarge: nothing of this was published; only what has smaller records will be.
            BrokerUnavailable: try again; nothing, or all, of this was published.
        """
        if self._producer is None:
            await self._restart()
        producer = self._producer
        try:
            with translated():
                async with asyncio.timeout(_PUBLISH_WITHIN_S):
                    return await self._transact(producer, records, settled)
        except OwnershipLost:
            # Another producer has started with our id: the new owner, or a former one that will notice.
            await self.close()
            raise BrokerUnavailable("Kafka: shut out; who owns the partition is looked up next", 0.0) from None
        except BrokerUnavailable as error:
            # After any failure the producer's state is not to be trusted; the next start aborts what is open.
            await self.close()
            if isinstance(error, TooLarge) and self._options["max_batch_size"] != _BATCH_BYTES_MIN:
                # It may have been the batch, not a record: a topic that somebody else has made may take less.
                self._options["max_batch_size"] = _BATCH_BYTES_MIN
                raise BrokerUnavailable(str(error), 0.0) from error
            raise

    async def close(self) -> None:
        """Let go of the producer; never raises, as there is nothing left to lose."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(BrokerUnavailable, OwnershipLost), translated():
                async with asyncio.timeout(_STOP_WITHIN_S):
                    await producer.stop()

    async def _transact(self, producer: AIOKafkaProducer, records: Iterable[Outgoing], settled: int) -> Positions:
        await producer.begin_transaction()
        failpoint("transaction.begun")
        sent = [
            await producer.send(
                record.topic, record.value, key=record.key, partition=record.partition, headers=list(record.headers)
            )
            for record in records
        ]
        failpoint("transaction.sent")
        claim = OffsetAndMetadata(settled, f"{self._owner}:{settled}")
        # Both are part of the transaction, whichever the broker does first; together they take one wait less.
        acknowledged, _ = await asyncio.gather(
            asyncio.gather(*sent), producer.send_offsets_to_transaction({self._place: claim}, self._group)
        )
        failpoint("transaction.noted")
        await producer.commit_transaction()
        self._claimed_s = time.monotonic()
        failpoint("transaction.committed")
        positions: Positions = {}
        for each in acknowledged:
            place = each.topic, each.partition
            positions[place] = max(positions.get(place, 0), each.offset + 1)
        return positions

    async def _restart(self) -> int:
        """Connect again after a failure, unless somebody else has claimed the partition since; return what is settled.

        Looking first spares the new owner a disturbance; only the look after the start is proof, as from then on
        nobody else can claim without shutting us out.
        """
        await self._check_owner()
        await self._start()
        return await self._check_owner()

    async def _check_owner(self) -> int:
        owner, settled = await self._read_claim()
        if owner != self._owner:
            await self.close()
            raise OwnershipLost(f"partition {self._place.partition} was claimed by another worker")
        return settled

    async def _start(self) -> None:
        """Start a producer: it finishes or aborts what the former one left open and shuts it out."""
        producer = AIOKafkaProducer(**self._options)
        self._producer = producer
        try:
            with translated():
                async with asyncio.timeout(_START_WITHIN_S):
                    await producer.start()
        except BrokerUnavailable:
            await self.close()
            raise

    async def _read_claim(self) -> tuple[str, int]:
        """Return owner and settled offset of the last claim; no owner and 0 if there is none to trust."""
        admin = AIOKafkaAdminClient(**self._connection)
        try:
            with translated():
                async with asyncio.timeout(_START_WITHIN_S):
                    await admin.start()
                    offsets = await admin.list_consumer_group_offsets(self._group, partitions=[self._place])
        except BrokerUnavailable:
            await self.close()
            raise
        finally:
            with contextlib.suppress(BrokerUnavailable), translated():
                await admin.close()
        found = offsets.get(self._place)
        if found is None:
            # The client passes over the error of a coordinator that is still loading.
            raise BrokerUnavailable(f"Kafka: no answer about group {self._group}", RETRY_AFTER_S)
        owner, _, settled = (found.metadata or "").partition(":")
        return owner, found.offset if settled == str(found.offset) else 0
