"""The SDK: what an app imports to publish counters and to check the webhooks it gets back.

    with UsageClient("nexamaps", bootstrap="127.0.0.1:9092") as client:
        client.add(
            subscription="sub-1", metric="api_calls", quantity=1200,
            period_start="2026-07-01T10:00:00Z", period_end="2026-07-01T11:00:00Z",
            idempotency_key=counter_key("sub-1", "api_calls", "2026-07-01T10:00:00Z"),
        )
        client.flush(timeout_s=30)

Names are loaded when first used, so that `producers.sdk.webhooks` needs nothing but the standard library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from producers.sdk.client import UsageClient
    from producers.sdk.errors import BufferFull, ClientClosed, InvalidCounter, NotAcknowledged
    from producers.sdk.keys import counter_key
    from producers.sdk.lane import ClientLimits

__all__ = [
    "BufferFull",
    "ClientClosed",
    "ClientLimits",
    "InvalidCounter",
    "NotAcknowledged",
    "UsageClient",
    "counter_key",
]

_HOMES = {"UsageClient": "client", "ClientLimits": "lane", "counter_key": "keys"}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
