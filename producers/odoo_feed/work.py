"""One round of each of the feed's two jobs. A round that fails leaves nothing that the next one would not repair."""

import threading
import time

import structlog

from producers import metrics
from producers.kafka_client import Record
from producers.odoo_feed.catalog import Change, check_deletions, plan_changes, problem_of, wanted_values
from producers.odoo_feed.events import event_record, lifecycle_event
from producers.odoo_feed.session import Session, Sessions
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
        sessions: Sessions,
        ready: threading.Event,
    ) -> None:
        self._settings = settings
        self._odoo = odoo
        self._sessions = sessions
        self._ready = ready
        self._session: Session | None = None  # the one that `_cursor` belongs to
        self._cursor: str | None = None
        self._full_at_s = 0.0
        self._reported: set[str] = set()

    def run_once(self) -> float:
        """Do one round, full or since the last one; return the seconds until the next."""
        with self._sessions.current() as session:  # 1. whoever wrote before is shut out
            return self._round(session)

    def _round(self, session: Session) -> float:
        if session is not self._session:
            self._session, self._cursor = session, None
        current = session.catalog()  # 2. all that was written is known
        if current is None:
            return _LOOK_AGAIN_S
        now_s = time.monotonic()
        is_due = self._cursor is None or now_s >= self._full_at_s
        page = self._odoo.catalog(None if is_due else self._cursor)  # 3. so this is newer
        wanted, unreadable = wanted_values(page["records"], current, self._settings.secret_key.get_secret_value())
        changes = plan_changes(current, wanted, is_full=page["full"])
        check_deletions(changes, len(current), self._settings.catalog_deletions_percent_max)
        topic = self._settings.topic(CATALOG)
        session.publish(topic, [Record(topic, change.value, key=change.key.encode()) for change in changes])
        self._cursor = page["cursor"]  # 4. the topic holds it: only now may the next round start from here
        self._report(changes, {bad.key: bad.problem for bad in unreadable}, is_full=page["full"])
        if page["full"]:
            self._full_at_s = now_s + self._settings.catalog_full_s
            self._ready.set()
        return self._settings.catalog_poll_s

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

    def __init__(self, settings: Settings, odoo: OdooBilling, sessions: Sessions) -> None:
        self._settings = settings
        self._odoo = odoo
        self._sessions = sessions
        self._unreadable: set[int] = set()

    def run_once(self) -> float:
        """Publish one page; return the seconds until the next, 0 if there may be more already."""
        with self._sessions.current() as session:
            return self._round(session)

    def _round(self, session: Session) -> float:
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
        session.publish(self._settings.topic(EVENTS), records)  # 1. the topic holds them
        self._odoo.acknowledge_outbox(ids)  # 2. only now Odoo may forget them; between the two, they are sent again
        metrics.FEED_EVENTS.inc(len(ids))
        _log.info("feed.events_published", events=len(ids))
        return 0.0 if len(rows) >= _PAGE else self._settings.catalog_poll_s
