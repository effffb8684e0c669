"""The catalog as the meter sees it: which cycle a subscription has, which metric a code names, which charges apply."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from schemas.catalog import CatalogEntry, Charge, Metric, Plan, Subscription, catalog_entry
from schemas.periods import Cycle
from schemas.wire import from_micros


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
    """Materialised `billing.catalog.v1`. `next_offset`: the position read up to, part of each record's version."""

    next_offset: int = 0
    _entries: dict[str, CatalogEntry] = field(default_factory=dict)
    _metrics: dict[tuple[str | None, str], Metric] = field(default_factory=dict)
    _subscriptions: dict[tuple[str, str], Subscription] = field(default_factory=dict)
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
        """Return the service's own metric of this code, else the one shared by all services."""
        found = self._metrics.get((service, code)) or self._metrics.get((None, code))
        return found if found and found.active else None

    def subscription(self, service: str, external_id: str) -> Subscription | None:
        """Return a subscription by the app's own id."""
        return self._subscriptions.get((service, external_id))

    def cycle(self, service: str, external_id: str) -> Cycle | None:
        """Return how the subscription's billing periods repeat; null while it or its plan is unknown."""
        subscription = self.subscription(service, external_id)
        plan = self._plans.get(subscription.plan) if subscription else None
        if subscription is None or plan is None:
            return None
        return Cycle(subscription.anchor, plan.unit, plan.count, subscription.time_zone)

    def charges(self, subscription: Subscription, metric: str) -> list[Charge]:
        """Return the active charges on `metric` that apply to the subscription, by code.

        A charge applies when its plan code is the order's and its plan, if set, is the order's plan; an order
        without plan code takes the charges of its own plan. Never a charge of another plan.
        """
        found = [charge for charge in self._charges.get(metric, {}).values() if applies(charge, subscription)]
        return sorted(found, key=lambda charge: charge.code)

    def _touched(self, entry: CatalogEntry | None) -> Touched:
        match entry:
            case Metric():
                return Touched(metrics=frozenset({(entry.service, entry.code)}))
            case Charge():
                return Touched(metrics=frozenset({(entry.service, entry.metric)}))
            case Subscription():
                return Touched(subscriptions=frozenset({(entry.service, entry.external_id)}))
            case Plan():
                of_plan = {key for key, value in self._subscriptions.items() if value.plan == entry.id}
                return Touched(subscriptions=frozenset(of_plan))
            case _:
                return NOTHING

    def _forget(self, key: str, entry: CatalogEntry | None) -> None:
        self._entries.pop(key, None)
        match entry:
            case Metric():
                self._metrics.pop((entry.service, entry.code), None)
            case Charge():
                self._charges.get(entry.metric, {}).pop(entry.id, None)
            case Subscription():
                self._subscriptions.pop((entry.service, entry.external_id), None)
            case Plan():
                self._plans.pop(entry.id, None)

    def _remember(self, key: str, entry: CatalogEntry | None) -> None:
        if entry is not None:
            self._entries[key] = entry
        match entry:
            case Metric():
                self._metrics[entry.service, entry.code] = entry
            case Charge():
                self._charges.setdefault(entry.metric, {})[entry.id] = entry
            case Subscription():
                self._subscriptions[entry.service, entry.external_id] = entry
            case Plan():
                self._plans[entry.id] = entry


def applies(charge: Charge, subscription: Subscription) -> bool:
    """Tell whether a charge is one of the subscription's (see `CatalogView.charges`)."""
    if not charge.active or charge.service not in (None, subscription.service):
        return False
    if subscription.plan_code is None:
        return charge.plan == subscription.plan
    return charge.plan_code == subscription.plan_code and charge.plan in (None, subscription.plan)


def is_invoiced(period_end: int, subscription: Subscription) -> bool:
    """Tell whether Odoo's invoicing has passed the period that ends at `period_end` (microseconds since 1970 UTC).

    On `next_invoice_date` the period that ends there is invoiced and the date moves on, so a period is invoiced
    when it ended before that date. New terms must not touch it any more.
    """
    if subscription.next_invoice_date is None:
        return False
    local_end = from_micros(period_end).astimezone(ZoneInfo(subscription.time_zone)).date()
    return local_end < subscription.next_invoice_date


def _merge(one: Touched, other: Touched) -> Touched:
    return Touched(one.subscriptions | other.subscriptions, one.metrics | other.metrics)
