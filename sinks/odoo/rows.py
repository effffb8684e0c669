"""Rows of Odoo, coalesced and cut into calls. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sinks.kafka_client import Record
from sinks.odoo.reading import Rated


@dataclass(slots=True)
class Pending:
    """One key with the newest overage read for it, the record that has it, and all records settled together with it."""

    rated: Rated
    record: Record
    records: list[Record]


def coalesce(overages: Iterable[tuple[Record, Rated]]) -> dict[str, Pending]:
    """Return per key the greatest version (of equal ones the later), with the records of all its versions."""
    newest: dict[str, Pending] = {}
    for record, rated in overages:
        pending = newest.get(rated.key)
        if pending is None:
            newest[rated.key] = Pending(rated, record, [record])
            continue
        pending.records.append(record)
        if rated.version >= pending.rated.version:
            pending.rated, pending.record = rated, record
    return newest


class CallSize:
    """How many rows a call may have: as many as Odoo answers within about `TARGET_S`, at most `rows_max`.

    One Odoo worker does one thing at a time: while it writes lines, the feed's next event and the gateway's next
    customer wait. Rows differ in cost by a factor of fifty, machines by ten, so the size is learnt from the last call.
    """

    TARGET_S = 1.0
    ROWS_MIN = 25

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self.rows = rows_max

    def learn(self, rows: int, took_s: float) -> None:
        """Take in how long a call of so many rows took; only a full call tells that more would fit."""
        if took_s > self.TARGET_S:
            self.rows = min(self._rows_max, max(self.ROWS_MIN, int(rows * self.TARGET_S / took_s)))
        elif took_s < self.TARGET_S / 2 and rows >= self.rows:
            self.rows = min(self._rows_max, 2 * self.rows)


def calls_of(pendings: Iterable[Pending], rows_max: Callable[[], int], bytes_max: int) -> Iterator[list[Pending]]:
    """Cut into calls of at most `rows_max` rows and about `bytes_max` bytes, but at least one row; order is kept.

    `rows_max` is asked anew for each row, so that a call is cut as the one before it has shown.
    """
    call: list[Pending] = []
    size_bytes = 0
    for pending in pendings:
        row_bytes = len(pending.record.value or b"")
        if call and (len(call) >= rows_max() or size_bytes + row_bytes > bytes_max):
            yield call
            call, size_bytes = [], 0
        call.append(pending)
        size_bytes += row_bytes
    if call:
        yield call
