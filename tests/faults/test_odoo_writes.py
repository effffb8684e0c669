"""Odoo and PostgreSQL killed in the middle of a write, and two sinks that write the same keys: each line once."""

from __future__ import annotations

import json
import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from deploy.adapters.odoo import OdooRpcTransport
from deploy.local import provision
from deploy.local.errors import NotReady
from deploy.local.ports import draw_free_port
from deploy.local.postgres import ROLE as POSTGRES
from deploy.local.settings import LocalSettings
from deploy.local.stack import Stack
from producers import odoo_feed
from producers.kafka_client.history import read_to_end
from schemas.derived import LineStatus
from schemas.errors import Unavailable
from schemas.odoo_rpc import OdooBilling
from schemas.topics import CATALOG, EVENTS, Topic
from sinks.kafka_client import Publisher, Record
from sinks.odoo import role
from sinks.odoo.sink import OdooSink
from tests.integration.odoo_harness import OdooBooks, make_books
from tests.integration.sinks_harness import Pipeline, make_pipeline, running
from tests.stack.odoo import make_server
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sinks.health import Health
    from tests.stack.kafka import TopicMaker
    from tests.stack.odoo import OdooServer

pytestmark = [pytest.mark.kafka, pytest.mark.odoo, pytest.mark.faults]

SUBSCRIPTIONS = 6
WITHIN_S = 60.0
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'sale_order_line'::regclass"


@pytest.fixture
def pipeline(kafka_bootstrap: str, topic_prefix: str, topics: TopicMaker) -> Pipeline:
    """Return fresh topics."""
    return make_pipeline(kafka_bootstrap, topic_prefix, topics)


@pytest.fixture
def books(odoo: OdooServer) -> Iterator[OdooBooks]:
    """Return a service of this test's own; Odoo runs again afterwards."""
    yield make_books(odoo, SUBSCRIPTIONS)
    odoo.start()


def sinking(pipeline: Pipeline, odoo: OdooServer) -> AbstractContextManager[Health]:
    """Run one sink between the topics and this Odoo."""
    own = Pipeline(pipeline.variables | odoo.variables())

    def work(stop: threading.Event, health: Health) -> None:
        role.run(own.settings, OdooRpcTransport, stop, health)

    return running(work)


def feeding(pipeline: Pipeline, odoo: OdooServer) -> AbstractContextManager[Health]:
    """Run the feed between this Odoo and the topics."""
    pace = {"FUSION_CATALOG_POLL_S": "0.2", "FUSION_SECRET_KEY": Fernet.generate_key().decode()}
    own = Pipeline(pipeline.variables | odoo.variables() | pace)

    def work(stop: threading.Event, _: Health) -> None:
        odoo_feed.run(own.settings, lambda: OdooRpcTransport(own.settings), stop)

    return running(work)


@contextmanager
def write_held_up(odoo: OdooServer) -> Iterator[None]:
    """Begin the block as soon as a call to Odoo is in the middle of writing lines, and cannot go on."""
    with odoo.stack.postgres.odoo.connect(odoo.database) as holder, holder.transaction():
        holder.execute("LOCK TABLE sale_order_line IN SHARE MODE")
        yield


def is_held_up(odoo: OdooServer) -> bool:
    """Tell whether a write of lines waits."""
    with odoo.stack.postgres.odoo.connect(odoo.database) as observer:
        return bool(observer.execute(_WAITING).fetchone() != (0,))


def test_odoo_killed_in_the_middle_of_a_call_leaves_each_line_once(
    pipeline: Pipeline, books: OdooBooks, odoo: OdooServer
) -> None:
    """Its transaction is gone as a whole; the sink says it all again, by itself."""
    with sinking(pipeline, odoo):
        pipeline.publish_overage(books.record("sub-0", "5"))
        books.wait_for_line("sub-0", 5.0, WITHIN_S)
        with write_held_up(odoo):
            pipeline.publish_overage(*(books.record(f"sub-{n}", "10", offset=2) for n in range(SUBSCRIPTIONS)))
            wait_until(lambda: is_held_up(odoo), WITHIN_S, "a call is writing lines")
            odoo.kill()
        odoo.start()
        for number in range(SUBSCRIPTIONS):
            books.wait_for_line(f"sub-{number}", 10.0, WITHIN_S)
        told = wait_until(lambda: all_told(pipeline, offset=2), WITHIN_S, "lines.v1 has them")
    assert told == dict.fromkeys(told, "10")


def test_postgresql_killed_in_the_middle_of_a_write_leaves_each_line_once(
    pipeline: Pipeline, stack: Stack, odoo_template: str, tmp_path: Path
) -> None:
    """A cluster of this test's own dies by kill -9 and recovers; Odoo, sink and feed go on by themselves."""
    with private_odoo(stack, odoo_template, tmp_path) as (cluster, odoo):
        books = make_books(odoo, SUBSCRIPTIONS)
        with sinking(pipeline, odoo), feeding(pipeline, odoo):
            pipeline.publish_overage(books.record("sub-0", "5"))
            books.wait_for_line("sub-0", 5.0, WITHIN_S)
            wait_until(lambda: is_all_fed(pipeline, odoo), WITHIN_S, "the feed has told everything")
            holder = cluster.postgres.odoo.connect(odoo.database)
            try:
                holder.execute("BEGIN")
                holder.execute("LOCK TABLE sale_order_line IN SHARE MODE")
                pipeline.publish_overage(*(books.record(f"sub-{n}", "10", offset=2) for n in range(SUBSCRIPTIONS)))
                wait_until(lambda: is_held_up(odoo), WITHIN_S, "a call is writing lines")
                cluster.processes.kill(POSTGRES)
            finally:
                holder.close()
            wait_until(lambda: is_up_again(cluster), WITHIN_S, "PostgreSQL has recovered")
            told = wait_until(lambda: all_told(pipeline, offset=2), 2 * WITHIN_S, "lines.v1 has them")
            later = make_books(odoo, 1)
            wait_until(lambda: is_all_fed(pipeline, odoo), 2 * WITHIN_S, "the feed has told everything again")
            wait_until(lambda: later.service in services(pipeline), WITHIN_S, "the new service")
        assert told == dict.fromkeys(told, "10")
        for number in range(SUBSCRIPTIONS):
            assert books.amounts(f"sub-{number}") == [10.0]


@contextmanager
def private_odoo(stack: Stack, template: str, folder: Path) -> Iterator[tuple[Stack, OdooServer]]:
    """An Odoo on a PostgreSQL of its own, which may be killed; both gone at the end."""
    assert template  # prepared by now: the cluster below restores it from the same cache
    assert stack.postgres.is_ready()
    # A fixed port: Odoo must find the cluster again where it was.
    settings = LocalSettings(dir=folder / "cluster", postgres_fsync=False, postgres_port=draw_free_port())
    cluster = Stack.of(settings)
    try:
        cluster.postgres.ensure_running()
        odoo = make_server(cluster, cluster.templates.ensure(), folder / "odoo")
        try:
            odoo.start()
            provision.ensure_bot(odoo.admin, odoo.bot.password)
            yield cluster, odoo
        finally:
            odoo.kill()
    finally:
        cluster.processes.stop(POSTGRES)


def is_all_fed(pipeline: Pipeline, odoo: OdooServer) -> bool:
    """Tell whether each event that Odoo has is published once, and the outbox empty."""
    events = odoo.call("fusion.billing.event", "search_read", [], ["event_id", "published"])
    assert all(event["published"] for event in events), events
    ids = sorted(event["id"] for event in published(pipeline, EVENTS))
    assert ids == sorted(event["event_id"] for event in events)
    return bool(ids)


def services(pipeline: Pipeline) -> set[str]:
    """Return the codes of the services that the catalog topic names."""
    return {value["code"] for value in published(pipeline, CATALOG, "service")}


def published(pipeline: Pipeline, topic: Topic, kind: str | None = None) -> list[dict[str, str]]:
    """Return what a topic holds, of one kind if asked for."""
    settings = pipeline.settings
    values = [json.loads(record.value) for record in read_to_end(settings, settings.topic(topic)) if record.value]
    return [value for value in values if value.get("kind") == kind]


def is_up_again(cluster: Stack) -> bool:
    """Start PostgreSQL; not yet while sessions of the killed one still let go of its memory."""
    try:
        cluster.postgres.ensure_running()
    except NotReady:
        return False
    return True


def all_told(pipeline: Pipeline, offset: int) -> dict[str, str]:
    """Return {key: amount} once lines.v1 has an answer to this version of every subscription's row."""
    told = {line.key: line for line in pipeline.lines() if line.version.source_offset == offset}
    assert len(told) == SUBSCRIPTIONS, sorted(told)
    assert LineStatus.PARKED not in {line.status for line in told.values()}, told
    return {key: str(line.amount) for key, line in told.items()}


def test_two_sinks_that_write_the_same_keys_leave_each_line_once(
    pipeline: Pipeline, books: OdooBooks, odoo: OdooServer
) -> None:
    """Every row twice, in any order, both at once, as after a rebalance that went wrong: the newest version stays."""
    versions = range(1, 6)
    rows = [books.record(f"sub-{n}", str(10 * turn), turn) for n in range(SUBSCRIPTIONS) for turn in versions] * 2
    records = [Record("overage.v1", 0, n, 0, key.encode(), value) for n, (key, value) in enumerate(rows)]
    own = Pipeline(pipeline.variables | odoo.variables() | {"FUSION_ODOO_ROWS_PER_CALL": "4"})
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            write_all(own, random.Random(seed).sample(records, len(records)))
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the test's thread
            failures.append(error)

    sinks = [threading.Thread(target=work, args=(seed,), name=f"sink-{seed}") for seed in range(2)]
    for sink in sinks:
        sink.start()
    for sink in sinks:
        sink.join()
    assert failures == []
    for number in range(SUBSCRIPTIONS):
        assert books.amounts(f"sub-{number}") == [50.0]
    newest = {line.key: line for line in sorted(own.lines(), key=lambda line: line.version)}
    assert {str(line.amount) for line in newest.values()} == {"50"}
    assert len(newest) == SUBSCRIPTIONS


def write_all(pipeline: Pipeline, records: Sequence[Record]) -> None:
    """Write the records some at a time, again and again while Odoo says that somebody else was faster."""
    publisher = Publisher(pipeline.settings)
    sink = OdooSink(pipeline.settings, OdooBilling(OdooRpcTransport(pipeline.settings)), publisher)
    try:
        for start in range(0, len(records), 10):
            some = records[start : start + 10]

            def written(some: Sequence[Record] = some) -> bool:
                try:
                    return sum(len(settled) for settled in sink.write(some)) == len(some)
                except Unavailable:
                    return False

            wait_until(written, 2 * WITHIN_S, "the rows are written")
    finally:
        sink.close()
        publisher.close()
