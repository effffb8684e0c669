"""Usage that waits for the catalog: counted, but of no period, no known aggregation or no price yet. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, DecimalException, localcontext
from enum import StrEnum

from schemas.errors import InvariantBroken
from schemas.money import DECIMAL_CONTEXT
from schemas.wire import from_micros
from streams.audit.replay import Replay
from streams.domain.catalog import CatalogView
from streams.domain.rating import rate
from streams.store.aggregates import UNASSIGNED, AggregateKey
from streams.store.fixed_point import from_fixed
from streams.store.partition_store import PartitionStore


class Missing(StrEnum):
    """What the catalog does not know yet."""

    SUBSCRIPTION = "unknown subscription"
    PERIODS = "unknown plan or time zone"
    METRIC = "unknown metric"
    CHARGE = "no charge applies"
    USABLE_CHARGE = "unusable charge"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One aggregate that waits; `period_start` null while it has no period. `total`: the plain sum without a metric."""

    service: str
    subscription: str
    metric: str
    period_start: datetime | None
    counters: int
    total: Decimal
    missing: tuple[Missing, ...]
    since: datetime


def waiting(replay: Replay) -> Iterator[Waiting]:
    """Yield what waits in a replayed partition, in the order in which it came."""
    store, catalog = replay.store, replay.catalog
    for number, key in enumerate(store.aggregates.keys):
        counters = int(store.aggregates.arrays["count"][number])
        if not counters:
            continue
        total = _total(store, number)
        if missing := tuple(_missing(key, total, catalog)):
            start = None if key.period_start == UNASSIGNED else from_micros(key.period_start)
            since = datetime.fromtimestamp(replay.first_seen_ms[number] / 1000, UTC)
            yield Waiting(*key[:3], start, counters, total, missing, since)


def _missing(key: AggregateKey, total: Decimal, catalog: CatalogView) -> Iterator[Missing]:
    subscription = catalog.subscription(key.service, key.subscription)
    is_placed = key.period_start != UNASSIGNED
    if subscription is None:
        yield Missing.SUBSCRIPTION
    elif not is_placed:
        yield Missing.PERIODS
    if catalog.metric(key.service, key.metric) is None:
        yield Missing.METRIC
    elif subscription is not None and is_placed:
        charges = catalog.charges(subscription, key.metric, key.period_start)
        if not charges:
            yield Missing.CHARGE
        try:
            for charge in charges:
                rate(total, charge)
        except (InvariantBroken, DecimalException):
            yield Missing.USABLE_CHARGE


def _total(store: PartitionStore, number: int) -> Decimal:
    known = store.totals([number])
    if number in known:
        return known[number]
    rows = store.rows.columns["aggregate"]
    wide = [value for row, value in store.wide.items() if int(rows[row]) == number]
    with localcontext(DECIMAL_CONTEXT):
        return sum(wide, from_fixed(store.aggregates.fixed_sum(number)))
