"""The feed between a real Odoo with our addon and a real broker."""

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from standardwebhooks import Webhook

from deploy.adapters.odoo import OdooRpcTransport
from producers import odoo_feed
from schemas.catalog import Charge, Endpoint, Subscription, catalog_entry
from schemas.errors import OdooUnavailable, OwnershipLost
from schemas.money import format_decimal
from schemas.odoo_rpc import OdooTransport
from schemas.sealing import open_sealed
from schemas.settings import Settings, load
from schemas.topics import CATALOG, EVENTS, Topic
from sinks.webhooks.secrets import Secrets
from sinks.webhooks.signing import Attempt, headers_of
from tests.integration.odoo_harness import OdooBooks, make_books
from tests.stack.kafka import Broker, TopicMaker
from tests.stack.odoo import OdooServer
from tests.stack.reading import read_cold
from tests.stack.threads import in_thread
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.odoo]

SECRET_KEY = Fernet.generate_key().decode()
WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed that can be run, and what it wrote."""

    settings: Settings

    @contextmanager
    def running(self, transport: OdooTransport | None = None) -> Iterator[threading.Event]:
        """Run the feed in a thread until the block ends; gives its readiness."""
        ready = threading.Event()
        with in_thread(self.work(ready, transport)):
            yield ready

    def work(self, ready: threading.Event, transport: OdooTransport | None = None) -> Callable[[threading.Event], None]:
        """Return what runs the feed until an event is set."""
        return lambda stop: odoo_feed.run(
            self.settings, lambda: transport or OdooRpcTransport(self.settings), stop, ready
        )

    def records(self, topic: Topic) -> list[Any]:
        """Return all records of a topic."""
        return read_cold(self.settings.kafka_bootstrap, self.settings.topic(topic))

    def values(self) -> dict[str, bytes]:
        """Return what the catalog topic holds, the last state of each key."""
        last = {record.key.decode(): record.value for record in self.records(CATALOG)}
        return {key: value for key, value in last.items() if value is not None}

    def catalog(self, kind: type[Any], service: str) -> list[Any]:
        """Return the entries of a kind that the topic holds for a service."""
        entries = [catalog_entry.validate_json(value) for value in self.values().values()]
        return [entry for entry in entries if isinstance(entry, kind) and entry.service == service]

    def events(self, service: str) -> list[Any]:
        """Return the records of events of a service, oldest first."""
        return [record for record in self.records(EVENTS) if json.loads(record.value)["service"] == service]


def settings_of(bootstrap: str, prefix: str, odoo: OdooServer, **overrides: Any) -> Settings:
    """Return settings of a feed that looks often."""
    pace = {"catalog_poll_s": 0.2, "catalog_full_s": 1.0}
    return load(
        odoo.variables(),
        kafka_bootstrap=bootstrap,
        topic_prefix=prefix,
        secret_key=SECRET_KEY,
        **{**pace, **overrides},
    )


@pytest.fixture
def feed(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker, odoo: OdooServer) -> Feed:
    """Return a feed with topics of its own."""
    topics(CATALOG.name, 1, {"cleanup.policy": "compact"})
    topics(EVENTS.name, 1)
    return Feed(settings_of(kafka_bootstrap, topic_prefix, odoo))


@pytest.fixture
def books(odoo: OdooServer) -> OdooBooks:
    """Return a service of this test's own with two subscriptions."""
    return make_books(odoo, 2)


def service_id(odoo: OdooServer, books: OdooBooks) -> int:
    """Return the service's id in Odoo."""
    [found] = odoo.call("fusion.billing.service", "search", [["code", "=", books.service]])
    return int(found)


def test_ready_means_that_the_whole_catalog_is_on_the_topic(feed: Feed, books: OdooBooks) -> None:
    """Service, charge and subscriptions are there at that moment, readable by everybody's models."""
    with feed.running() as ready:
        assert ready.wait(WITHIN_S)
        [charge] = feed.catalog(Charge, books.service)
        names = {entry.external_id for entry in feed.catalog(Subscription, books.service)}
    assert (charge.code, charge.included_quota, charge.unit_batch) == (books.charge, 5_000_000, 1000)
    assert names == {"sub-0", "sub-1"}


def test_changes_and_deletions_follow(feed: Feed, books: OdooBooks, odoo: OdooServer) -> None:
    """A changed price appears; a deleted plan goes, which only a full comparison can see."""
    plan = odoo.call("sale.subscription.plan", "create", {"name": "Unused"})

    def prices() -> list[str]:
        return [format_decimal(charge.price_per_unit) for charge in feed.catalog(Charge, books.service)]

    with feed.running() as ready:
        assert ready.wait(WITHIN_S)
        [charge] = feed.catalog(Charge, books.service)
        assert f"plan/{plan}" in feed.values()
        odoo.call("fusion.billing.charge", "write", [charge.id], {"price_per_unit": 0.25})
        wait_until(lambda: prices() == ["0.25"], WITHIN_S, "the new price")
        odoo.call("sale.subscription.plan", "unlink", [plan])
        wait_until(lambda: f"plan/{plan}" not in feed.values(), WITHIN_S, "the deletion")


def test_a_second_start_publishes_nothing_again(feed: Feed, books: OdooBooks, odoo: OdooServer) -> None:
    """Equal is equal byte by byte, also for sealed secrets; a record that somebody else broke is put right."""
    facts = {"webhook_url": "https://app.example/hooks", "webhook_secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhM="}
    odoo.call("fusion.billing.service", "write", [service_id(odoo, books)], facts)
    with feed.running() as ready:
        assert ready.wait(WITHIN_S)
    before = feed.records(CATALOG)
    with feed.running() as ready:
        assert ready.wait(WITHIN_S)
    assert len(feed.records(CATALOG)) == len(before)
    [endpoint] = feed.catalog(Endpoint, books.service)
    assert [open_sealed(sealed, SECRET_KEY) for sealed in endpoint.sealed_secrets] == [facts["webhook_secret"]]
    assert not any(b"whsec_" in (record.value or b"") for record in before)


def test_both_secrets_sign_while_one_replaces_the_other(feed: Feed, books: OdooBooks, odoo: OdooServer) -> None:
    """Rotated in Odoo, sealed on the topic, opened by the webhook sink: either secret verifies; later only the new."""
    service = service_id(odoo, books)
    odoo.call("fusion.billing.service", "write", [service], {"webhook_url": "https://app.example/hooks"})
    old = odoo.call("fusion.billing.service", "action_rotate_webhook_secret", [service])
    over = {"former_webhook_secret_until": "2026-01-01 00:00:00"}
    odoo.call("fusion.billing.service", "write", [service], over)

    def opened(now: datetime | None = None) -> list[str]:
        [endpoint] = feed.catalog(Endpoint, books.service)
        return Secrets(feed.settings).of(endpoint, now)

    with feed.running() as ready:
        assert ready.wait(WITHIN_S)
        assert opened() == [old]
        new = odoo.call("fusion.billing.service", "action_rotate_webhook_secret", [service])
        assert new != old
        wait_until(lambda: opened() == [new, old], WITHIN_S, "both secrets")
        assert opened(datetime.now(UTC) + timedelta(hours=23)) == [new, old]
        assert opened(datetime.now(UTC) + timedelta(hours=25)) == [new], "even if nobody tells that it is over"
        now_s = int(time.time())
        headers = headers_of(Attempt("evt_1", "invoice.paid", b"{}", 1, now_s), opened())
        for live in (new, old):
            assert Webhook(live).verify(b"{}", headers) == {}
        odoo.call("fusion.billing.service", "write", [service], over)
        odoo.run_job("fusion_billing.ir_cron_expire_secrets")
        wait_until(lambda: opened() == [new], WITHIN_S, "the end of the overlap")


def test_a_lifecycle_event_reaches_kafka_once_and_is_acknowledged(
    feed: Feed, books: OdooBooks, odoo: OdooServer
) -> None:
    """Under its public id, keyed by subscription, with CloudEvents headers; then the outbox is empty."""
    with feed.running():
        wait_until(lambda: feed.events(books.service), WITHIN_S, "an event")
        wait_until(lambda: not unpublished(odoo), WITHIN_S, "an empty outbox")
    found = feed.events(books.service)
    assert len(found) == len({json.loads(record.value)["id"] for record in found})
    for record in found:
        value, headers = json.loads(record.value), dict(record.headers)
        assert record.key.decode() == f"{books.service}/{value['subscription']}"
        assert headers["ce_id"].decode() == value["id"]
        assert headers["ce_type"].decode() == value["type"]


def unpublished(odoo: OdooServer) -> int:
    """Count the outbox rows that nobody acknowledged."""
    return int(odoo.call("fusion.billing.event", "search_count", [["published", "=", False]]))


@dataclass
class LosesAcknowledgements:
    """A transport to the real Odoo whose first acknowledgements of the outbox never arrive."""

    inner: OdooRpcTransport
    losses: int
    lost: list[Any] = field(default_factory=list)

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Pass the call on, or lose it."""
        if method == "fc_outbox_ack" and len(self.lost) < self.losses:
            self.lost.append(kwargs)
            raise OdooUnavailable("scripted loss")
        return self.inner.call(model, method, kwargs)


@pytest.mark.faults
def test_an_event_whose_acknowledgement_was_lost_comes_again_under_the_same_id(
    feed: Feed, books: OdooBooks, odoo: OdooServer
) -> None:
    """At least once: between Kafka and the acknowledgement nothing can get lost, only repeated."""
    transport = LosesAcknowledgements(OdooRpcTransport(feed.settings), losses=1)
    with feed.running(transport):
        wait_until(lambda: transport.lost and not unpublished(odoo), WITHIN_S, "an empty outbox")
    ids = [json.loads(record.value)["id"] for record in feed.events(books.service)]
    assert ids
    assert all(ids.count(event_id) == 2 for event_id in ids)


@dataclass
class TellsLate:
    """A transport to the real Odoo that holds back a certain price of the catalog until it is let go."""

    inner: OdooRpcTransport
    price: str
    holding: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def call(self, model: str, method: str, kwargs: dict[str, Any]) -> Any:
        """Call first, then wait: what is held back is what Odoo said before."""
        answer = self.inner.call(model, method, kwargs)
        if method == "fc_catalog" and self._names_price(answer["records"]):
            self.holding.set()
            assert self.go_on.wait(WITHIN_S)
        return answer

    def _names_price(self, records: list[Any]) -> bool:
        prices = [(record["value"] or {}).get("price_per_unit") for record in records]
        return any(price is not None and Decimal(price) == Decimal(self.price) for price in prices)


@pytest.mark.faults
def test_of_two_feeds_the_older_one_stops_and_leaves_nothing_stale(
    feed: Feed, books: OdooBooks, odoo: OdooServer
) -> None:
    """It has read a price, another feed takes over and publishes the next price: the first is never written."""
    stale = "0.123457"  # set by no other test: they share one Odoo
    late, ready = TellsLate(OdooRpcTransport(feed.settings), stale), threading.Event()
    with ExitStack() as newer:
        with pytest.raises(OwnershipLost, match="only one may run"), in_thread(feed.work(ready, late)) as ended:  # noqa: PT012
            assert ready.wait(WITHIN_S)
            [charge] = feed.catalog(Charge, books.service)
            odoo.call("fusion.billing.charge", "write", [charge.id], {"price_per_unit": float(stale)})
            assert late.holding.wait(WITHIN_S)
            odoo.call("fusion.billing.charge", "write", [charge.id], {"price_per_unit": 0.5})
            assert newer.enter_context(feed.running()).wait(WITHIN_S)
            late.go_on.set()
            assert ended.wait(WITHIN_S)
        records = [json.loads(record.value) for record in feed.records(CATALOG) if record.value]
    prices = [value["price_per_unit"] for value in records if value["kind"] == "charge" and value["id"] == charge.id]
    assert [Decimal(price) for price in prices] == [charge.price_per_unit, Decimal("0.5")]


@pytest.mark.faults
def test_odoo_may_go_away_and_come_back(feed: Feed, books: OdooBooks, odoo: OdooServer) -> None:
    """The feed neither dies nor deletes anything, and goes on by itself."""
    with feed.running() as ready:
        assert ready.wait(WITHIN_S)
        odoo.kill()
        try:
            before = len(feed.records(CATALOG))
        finally:
            odoo.start()
        later = make_books(odoo, 1)
        wait_until(lambda: feed.catalog(Subscription, later.service), WITHIN_S, "the new subscription")
        assert len(feed.catalog(Subscription, books.service)) == 2
        assert len(feed.records(CATALOG)) > before


@pytest.mark.faults
def test_the_feed_may_start_before_kafka(broker: Broker, books: OdooBooks, odoo: OdooServer, topic_prefix: str) -> None:
    """Not ready while Kafka is away; ready and complete when it has come."""
    feed = Feed(settings_of(broker.bootstrap, topic_prefix, odoo))
    for topic in (CATALOG, EVENTS):
        broker.create_topic(feed.settings.topic(topic))
    broker.stop()
    with feed.running() as ready:
        assert not ready.wait(1)
        broker.start()
        assert ready.wait(WITHIN_S)
        assert len(feed.catalog(Subscription, books.service)) == 2
        wait_until(lambda: feed.events(books.service), WITHIN_S, "the events")


@pytest.fixture(autouse=True)
def _sockets_are_collected() -> Iterator[None]:
    """Leave no socket for another test to be blamed for."""
    yield
    gc.collect()
