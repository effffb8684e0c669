"""One round of each of the feed's two jobs. A round that fails leaves nothing that the next one would not repair."""

import threading
import time
from collections.abc import Callable

import structlog

from producers import metrics
from producers.kafka_client import Record, RecordProducer
from producers.odoo_feed.catalog import Change, check_deletions, plan_changes, problem_of, wanted_values
from producers.odoo_feed.events import event_record, in_waves, lifecycle_event
from producers.odoo_feed.mirror import CatalogMirror
from producers.odoo_feed.publishing import publish
from schemas.odoo_rpc import OdooBilling
from schemas.settings import Settings
from schemas.topics import CATALOG, EVENTS

_log = structlog.get_logger("fusion.feed")

_PAGE = 200
_UNREADABLE_MAX = 200
_LOOK_AGAIN_S = 0.1


class CatalogWork:
    """Brings `catalog.v1` to what Odoo holds; `ready` is set once it was complete."""

    def __init__(
        self,
        settings: Settings,
        odoo: OdooBilling,
        producer: RecordProducer,
        mirror: CatalogMirror,
        is_mirror_complete: Callable[[], bool],
        ready: threading.Event,
    ) -> None:
        self._settings = settings
        self._odoo = odoo
        self._producer = producer
        self._mirror = mirror
        self._is_mirror_complete = is_mirror_complete
        self._ready = ready
        self._cursor: str | None = None
        self._full_at_s = 0.0
        self._reported: set[str] = set()

    def run_once(self) -> float:
        """Do one round, full or since the last one; return the seconds until the next."""
        if not self._is_mirror_complete():
            return _LOOK_AGAIN_S
        now_s = time.monotonic()
        is_due = self._cursor is None or now_s >= self._full_at_s
        page = self._odoo.catalog(None if is_due else self._cursor)
        current = self._mirror.values()
        wanted, unreadable = wanted_values(page["records"], current, self._settings.secret_key.get_secret_value())
        changes = plan_changes(current, wanted, is_full=page["full"])
        check_deletions(changes, len(current), self._settings.catalog_deletions_percent_max)
        self._publish(changes)  # 1. the topic holds them
        for change in changes:  # 2. so does the mirror, without waiting to read them back
            self._mirror.apply(change.key, change.value)
        self._cursor = page["cursor"]  # 3. only now may the next round start from here
        self._report(changes, {bad.key: bad.problem for bad in unreadable}, is_full=page["full"])
        if page["full"]:
            self._full_at_s = now_s + self._settings.catalog_full_s
            self._ready.set()
        return self._settings.catalog_poll_s

    def _publish(self, changes: list[Change]) -> None:
        topic = self._settings.topic(CATALOG)
        publish(self._producer, [Record(topic, change.value, key=change.key.encode()) for change in changes])

    def _report(self, changes: list[Change], unreadable: dict[str, str], *, is_full: bool) -> None:
        if changes:
            deleted = sum(change.value is None for change in changes)
            metrics.FEED_CATALOG_CHANGES.labels("written").inc(len(changes) - deleted)
            metrics.FEED_CATALOG_CHANGES.labels("deleted").inc(deleted)
            _log.info("feed.catalog_published", written=len(changes) - deleted, deleted=deleted, full=is_full)
        for key, problem in unreadable.items():
            if key not in self._reported:
                metrics.FEED_UNREADABLE.labels("catalog").inc()
                _log.error("feed.catalog_record_unreadable", key=key, problem=problem)
        kept = set() if is_full else self._reported  # a full page names every bad record again
        self._reported = kept | unreadable.keys()


class OutboxWork:
    """Moves lifecycle events from Odoo's outbox to `events.v1`, at least once and under the same id."""

    def __init__(self, settings: Settings, odoo: OdooBilling, producer: RecordProducer) -> None:
        self._settings = settings
        self._odoo = odoo
        self._producer = producer
        self._unreadable: set[int] = set()

    def run_once(self) -> float:
        """Publish one page; return the seconds until the next, 0 if there may be more already."""
        # Rows that cannot be published stay in the outbox for a person; they must not fill the page.
        rows = self._odoo.read_outbox(_PAGE + min(len(self._unreadable), _UNREADABLE_MAX))
        records: list[Record] = []
        ids: list[int] = []
        for row in rows:
            if row["id"] in self._unreadable:
                continue
            try:
                records.append(event_record(lifecycle_event(row), self._settings.topic(EVENTS)))
            except ValueError as error:
                self._unreadable.add(row["id"])
                metrics.FEED_UNREADABLE.labels("event").inc()
                _log.error(
                    "feed.event_unreadable", row=row["id"], event_id=row.get("event_id"), problem=problem_of(error)
                )
            else:
                ids.append(row["id"])
        if not ids:
            return self._settings.catalog_poll_s
        for wave in in_waves(records):
            publish(self._producer, wave)  # 1. the topic holds them
        self._odoo.acknowledge_outbox(ids)  # 2. only now Odoo may forget them; between the two, they are sent again
        metrics.FEED_EVENTS.inc(len(ids))
        _log.info("feed.events_published", events=len(ids))
        return 0.0 if len(rows) >= _PAGE else self._settings.catalog_poll_s
