"""Rows of Odoo, coalesced and cut into calls. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sinks.kafka_client import Record
from sinks.odoo.reading import Rated


@dataclass(slots=True)
class Pending:
    """One key with the newest overage read for it, and all records that are settled together with it."""

    rated: Rated
    records: list[Record]


def coalesce(overages: Iterable[tuple[Record, Rated]]) -> dict[str, Pending]:
    """Return per key the greatest version (of equal ones the later), with the records of all its versions."""
    newest: dict[str, Pending] = {}
    for record, rated in overages:
        pending = newest.get(rated.key)
        if pending is None:
            newest[rated.key] = Pending(rated, [record])
            continue
        pending.records.append(record)
        if rated.version >= pending.rated.version:
            pending.rated = rated
    return newest


def calls_of(pendings: Iterable[Pending], rows_max: int, bytes_max: int) -> Iterator[list[Pending]]:
    """Cut into calls of at most `rows_max` rows and about `bytes_max` bytes, but at least one row; order is kept."""
    call: list[Pending] = []
    size_bytes = 0
    for pending in pendings:
        row_bytes = len(pending.records[-1].value or b"")
        if call and (len(call) >= rows_max or size_bytes + row_bytes > bytes_max):
            yield call
            call, size_bytes = [], 0
        call.append(pending)
        size_bytes += row_bytes
    if call:
        yield call
