"""How to reach the brokers, and what their errors mean to the meter."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
)

from schemas.errors import BrokerUnavailable, OwnershipLost
from schemas.settings import Settings, sasl_options

RETRY_AFTER_S = 1.0


class TooLarge(BrokerUnavailable):
    """The broker takes smaller records, but not one of these: none of them was published."""


def connection_options(settings: Settings) -> dict[str, Any]:
    """Return the connection options in aiokafka's names."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": settings.kafka_security_protocol,
    }
    if "SSL" in settings.kafka_security_protocol:
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    return options | sasl_options(settings)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the client's errors as ours.

    AssertionError and IllegalOperation are what aiokafka answers when a producer is used after an earlier failure;
    a new producer mends them as it mends the failure itself.
    """
    try:
        yield
    except ProducerFenced as error:
        raise OwnershipLost("another producer has taken this partition's id") from error
    except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
        raise TooLarge(f"Kafka: {error!r}", RETRY_AFTER_S) from error
    except (KafkaError, IllegalOperation, OSError, TimeoutError, AssertionError) as error:
        raise BrokerUnavailable(f"Kafka: {error!r}", RETRY_AFTER_S) from error
