"""The order of the feed's steps: nothing is forgotten before the next neighbour holds it."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.fernet import Fernet

from producers.kafka_client import Record
from producers.odoo_feed.catalog import CatalogShrank
from producers.odoo_feed.role import Job, repeat, wait_s
from producers.odoo_feed.session import Sessions, in_transactions
from producers.odoo_feed.work import CatalogWork, OutboxWork
from schemas.errors import BrokerUnavailable, ConfigurationError, OdooRefused, OdooUnavailable, OwnershipLost
from schemas.odoo_rpc import OdooBilling
from schemas.sealing import check_secret_key
from schemas.settings import Settings
from tests.unit.odoo_feed.scripted import ScriptedKafka, ScriptedOdoo

SETTINGS = Settings.model_validate(
    {"secret_key": Fernet.generate_key().decode(), "catalog_full_s": 3600, "catalog_poll_s": 1}
)


@dataclass
class Feed:
    """Both jobs over scripted neighbours."""

    odoo: ScriptedOdoo = field(default_factory=ScriptedOdoo)
    kafka: ScriptedKafka = field(default_factory=ScriptedKafka)
    ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Wire the jobs."""
        self.restart()

    def restart(self, settings: Settings = SETTINGS) -> None:
        """Wire the jobs anew, as a new process would; the next look at the catalog is a full one."""
        billing = OdooBilling(self.odoo)
        sessions = Sessions(self.kafka.begin)
        self.catalog = CatalogWork(settings, billing, sessions, self.ready)
        self.outbox = OutboxWork(settings, billing, sessions)

    def published(self) -> list[tuple[str, Any]]:
        """Return (key, parsed value) of every record."""
        return [((r.key or b"").decode(), r.value and json.loads(r.value)) for r in self.kafka.records]


@pytest.fixture
def feed() -> Feed:
    """Return a fresh feed."""
    return Feed()


def plan(number: int, **changes: Any) -> dict[str, Any]:
    """A plan as Odoo tells it."""
    value = {"kind": "plan", "id": number, "name": "Monthly", "unit": "month", "count": 1, **changes}
    return {"key": f"plan/{number}", "value": value}


def event(number: int, **changes: Any) -> dict[str, Any]:
    """An outbox row."""
    return {
        "id": number,
        "event_id": f"event-{number}",
        "type": "invoice.paid",
        "time": "2026-07-01T00:00:00Z",
        "service": "nexamaps",
        "subscription": f"sub-{number % 2}",
        "customer": None,
        "data": {},
        **changes,
    }


def test_a_catalog_that_suddenly_lost_most_of_its_records_is_not_believed(feed: Feed) -> None:
    """A lost access right looks like that: nothing is deleted, nothing changed, until the records are back."""
    feed.odoo.records = [plan(number) for number in range(60)]
    feed.catalog.run_once()
    before = len(feed.kafka.records)
    everything, feed.odoo.records = feed.odoo.records, [plan(1, name="Renamed")]
    feed.restart()
    with pytest.raises(CatalogShrank, match="59 of 60"):
        feed.catalog.run_once()
    assert len(feed.kafka.records) == before
    feed.odoo.records = everything[:35]
    feed.catalog.run_once()
    assert len(feed.kafka.values) == 35


def test_a_person_may_allow_the_loss(feed: Feed) -> None:
    """With the setting at 100, and for a catalog so small that nothing much can go wrong."""
    feed.odoo.records = [plan(number) for number in range(60)]
    feed.catalog.run_once()
    feed.odoo.records = []
    feed.restart(SETTINGS.model_copy(update={"catalog_deletions_percent_max": 100}))
    feed.catalog.run_once()
    assert feed.kafka.values == {}
    feed.odoo.records = [plan(number) for number in range(20)]
    feed.restart()
    feed.catalog.run_once()
    feed.odoo.records = []
    feed.restart()
    feed.catalog.run_once()
    assert feed.kafka.values == {}


def test_the_catalog_waits_until_the_topic_was_read(feed: Feed) -> None:
    """Without knowing what is there, differences cannot be known."""
    feed.kafka.is_read = False
    assert feed.catalog.run_once() < 1
    assert not feed.odoo.calls
    assert not feed.ready.is_set()


def test_first_everything_then_what_changed(feed: Feed) -> None:
    """Ready after the first full round; later rounds start from the cursor and publish differences only."""
    feed.odoo.records = [plan(1), plan(2)]
    feed.catalog.run_once()
    assert feed.ready.is_set()
    feed.odoo.records = [plan(2), plan(3)]
    feed.catalog.run_once()
    assert [kwargs["since"] for _, kwargs in feed.odoo.calls] == [None, "cursor-1"]
    assert [key for key, _ in feed.published()] == ["plan/1", "plan/2", "plan/3"]


def test_what_is_gone_is_deleted_by_a_full_round(feed: Feed) -> None:
    """Also what an earlier feed had left behind."""
    feed.kafka.values["plan/9"] = b"left behind"
    feed.odoo.records = [plan(1)]
    feed.catalog.run_once()
    assert feed.published()[-1] == ("plan/9", None)
    assert feed.kafka.values.keys() == {"plan/1"}


def test_a_failed_publication_is_repeated_in_full(feed: Feed) -> None:
    """Not ready, cursor not moved: the next round does it all again, in a session of its own."""
    feed.odoo.records = [plan(1), plan(2)]
    feed.kafka.failing = {1}
    with pytest.raises(BrokerUnavailable):
        feed.catalog.run_once()
    assert not feed.ready.is_set()
    assert feed.kafka.sessions[0].is_closed
    feed.catalog.run_once()
    assert len(feed.kafka.sessions) == 2
    assert feed.ready.is_set()
    assert [kwargs["since"] for _, kwargs in feed.odoo.calls] == [None, None]
    assert feed.kafka.values.keys() == {"plan/1", "plan/2"}


def test_a_bad_record_does_not_keep_the_feed_from_being_ready(feed: Feed) -> None:
    """It is logged; the others are published."""
    feed.odoo.records = [plan(1, unit="fortnight"), plan(2)]
    feed.catalog.run_once()
    assert feed.ready.is_set()
    assert [key for key, _ in feed.published()] == ["plan/2"]


def test_events_are_acknowledged_after_kafka_has_them(feed: Feed) -> None:
    """In the order of the outbox."""
    feed.odoo.outbox = [event(1), event(2), event(3)]
    assert feed.outbox.run_once() == 1
    assert [value["id"] for _, value in feed.published() if value] == ["event-1", "event-2", "event-3"]
    assert feed.odoo.acknowledged == [1, 2, 3]
    feed.outbox.run_once()
    assert len(feed.kafka.records) == 3


def test_events_that_kafka_did_not_take_stay_in_the_outbox(feed: Feed) -> None:
    """The next round publishes them under the same ids; some may come twice, none is missing, the order stays."""
    feed.odoo.outbox = [event(1), event(2), event(3)]
    feed.kafka.failing = {1}
    with pytest.raises(BrokerUnavailable):
        feed.outbox.run_once()
    assert feed.odoo.acknowledged == []
    feed.outbox.run_once()
    assert feed.odoo.acknowledged == [1, 2, 3]
    of_sub_1 = [value["id"] for key, value in feed.published() if key == "nexamaps/sub-1"]
    assert of_sub_1 == ["event-1", "event-1", "event-3"]


def test_a_new_session_compares_everything_anew(feed: Feed) -> None:
    """Another feed may have written in between: what this one knew before is worth nothing."""
    feed.odoo.records = [plan(1)]
    feed.odoo.outbox = [event(1)]
    feed.catalog.run_once()
    feed.kafka.failing = {2}
    with pytest.raises(BrokerUnavailable):
        feed.outbox.run_once()
    feed.kafka.values["plan/1"] = b"of another feed"
    feed.catalog.run_once()
    assert [kwargs["since"] for name, kwargs in feed.odoo.calls if name == "fc_catalog"] == [None, None]
    assert json.loads(feed.kafka.values["plan/1"])["id"] == 1


@pytest.mark.parametrize("name", ["catalog", "outbox"])
def test_a_feed_that_was_shut_out_stops(feed: Feed, name: str) -> None:
    """It writes nothing and acknowledges nothing; the process ends, so that somebody looks."""
    feed.odoo.records = [plan(1)]
    feed.catalog.run_once()
    Feed(odoo=feed.odoo, kafka=feed.kafka).catalog.run_once()
    feed.odoo.records, feed.odoo.outbox = [plan(1, name="Renamed")], [event(1)]
    run_once = {"catalog": feed.catalog.run_once, "outbox": feed.outbox.run_once}[name]
    with pytest.raises(OwnershipLost):
        Job(name, run_once).run()
    assert (len(feed.kafka.records), feed.odoo.acknowledged) == (1, [])


def test_transactions_are_bounded_and_keep_the_order() -> None:
    """By number and by bytes; a record larger than the bound has one of its own."""
    records = [Record("t", str(number).encode()) for number in range(1001)]
    parts = list(in_transactions(records))
    assert [len(part) for part in parts] == [500, 500, 1]
    assert [record for part in parts for record in part] == records
    large = [Record("t", bytes(900_000))] * 10
    assert [len(part) for part in in_transactions(large)] == [9, 1]
    assert list(in_transactions([])) == []


def test_an_event_that_does_not_fit_stays_for_a_person(feed: Feed) -> None:
    """It is never acknowledged, holds up no other, and does not fill the page."""
    feed.odoo.outbox = [
        event(number, time="soon" if number <= 200 else "2026-07-01T00:00:00Z") for number in range(1, 252)
    ]
    while feed.outbox.run_once() == 0 or len(feed.odoo.acknowledged) < 51:
        assert len(feed.odoo.calls) < 10
    assert feed.odoo.acknowledged == list(range(201, 252))


def test_a_full_page_is_followed_at_once(feed: Feed) -> None:
    """A backlog is not worked off at one page per poll."""
    feed.odoo.outbox = [event(number) for number in range(1, 402)]
    assert [feed.outbox.run_once() for _ in range(3)] == [0, 0, 1]
    assert feed.odoo.acknowledged == list(range(1, 402))


def test_waits_grow_to_half_a_minute() -> None:
    """The table of the docstring."""
    assert [wait_s(failures) for failures in (1, 2, 3, 4, 5, 6, 7, 1000)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_one_failing_job_does_not_stop_the_other() -> None:
    """Each has its own pace and its own failures."""
    stop = threading.Event()
    runs = []

    def failing() -> float:
        raise OdooUnavailable("away")

    def refused() -> float:
        raise OdooRefused("odoo.exceptions.AccessError", "no")

    def working() -> float:
        runs.append(1)
        if len(runs) == 3:
            stop.set()
        return 0.0

    repeat([Job("a", failing), Job("b", refused), Job("c", working)], stop)
    assert len(runs) == 3


def test_a_bug_is_not_retried() -> None:
    """What is neither away nor refused stops the process, so that somebody looks."""

    def broken() -> float:
        raise KeyError("records")

    with pytest.raises(KeyError):
        repeat([Job("a", broken)], threading.Event())


def test_a_key_that_cannot_seal_stops_the_start() -> None:
    """One sentence with the remedy."""
    with pytest.raises(ConfigurationError, match=r"FUSION_SECRET_KEY: .* make one with"):
        check_secret_key("short")
