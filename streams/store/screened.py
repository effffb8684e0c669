"""How negative quantities have been treated: totals must not depend on when the catalog told what a metric allows."""

from collections.abc import Iterable

import numpy as np

from streams.domain.screening import forbids_negative
from streams.store import treatments
from streams.store.counters import CounterArrays
from streams.store.places import Catalog

_ALLOWED, _FORBIDDEN = "allowed", "forbidden"


class Screened:
    """Remembers per (service, metric) what was done with negative quantities since the first of them came.

    One that comes before the catalog knows the metric is taken in; a metric may change what it allows. A store in
    which that was done otherwise than the catalog says now has to be made anew from the log, as a store made from
    nothing would do it right.
    """

    def __init__(self) -> None:
        self.treated: dict[tuple[str, str], str] = {}

    def note_allowed(self, counters: CounterArrays) -> None:
        """Note the negative quantities among counters that are taken in."""
        for name in negative_names(counters):
            treatments.note(self.treated, name, _ALLOWED)

    def note_forbidden(self, names: Iterable[tuple[str, str]]) -> None:
        """Note (service, metric) of refused negative quantities."""
        for name in names:
            treatments.note(self.treated, name, _FORBIDDEN)

    def outdated(self, catalog: Catalog) -> set[tuple[str, str]]:
        """Return (service, metric) of what is treated otherwise now; nothing, while the catalog does not know it."""
        return {
            (service, code)
            for (service, code), treated in self.treated.items()
            if catalog.metric(service, code) is not None
            and treated != (_FORBIDDEN if forbids_negative(catalog, service, code) else _ALLOWED)
        }


def negative_names(counters: CounterArrays) -> set[tuple[str, str]]:
    """Return (service, metric) of all negative quantities."""
    if not len(counters) or counters.quantity.min() >= 0:
        return set()
    # What does not fit the column is marked there by a negative number, whatever its sign.
    negative = [at for at in np.flatnonzero(counters.quantity < 0).tolist() if counters.wide.get(at, -1) < 0]
    owners, metrics = counters.codes_at(np.array(negative, np.int64))
    pairs = set(zip(owners, metrics, strict=True))
    return {(counters.owners[owner][0], counters.metrics[metric]) for owner, metric in pairs}
