"""Errors with one meaning each; what a caller does follows from the class alone.

BillingError
├─ ConfigurationError         at start only: names the variable and what to do
├─ Refused(reason)            never retry: the input is wrong
│  └─ OdooRefused             Odoo understood and said no
├─ Unavailable(retry_after_s) a neighbour is away: pause and retry
│  ├─ BrokerUnavailable
│  └─ OdooUnavailable
├─ OwnershipLost              fenced or revoked: drop the work, close the store
└─ InvariantBroken            our bug: stop the process
"""

from enum import StrEnum


class BillingError(Exception):
    """Root of all errors that this product raises on purpose."""


class ConfigurationError(BillingError):
    """A setting is missing or wrong; the text names the variable and the remedy."""


class Reason(StrEnum):
    """Why an input was refused for ever. Stable: metric label, field of the rejected record, filter of the CLI."""

    MALFORMED_BATCH = "malformed_batch"  # not JSON, or not the shape of a usage batch
    UNKNOWN_SCHEMA = "unknown_schema"  # a batch version this build does not read
    BAD_SERVICE = "bad_service"  # service code malformed
    BAD_SUBSCRIPTION = "bad_subscription"
    BAD_METRIC = "bad_metric"  # metric code malformed
    BAD_QUANTITY = "bad_quantity"  # not a finite decimal, or too many digits
    NEGATIVE_QUANTITY = "negative_quantity"  # the metric does not allow it
    BAD_PERIOD = "bad_period"  # no RFC 3339 instant with offset, or end before start
    BAD_KEY = "bad_key"  # idempotency key missing or malformed
    BAD_REVISION = "bad_revision"
    BAD_PROPERTIES = "bad_properties"
    PERIOD_CLOSED = "period_closed"  # changes a counter of a closed period that the usage log no longer holds


class Refused(BillingError):
    """The input is wrong and stays wrong.

    Attributes:
        reason: the stable code.
        field: the offending field, where there is one.
    """

    def __init__(self, reason: Reason, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


class OdooRefused(BillingError):
    """Odoo understood the call and said no; `name` is its error class, for example odoo.exceptions.AccessError."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class Unavailable(BillingError):
    """A neighbour is away. `retry_after_s`: seconds until another try makes sense."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BrokerUnavailable(Unavailable):
    """Kafka did not acknowledge in time."""


class OdooUnavailable(Unavailable):
    """Odoo or its network did not answer, or it lost a conflict that a retry can win."""


class OwnershipLost(BillingError):
    """Another worker owns this partition now."""


class InvariantBroken(BillingError):
    """Something that cannot be happened; going on could cost money."""
