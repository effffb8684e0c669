"""Checks that need the catalog: well-formed counters that their metric does not allow."""

from typing import Protocol

from schemas.catalog import Metric
from schemas.errors import Reason
from schemas.wire import CounterColumns, RefusedCounter


class Metrics(Protocol):
    """What screening asks the catalog."""

    def metric(self, service: str, code: str) -> Metric | None:
        """Return a metric, or null while it is unknown."""
        ...


def forbids_negative(catalog: Metrics, service: str, code: str) -> bool:
    """Tell whether a metric is known and allows no negative quantity."""
    metric = catalog.metric(service, code)
    return metric is not None and not metric.allow_negative


def screen(counters: CounterColumns, catalog: Metrics) -> tuple[CounterColumns, list[RefusedCounter]]:
    """Return the counters that their metrics allow, and the refused ones.

    A counter of a metric that the catalog does not know yet is allowed: it waits in the store.
    """
    bad = forbidden(counters, catalog)
    if not bad:
        return counters, []
    refused = [
        RefusedCounter(
            counters.index_of(position),
            Reason.NEGATIVE_QUANTITY,
            "quantity",
            f"quantity must not be negative for metric {counters.metrics[counters.metric[position]]}",
        )
        for position in bad
    ]
    refused_at = set(bad)
    return counters.select([position for position in range(len(counters)) if position not in refused_at]), refused


def forbidden(counters: CounterColumns, catalog: Metrics) -> list[int]:
    """Return the positions of negative quantities that their metrics do not allow."""
    if not counters.keys or min(counters.quantities) >= 0:
        return []
    forbidding = {
        number for number, code in enumerate(counters.metrics) if forbids_negative(catalog, counters.service, code)
    }
    return [
        position
        for position, (number, quantity) in enumerate(zip(counters.metric, counters.quantities, strict=True))
        if quantity < 0 and number in forbidding
    ]
