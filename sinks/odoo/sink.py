"""Writes overage rows to Odoo, tells `lines.v1` what became of each, and only then calls them settled."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count

import structlog

from schemas.cloudevents import LINE_TYPE, Headers, headers, versioned_id
from schemas.derived import Line, LineStatus
from schemas.errors import OdooUnavailable
from schemas.odoo_rpc import OdooBilling
from schemas.settings import Settings
from schemas.topics import LINES
from sinks import metrics
from sinks.kafka_client import Outgoing, Publisher, Record
from sinks.odoo.answers import is_accepted
from sinks.odoo.calls import Answer, Asked, Calls
from sinks.odoo.memory import Memory, meaning
from sinks.odoo.reading import Malformed, Rated, read_overage
from sinks.odoo.rows import Pending, calls_of, coalesce

log = structlog.get_logger()

_CALL_BYTES_MAX = 1_000_000
_KEYS_REMEMBERED_MAX = 200_000  # ≈ 100 MB
_SOURCE = "/fusion-billing/odoo-sink"


class OdooSink:
    """The sink of `overage.v1`. One thread."""

    name: metrics.Sink = "odoo"

    def __init__(self, settings: Settings, odoo: OdooBilling, publisher: Publisher) -> None:
        self._calls = Calls(odoo, settings.odoo_rows_per_call)
        self._publisher = publisher
        self._lines_topic = settings.topic(LINES)
        self._memory = Memory(_KEYS_REMEMBERED_MAX)
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
        former: list[Asked] = []
        answers: list[Answer] = []
        for call in calls_of(coalesce(overages).values(), lambda: self._calls.size.rows, _CALL_BYTES_MAX):
            asked = [self._asked(pending) for pending in call]
            answering = self._calling.submit(self._calls.upsert, asked)
            if former:
                yield self._told(former, answers)
            try:
                former, answers = asked, answering.result()
            except OdooUnavailable:
                # It may come back as it was before: from a backup, or as a copy that lags behind.
                self._memory.forget_all()
                raise
        if former:
            yield self._told(former, answers)

    def forget(self, partitions: Collection[int]) -> None:
        """Take nothing for granted any more of these partitions, which went to another sink."""
        self._memory.forget(partitions)

    def close(self) -> None:
        """Wait for the call under way."""
        self._calling.shutdown()

    def _read(self, records: Sequence[Record]) -> tuple[list[tuple[Record, Rated]], list[Record], list[Malformed]]:
        """Return what is to be written, what needs no writing, and what nobody can read."""
        overages: list[tuple[Record, Rated]] = []
        skipped: list[Record] = []
        malformed: list[Malformed] = []
        repeated = stale = 0
        for record in records:
            # Said again, it is held by Odoo and told to `lines.v1` already.
            if self._memory.is_said(record):
                repeated += 1
                skipped.append(record)
                continue
            match read_overage(record):
                case None:
                    skipped.append(record)
                case Malformed() as bad:
                    malformed.append(bad)
                case rated if self._memory.is_newer(record, rated.version):
                    stale += 1
                    skipped.append(record)
                case rated:
                    overages.append((record, rated))
        self._count("repeated", repeated)
        self._count("stale", stale)
        return overages, skipped, malformed

    def _asked(self, pending: Pending) -> Asked:
        meant = meaning(pending.rated)
        return Asked(pending, meant, self._memory.fingerprint(pending.record, meant))

    def _told(self, asked: Sequence[Asked], answers: Sequence[Answer]) -> list[Record]:
        """Tell `lines.v1` what became of a call's rows; return the records that this settles."""
        lines = [answer.line for answer in answers]
        self._publish(lines)
        for each, answer in zip(asked, answers, strict=True):
            record, version = each.pending.record, each.pending.rated.version
            if is_accepted(answer.line):
                self._memory.accepted(record, version, each.meant, answer.fingerprint)
            else:
                self._memory.not_accepted(record, version)
        for status, rows in Counter(line.status for line in lines).items():
            self._count(status.value, rows)
        for line in lines:
            if line.status is LineStatus.PARKED:
                log.error("odoo.row_parked", key=line.key, version=list(line.version), error=line.error)
        return [record for each in asked for record in each.pending.records]

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
        if rows:
            metrics.SINK_ROWS.labels(self.name, outcome).inc(rows)
