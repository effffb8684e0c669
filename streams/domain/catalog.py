"""The catalog as the meter sees it: which cycle a subscription has, which metric a code names, which charges apply."""

from dataclasses import dataclass, field
from datetime import UTC, date
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from schemas.catalog import CatalogEntry, Charge, Metric, Plan, Subscription, catalog_entry
from schemas.periods import Cycle
from schemas.wire import from_micros

_RUNNING = frozenset({"3_progress", "4_paused"})
_Index = TypeVar("_Index", bound=CatalogEntry)


@dataclass(frozen=True, slots=True)
class Touched:
    """What one catalog change touches.

    `subscriptions` (service, external id): their periods or charges may be others now. `metrics` (service or null
    for all services, code): totals of these are aggregated or rated anew.
    """

    subscriptions: frozenset[tuple[str, str]] = frozenset()
    metrics: frozenset[tuple[str | None, str]] = frozenset()


NOTHING = Touched()


@dataclass(slots=True)
class CatalogView:
    """Materialised `billing.catalog.v1`. `next_offset`: the position read up to, part of each record's version.

    Codes and external ids move from one Odoo record to another (renewed order, metric made anew), in any order of
    the two records on the topic; so each name keeps all entries that bear it, by id, and the answer is chosen.
    """

    next_offset: int = 0
    _entries: dict[str, CatalogEntry] = field(default_factory=dict)
    _metrics: dict[tuple[str | None, str], dict[int, Metric]] = field(default_factory=dict)
    _subscriptions: dict[tuple[str, str], dict[int, Subscription]] = field(default_factory=dict)
    _charges: dict[str, dict[int, Charge]] = field(default_factory=dict)
    _plans: dict[int, Plan] = field(default_factory=dict)

    def update(self, key: str, value: bytes | None, offset: int) -> Touched:
        """Take over one record of the topic and return what it touches.

        A record that cannot be read (a kind of a newer release) counts as absent.
        """
        self.next_offset = offset + 1
        try:
            entry = None if value is None else catalog_entry.validate_json(value)
        except ValidationError:
            entry = None
        former = self._entries.get(key)
        if entry == former:
            return NOTHING
        touched = _merge(self._touched(former), self._touched(entry))
        self._forget(key, former)
        self._remember(key, entry)
        return _merge(touched, self._touched(entry))

    def metric(self, service: str, code: str) -> Metric | None:
        """Return the service's own active metric of this code, else the one shared by all services."""
        for owner in (service, None):
            active = [metric for metric in self._metrics.get((owner, code), {}).values() if metric.active]
            if active:
                return max(active, key=lambda metric: metric.id)
        return None

    def subscription(self, service: str, external_id: str) -> Subscription | None:
        """Return a subscription by the app's own id: of several orders a running one, then the latest."""
        found = self._subscriptions.get((service, external_id), {}).values()
        return max(found, key=lambda order: (order.state in _RUNNING, order.id), default=None)

    def cycle(self, service: str, external_id: str) -> Cycle | None:
        """Return how the subscription's billing periods repeat.

        Null while it or its plan is unknown, or its time zone is one that this system does not know: its counters
        wait, as a guessed boundary would bill them in a wrong period.
        """
        subscription = self.subscription(service, external_id)
        plan = self._plans.get(subscription.plan) if subscription else None
        if subscription is None or plan is None or _zone(subscription.time_zone) is None:
            return None
        return Cycle(subscription.anchor, plan.unit, plan.count, subscription.time_zone)

    def charges(self, subscription: Subscription, metric: str, period_start: int) -> list[Charge]:
        """Return the active charges on `metric` that apply to a billing period of the subscription, by code.

        A charge applies when its plan code is the order's and its plan, if set, is the order's plan; an order
        without plan code takes the charges of its own plan. Never a charge of another plan. Of a charge's versions
        the one counts that is valid on the day on which the period starts (microseconds since 1970 UTC) locally.
        """
        day = _local_day(period_start, subscription)
        return [each for each in self.all_charges(metric) if applies(each, subscription) and is_valid_on(each, day)]

    def all_charges(self, metric: str) -> list[Charge]:
        """Return all charges on metrics of this code, by code, whoever they apply to."""
        return sorted(self._charges.get(metric, {}).values(), key=lambda charge: charge.code)

    def _touched(self, entry: CatalogEntry | None) -> Touched:
        match entry:
            case Metric():
                return Touched(metrics=frozenset({(entry.service, entry.code)}))
            case Charge():
                return Touched(metrics=frozenset({(entry.service, entry.metric)}))
            case Subscription():
                return Touched(subscriptions=frozenset({(entry.service, entry.external_id)}))
            case Plan():
                of_plan = {
                    name
                    for name, orders in self._subscriptions.items()
                    if any(order.plan == entry.id for order in orders.values())
                }
                return Touched(subscriptions=frozenset(of_plan))
            case _:
                return NOTHING

    def _forget(self, key: str, entry: CatalogEntry | None) -> None:
        self._entries.pop(key, None)
        match entry:
            case Metric():
                _drop(self._metrics, (entry.service, entry.code), entry.id)
            case Charge():
                _drop(self._charges, entry.metric, entry.id)
            case Subscription():
                _drop(self._subscriptions, (entry.service, entry.external_id), entry.id)
            case Plan():
                self._plans.pop(entry.id, None)

    def _remember(self, key: str, entry: CatalogEntry | None) -> None:
        if entry is not None:
            self._entries[key] = entry
        match entry:
            case Metric():
                self._metrics.setdefault((entry.service, entry.code), {})[entry.id] = entry
            case Charge():
                self._charges.setdefault(entry.metric, {})[entry.id] = entry
            case Subscription():
                self._subscriptions.setdefault((entry.service, entry.external_id), {})[entry.id] = entry
            case Plan():
                self._plans[entry.id] = entry


def applies(charge: Charge, subscription: Subscription) -> bool:
    """Tell whether a charge is one of the subscription's (see `CatalogView.charges`)."""
    if not charge.active or charge.service not in (None, subscription.service):
        return False
    if subscription.plan_code is None:
        return charge.plan == subscription.plan
    return charge.plan_code == subscription.plan_code and charge.plan in (None, subscription.plan)


def is_valid_on(charge: Charge, day: date) -> bool:
    """Tell whether a charge prices the periods that start on `day`: from `valid_from` on, before `valid_to`."""
    return (charge.valid_from is None or charge.valid_from <= day) and (
        charge.valid_to is None or day < charge.valid_to
    )


def is_invoiced(period_end: int, subscription: Subscription) -> bool:
    """Tell whether Odoo's invoicing has passed the period that ends at `period_end` (microseconds since 1970 UTC).

    On `next_invoice_date` the period that ends there is invoiced and the date moves on, so a period is invoiced
    when it ended before that date. New terms must not touch it any more.
    """
    if subscription.next_invoice_date is None or _zone(subscription.time_zone) is None:
        return False
    return _local_day(period_end, subscription) < subscription.next_invoice_date


def _local_day(instant: int, subscription: Subscription) -> date:
    """Return the date of an instant where the subscription is; in UTC if its time zone is none."""
    return from_micros(instant).astimezone(_zone(subscription.time_zone) or UTC).date()


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


_Name = TypeVar("_Name")


def _drop(index: dict[_Name, dict[int, _Index]], name: _Name, entry_id: int) -> None:
    bearers = index.get(name, {})
    bearers.pop(entry_id, None)
    if not bearers:
        index.pop(name, None)


def _merge(one: Touched, other: Touched) -> Touched:
    return Touched(one.subscriptions | other.subscriptions, one.metrics | other.metrics)
