"""What the SDK raises, and what the app does about it.

BillingError
├─ InvalidCounter    fix the counter: `field` names what is wrong; nothing was taken
├─ ClientClosed      make a new client; nothing was taken
└─ Unavailable
   ├─ BufferFull     wait and add again; nothing was taken
   └─ NotAcknowledged  flush again; `counters` are still held, or, in another process, add them again: same keys
"""

from collections.abc import Sequence

from schemas.errors import BillingError, BrokerUnavailable, Unavailable
from schemas.usage import Counter


class InvalidCounter(BillingError):
    """A counter that Kafka must not get; `field` is the wrong one in the counter's own names."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class ClientClosed(BillingError):
    """The client was closed before this call."""


class BufferFull(Unavailable):
    """Too much is unacknowledged already, and that did not change while `add` waited."""


class NotAcknowledged(BrokerUnavailable):
    """Some counters are not known to be durable yet; sending them again under the same keys is safe."""

    def __init__(self, counters: Sequence[Counter], reason: str) -> None:
        super().__init__(f"{len(counters)} counters are not acknowledged: {reason}")
        self.counters = tuple(counters)
        self.reason = reason
