"""Our own derived records read back: just what the meter must know of what it has published."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import msgspec
import structlog

from schemas.catalog import Charge, ChargeModel, Tier
from schemas.derived import Overage
from schemas.periods import parse_instant
from schemas.wire import to_micros
from streams import metrics
from streams.store.published import Name

log = structlog.get_logger()


class _Record(msgspec.Struct):
    service: str
    subscription: str
    metric: str
    period_start: str
    period_end: str
    version: tuple[int, int, int]


class _Total(_Record):
    counters: int
    thresholds: tuple[str, ...] = ()


class _Tier(msgspec.Struct):
    up_to: Decimal | None
    price_per_unit: Decimal
    flat_fee: Decimal = Decimal(0)


class _Overage(_Record):
    charge: str
    quota: Decimal
    billable_units: Decimal
    batch_size: Decimal
    price_per_unit: Decimal
    charge_model: ChargeModel
    amount: Decimal
    currency: str
    tiers: tuple[_Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class TotalSeen:
    """A published total."""

    name: Name
    period_end: int
    version: tuple[int, int, int]
    counters: int
    reached: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OverageSeen:
    """A published overage; `terms` null: the charge was withdrawn."""

    name: Name
    period_end: int
    version: tuple[int, int, int]
    charge: str
    terms: Charge | None


def usage_key_in(key: bytes | None) -> str | None:
    """Return the `service/subscription` that a derived record's key begins with."""
    prefix, *names = (key or b"").decode(errors="replace").rsplit("/", 2)
    return prefix if names[1:] else None


def read_total(value: bytes) -> TotalSeen | None:
    """Return a published total; null, loudly, for a record that is none of ours."""
    try:
        record = _TOTAL.decode(value)
        return TotalSeen(*_place(record), record.counters, record.thresholds)
    except (msgspec.DecodeError, ValueError) as error:
        _pass_over(error)
        return None


def read_overage(value: bytes) -> OverageSeen | None:
    """Return a published overage; null, loudly, for a record that is none of ours."""
    try:
        record = _OVERAGE.decode(value)
        return OverageSeen(*_place(record), record.charge, terms_of(record))
    except (msgspec.DecodeError, ValueError) as error:
        _pass_over(error)
        return None


def is_withdrawn(record: Overage | _Overage) -> bool:
    """Tell whether a record is the end of a charge that does not apply any more: no terms, nothing due."""
    numbers = record.amount or record.quota or record.billable_units or record.price_per_unit
    return not (numbers or record.tiers)


def terms_of(record: Overage | _Overage) -> Charge | None:
    """Return the terms a record bears as the charge that they were; null if the charge was withdrawn."""
    if is_withdrawn(record):
        return None
    tiers = tuple((tier.up_to, tier.price_per_unit, tier.flat_fee) for tier in record.tiers)
    prices = (record.quota, record.price_per_unit, record.batch_size)
    return _charge(record.charge, record.metric, record.charge_model, record.currency, prices, tiers)


_TOTAL = msgspec.json.Decoder(_Total)
_OVERAGE = msgspec.json.Decoder(_Overage)


def _place(record: _Record) -> tuple[Name, int, tuple[int, int, int]]:
    start, end = _micros(record.period_start), _micros(record.period_end)
    return (record.service, record.subscription, record.metric, start), end, record.version


@lru_cache(maxsize=4096)
def _micros(instant: str) -> int:
    """Return the time of a boundary, which very many records share."""
    return to_micros(parse_instant(instant))


@lru_cache(maxsize=4096)
def _charge(
    code: str,
    metric: str,
    model: ChargeModel,
    currency: str,
    prices: tuple[Decimal, Decimal, Decimal],
    tiers: tuple[tuple[Decimal | None, Decimal, Decimal], ...],
) -> Charge:
    """Return the terms as a charge, the same object for the many aggregates that share it."""
    quota, price, batch = prices
    return Charge(
        id=0,
        code=code,
        name=code,
        metric=metric,
        product=0,
        included_quota=quota,
        price_per_unit=price,
        unit_batch=batch,
        charge_model=model,
        currency=currency,
        tiers=tuple(Tier(up_to=up_to, price_per_unit=each, flat_fee=fee) for up_to, each, fee in tiers),
    )


def _pass_over(error: Exception) -> None:
    metrics.PUBLISHED_UNREADABLE.inc()
    log.error("published.unreadable", error=str(error))
