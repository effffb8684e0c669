"""Writes overage rows to Odoo, tells `lines.v1` what became of each, and only then calls them settled.

A refusal of a whole call is narrowed down until only the row that causes it is parked.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count

import structlog

from schemas.cloudevents import LINE_TYPE, Headers, headers, versioned_id
from schemas.derived import Line, LineStatus, Version
from schemas.errors import OdooRefused, OdooUnavailable, Unavailable
from schemas.odoo_rpc import LineResult, OdooBilling
from schemas.settings import Settings
from schemas.topics import LINES
from sinks import metrics
from sinks.kafka_client import Outgoing, Publisher, Record
from sinks.odoo.answers import check_answer, line_of, parked_line
from sinks.odoo.reading import Malformed, Rated, read_overage
from sinks.odoo.rows import Pending, calls_of, coalesce

log = structlog.get_logger()

_CALL_BYTES_MAX = 1_000_000
_KNOWN_VERSIONS_MAX = 200_000  # ≈ 50 MB; a forgotten one only costs a call that Odoo answers with "stale"
_RETRY_AFTER_REFUSAL_S = 15.0
_SOURCE = "/fusion-billing/odoo-sink"


class OdooSink:
    """The sink of `overage.v1`. One thread."""

    name: metrics.Sink = "odoo"

    def __init__(self, settings: Settings, odoo: OdooBilling, publisher: Publisher) -> None:
        self._odoo = odoo
        self._publisher = publisher
        self._lines_topic = settings.topic(LINES)
        self._rows_max = settings.odoo_rows_per_call
        self._written = VersionMemory(_KNOWN_VERSIONS_MAX)
        # Odoo may answer the same version differently later; begun with the time, no later process repeats a number.
        self._answers = count(time.time_ns())
        # One: calls of one sink never overlap, so no order is written from two places at once.
        self._calling = ThreadPoolExecutor(1, thread_name_prefix="odoo-call")

    def write(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Write the newest version of each key, in calls of bounded size; yield what each call has settled."""
        overages, skipped, malformed = self._read(records)
        self._report_malformed(malformed)
        yield [*skipped, *(bad.record for bad in malformed)]
        # While Odoo works on a call, the one before it is told and settled.
        former: list[Pending] = []
        lines: list[Line] = []
        for call in calls_of(coalesce(overages).values(), self._rows_max, _CALL_BYTES_MAX):
            answering = self._calling.submit(self._upsert, [pending.rated for pending in call])
            if former:
                yield self._told(former, lines)
            former, lines = call, answering.result()
        if former:
            yield self._told(former, lines)

    def close(self) -> None:
        """Wait for the call under way."""
        self._calling.shutdown()

    def _read(self, records: Sequence[Record]) -> tuple[list[tuple[Record, Rated]], list[Record], list[Malformed]]:
        """Return what is to be written, what needs no writing, and what nobody can read."""
        overages: list[tuple[Record, Rated]] = []
        skipped: list[Record] = []
        malformed: list[Malformed] = []
        for record in records:
            match read_overage(record):
                case None:
                    skipped.append(record)
                case Malformed() as bad:
                    malformed.append(bad)
                case rated if self._written.is_newer(rated.key, rated.version):
                    self._count("stale", 1)
                    skipped.append(record)
                case rated:
                    overages.append((record, rated))
        return overages, skipped, malformed

    def _told(self, call: Sequence[Pending], lines: Sequence[Line]) -> list[Record]:
        """Tell `lines.v1` what became of a call's rows; return the records that this settles."""
        self._publish(lines)
        for pending in call:
            self._written.note(pending.rated.key, pending.rated.version)
        for status, rows in Counter(line.status for line in lines).items():
            self._count(status.value, rows)
        for line in lines:
            if line.status is LineStatus.PARKED:
                log.error("odoo.row_parked", key=line.key, version=list(line.version), error=line.error)
        return [record for pending in call for record in pending.records]

    def _upsert(self, overages: Sequence[Rated]) -> list[Line]:
        """Return the lines in the order of the rows; a refused call is halved until the refused row stands alone."""
        rows = [rated.row for rated in overages]
        try:
            results = timed("fc_upsert_lines", lambda: self._odoo.upsert_lines(rows))
        except OdooRefused as refusal:
            if len(overages) > 1:
                middle = len(overages) // 2
                return self._upsert(overages[:middle]) + self._upsert(overages[middle:])
            self._check_that_the_row_is_to_blame(refusal)
            [rated] = overages
            return [parked_line(rated.key, rated.version, rated.row["currency"], str(refusal))]
        check_answer(rows, results)
        return [line_of(row, rated.version, result) for row, rated, result in zip(rows, overages, results, strict=True)]

    def _check_that_the_row_is_to_blame(self, refusal: OdooRefused) -> None:
        """Raise OdooUnavailable if Odoo refuses a call without rows, too: then a right, login or addon is wrong.

        Parking every row would turn one wrong setting into a day's work for a person; waiting costs nothing.
        """
        try:
            self._odoo.upsert_lines([])
        except OdooRefused as error:
            raise OdooUnavailable(f"Odoo refuses every call: {error}", _RETRY_AFTER_REFUSAL_S) from refusal

    def _publish(self, lines: Sequence[Line]) -> None:
        now = datetime.now(UTC)
        self._publisher.publish(
            self._lines_topic,
            [Outgoing(line.key, line.model_dump_json().encode(), headers=self._headers(line, now)) for line in lines],
        )

    def _headers(self, line: Line, now: datetime) -> Headers:
        event_id = f"{versioned_id(line.key, line.version)}#{next(self._answers)}"
        return headers(event_type=LINE_TYPE, event_id=event_id, source=_SOURCE, time=now)

    def _report_malformed(self, malformed: Sequence[Malformed]) -> None:
        self._publish([bad.line for bad in malformed if bad.line is not None])
        for bad in malformed:
            self._count("malformed", 1)
            log.error(
                "odoo.record_malformed",
                topic=bad.record.topic,
                partition=bad.record.partition,
                offset=bad.record.offset,
                error=bad.error,
            )

    def _count(self, outcome: str, rows: int) -> None:
        metrics.SINK_ROWS.labels(self.name, outcome).inc(rows)


class VersionMemory:
    """The greatest version written per key by this process; the least recently written keys are forgotten first."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._versions: OrderedDict[str, Version] = OrderedDict()

    def is_newer(self, key: str, version: Version) -> bool:
        """Tell whether what was written is newer than `version`; equal is not newer, so that a row can be retried."""
        return self._versions.get(key, version) > version

    def note(self, key: str, version: Version) -> None:
        """Remember a written version."""
        self._versions[key] = max(version, self._versions.get(key, version))
        self._versions.move_to_end(key)
        if len(self._versions) > self._keys_max:
            self._versions.popitem(last=False)


def timed(method: str, call: Callable[[], list[LineResult]]) -> list[LineResult]:
    """Return the call's result; its duration goes to the metrics, whatever came of it."""
    started_s = time.monotonic()
    outcome = "refused"
    try:
        result = call()
        outcome = "answered"
    except Unavailable:
        outcome = "unavailable"
        raise
    finally:
        metrics.ODOO_CALL_SECONDS.labels(method, outcome).observe(time.monotonic() - started_s)
    return result
