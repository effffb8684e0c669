"""The meter as the process it is in production, on the real broker."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from deploy.bench.common import kafka_io
from deploy.local import kafka_client
from schemas.errors import OwnershipLost
from schemas.settings import load
from streams.kafka_client import FencedPublisher, publisher
from tests.faults.meter_lab import MeterLab, running
from tests.faults.reference_model import SERVICE, catalog
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka
WITHIN_S = 90.0


def counter(key: str = "k", quantity: str = "1", start: str = "2026-07-03T00:00:00Z", **fields: Any) -> dict[str, Any]:
    """One counter of calls of s0."""
    return {
        "subscription": "s0",
        "metric": "calls",
        "quantity": quantity,
        "period_start": start,
        "period_end": start,
        "idempotency_key": key,
        **fields,
    }


def batch(*rows: dict[str, Any]) -> bytes:
    """A usage batch in the form for people."""
    return json.dumps({"service": SERVICE, "counters": rows}).encode()


def total(lab: MeterLab, name: str = "s0/calls/2026-07-01") -> dict[str, Any]:
    """The total of a key, or nothing yet."""
    return lab.latest("totals.v1").get(f"{SERVICE}/{name}T00:00:00Z", {})


def wait_for_total(lab: MeterLab, quantity: str, name: str = "s0/calls/2026-07-01") -> dict[str, Any]:
    """Wait until a total has this value."""

    def found() -> dict[str, Any]:
        seen = total(lab, name)
        assert seen.get("quantity") == quantity, seen
        return seen

    return wait_until(found, WITHIN_S, f"total {name} = {quantity}")


def test_counters_become_totals_and_overage(lab: MeterLab) -> None:
    """6,000 calls over a quota of 500 cost 550 started tens; the record carries the terms and the period."""
    lab.publish_counters(counter("a", "5000"), counter("b", "1000"))
    with running(lab.worker()):
        seen = wait_for_total(lab, "6000")
        lab.wait_until_exact()
    assert (seen["counters"], seen["aggregation"], seen["period_end"]) == (2, "sum", "2026-08-01T00:00:00Z")
    overage = lab.latest("overage.v1")["maps/s0/calls-fee/2026-07-01T00:00:00Z"]
    assert {name: overage[name] for name in ("total", "quota", "billable_units", "batches", "amount", "currency")} == {
        "total": "6000",
        "quota": "500",
        "billable_units": "5500",
        "batches": "550",
        "amount": "55",
        "currency": "CAD",
    }


def test_the_same_again_is_no_news_and_a_correction_is(lab: MeterLab) -> None:
    """A retry publishes nothing; a new quantity publishes a greater version; a late old revision nothing."""
    with running(lab.worker()):
        lab.publish_counters(counter("a", "10", revision=1))
        first = wait_for_total(lab, "10")
        lab.publish_counters(counter("a", "10", revision=1))
        lab.publish_counters(counter("a", "99", revision=0))
        lab.publish_counters(counter("mark", "1", subscription="s1"))
        wait_for_total(lab, "1", "s1/calls/2026-07-01")
        assert total(lab) == first
        lab.publish_counters(counter("a", "7", revision=1))
        assert wait_for_total(lab, "7")["version"] > first["version"]
        lab.wait_until_exact()


def test_bad_input_goes_to_rejected_and_the_stream_goes_on(lab: MeterLab) -> None:
    """Garbage once per record, bad counters by index and field, the good ones of the batch count."""
    garbage = [b"\x00\xff", b"", b"{", b"null", b'{"service":"maps","counters":[{}]}x', b"[" * 100_000]
    places = [lab.publish(raw, partition=1) for raw in garbage]
    for place, raw in zip(places, garbage, strict=True):
        lab.model.take(*place, raw)
    mixed = lab.publish_counters(
        counter("a", "1"), counter("b", "1e400"), counter("c", "-4"), counter("d", "2"), counter("e", "NaN")
    )
    assert lab.model.rejected[mixed] == [(1, "bad_quantity"), (2, "negative_quantity"), (4, "bad_quantity")]
    with running(lab.worker()):
        wait_for_total(lab, "3")
        lab.wait_until_exact()
    records = lab.read("rejected.v1")
    refused = {(value["partition"], value["offset"]): value for value in map(_json, records)}
    check_headers(records, "fusion.rejected.v1")
    for topic, event_type in (("totals.v1", "fusion.total.v1"), ("overage.v1", "fusion.overage.v1")):
        check_headers(lab.read(topic), event_type)
    assert [each["field"] for each in refused[mixed]["refusals"]] == ["quantity"] * 3
    assert refused[mixed]["topic"] == lab.prefix + "usage.v1"


def test_a_refusal_that_its_topic_does_not_take_holds_up_nothing(lab: MeterLab) -> None:
    """Where `rejected.v1` takes ordinary records only, a large one is named by its place and its reason."""
    admin = KafkaAdminClient(bootstrap_servers=lab.bootstrap)
    admin.alter_configs([ConfigResource("topic", f"{lab.prefix}rejected.v1", {"max.message.bytes": "20000"})])
    admin.close()
    place = lab.publish(b"[" * 900_000, partition=1)
    with running(lab.worker()):
        lab.publish_counters(counter("a", "5"))
        wait_for_total(lab, "5")
        [refused] = wait_until(lambda: lab.read("rejected.v1"), WITHIN_S, "the refusal")
    value = json.loads(refused.value)
    assert (value["partition"], value["offset"], value["original"]) == (*place, "")
    assert "left out" in value["message"]


def test_a_missing_topic_is_named_with_its_remedy(lab: MeterLab) -> None:
    """The meter says so and ends; it neither hangs nor makes the topic."""
    totals = f"{lab.prefix}totals.v1"
    kafka_client.delete_topics(lab.bootstrap, {totals})
    wait_until(lambda: totals not in kafka_client.topic_names(lab.bootstrap), WITHIN_S, "the topic is gone")
    worker = lab.worker()
    worker.start()
    worker.let_go()
    assert worker.wait_for_end() != 0
    assert f"no topic {totals}: run `fusion-billing topics apply`" in worker.log.read_text()
    assert totals not in kafka_client.topic_names(lab.bootstrap)


def check_headers(records: list[Any], event_type: str) -> None:
    """Each record is an event of this type, and no two are the same one."""
    found = [dict(record.headers) for record in records]
    assert {each["ce_type"].decode() for each in found} == {event_type}
    assert len({each["ce_id"] for each in found}) == len(found)


def _json(record: Any) -> Any:
    return json.loads(record.value)


def test_counters_wait_for_the_catalog(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    """Subscription, metric and charge may come after the counters, distinct values included."""
    lab = MeterLab(kafka_bootstrap, topic_prefix, tmp_path)
    lab.open()
    known = catalog(["s0"])
    worker = lab.worker()
    with running(worker):
        lab.publish_counters(counter("a", "600"))
        for number, seat in enumerate("abca"):
            lab.publish_counters(counter(f"k{number}", metric="seats", properties={"seat": seat}))
        worker.wait_for("partition.opened", times=lab.partitions)
        for kind in ("subscription", "plan", "metric", "charge"):
            assert lab.latest("overage.v1") == {}
            lab.tell_catalog({key: value for key, value in known.items() if value["kind"] == kind})
        wait_for_total(lab, "3", "s0/seats/2026-07-01")
        lab.wait_until_exact()
    lab.close()


def test_catalog_changes_rate_anew_what_they_touch(lab: MeterLab) -> None:
    """A new price changes the amount; a charge that applies no more is withdrawn, not left standing."""
    known = catalog(["s0"])
    with running(lab.worker()):
        lab.publish_counters(counter("a", "1500"))
        key = "maps/s0/calls-fee/2026-07-01T00:00:00Z"
        _wait_for_amount(lab, key, "10")
        lab.tell_catalog({"charge/1": known["charge/1"] | {"price_per_unit": "0.2"}})
        _wait_for_amount(lab, key, "20")
        lab.tell_catalog({"subscription/1": known["subscription/1"] | {"plan_code": "starter"}})
        _wait_for_amount(lab, key, "0")
        lab.tell_catalog({"subscription/1": known["subscription/1"]})
        _wait_for_amount(lab, key, "20")
        lab.tell_catalog({"charge/1": None})
        _wait_for_amount(lab, key, "0")
    assert total(lab)["quantity"] == "1500"


def test_a_counter_is_divided_where_its_metric_asks_for_it(lab: MeterLab) -> None:
    """Six hours of a day lie in July; corrected after a power cut, and counted at its start once the option is gone."""
    key, metric = next((key, value) for key, value in catalog([]).items() if value.get("code") == "calls")
    lab.tell_catalog({key: metric | {"split_pro_rata": True}})
    across = {"start": "2026-07-31T18:00:00Z", "period_end": "2026-08-01T18:00:00Z"}
    worker = lab.worker()
    with running(worker):
        for quantity, july, august in (("100", "25", "75"), ("10", "2.5", "7.5")):
            lab.publish_counters(counter("a", quantity, **across))
            wait_for_total(lab, july)
            wait_for_total(lab, august, "s0/calls/2026-08-01")
            worker.kill()
            worker.start()
        lab.tell_catalog({key: metric})
        wait_for_total(lab, "10")
        assert wait_for_total(lab, "0", "s0/calls/2026-08-01")["counters"] == 0


def test_the_catalog_may_change_while_the_meter_is_down(lab: MeterLab) -> None:
    """Started again from its snapshot, it rates by the catalog of now."""
    worker, key = lab.worker(), "maps/s0/calls-fee/2026-07-01T00:00:00Z"
    with running(worker):
        lab.publish_counters(counter("a", "1500"))
        _wait_for_amount(lab, key, "10")
        assert worker.stop() == 0
        lab.tell_catalog({"charge/1": catalog([])["charge/1"] | {"price_per_unit": "0.3"}})
        worker.start()
        _wait_for_amount(lab, key, "30")
        assert worker.stop() == 0
        lab.tell_catalog({"charge/1": None})
        worker.start()
        _wait_for_amount(lab, key, "0")


def _wait_for_amount(lab: MeterLab, key: str, amount: str) -> None:
    def found() -> bool:
        seen = lab.latest("overage.v1").get(key, {}).get("amount")
        assert seen == amount, seen
        return True

    wait_until(found, WITHIN_S, f"{key} costs {amount}")


def test_a_counter_on_a_wrong_partition_counts_once(lab: MeterLab) -> None:
    """It is sent on to where its subscription lives, and not again after a restart without snapshots."""
    home, _ = lab.publish_counters(counter("a", "1"))
    stray = batch(counter("b", "10"))
    for partition in range(lab.partitions):
        lab.publish(stray, partition=partition)
    lab.model.take(home, 0, stray)
    worker = lab.worker()
    with running(worker):
        lab.wait_until_exact()
        lab.publish_counters(counter("b", "20"))
        wait_for_total(lab, "21")
        ends = lab.end_offsets()
        worker.kill()
        for path in worker.snapshots():
            path.unlink()
        worker.start()
        lab.publish_counters(counter("c", "5"))
        wait_for_total(lab, "26")
        lab.wait_until_exact()
        worker.wait_for("partition.opened", times=2 * lab.partitions)
    assert sum(lab.end_offsets().values()) == sum(ends.values()) + 1, "strays were sent on again"


def test_counters_fall_into_the_period_of_their_start(lab: MeterLab) -> None:
    """The boundary instant belongs to the next period; a key that moves leaves nothing behind."""
    with running(lab.worker()):
        lab.publish_counters(
            counter("a", "1", "2026-07-31T23:59:59.999999Z"),
            counter("b", "2", "2026-08-01T00:00:00Z"),
            counter("c", "4", "2026-08-01T01:59:59+02:00"),
        )
        wait_for_total(lab, "5")
        wait_for_total(lab, "2", "s0/calls/2026-08-01")
        lab.publish_counters(counter("a", "1", "2026-08-15T00:00:00Z"))
        wait_for_total(lab, "4")
        wait_for_total(lab, "3", "s0/calls/2026-08-01")
        lab.wait_until_exact()


def test_aborted_transactions_do_not_count(lab: MeterLab) -> None:
    """An outside producer's markers leave gaps in the offsets, its aborted records never happened."""
    with running(lab.worker()):
        for number in range(6):
            raw, is_committed = batch(counter(f"t{number}", str(2**number))), number % 2 == 0
            place = lab.publish_in_transaction(raw, f"{SERVICE}/s0", commit=is_committed)
            if is_committed:
                lab.model.take(*place, raw)
        lab.publish_counters(counter("plain", "100"))
        wait_for_total(lab, "121")
        lab.wait_until_exact()


def test_a_clean_stop_saves_everything(lab: MeterLab) -> None:
    """SIGTERM ends with 0 and a snapshot; the next start replays nothing and publishes nothing again."""
    worker = lab.worker(meter_snapshot_s="3600")
    with running(worker):
        for number in range(20):
            lab.publish_counters(counter(f"k{number}", "1", subscription=f"s{number % 4}"))
        lab.wait_until_exact()
        assert worker.stop() == 0
        assert worker.count("snapshot.written") == sum(end > 0 for end in lab.end_offsets().values())
        published = len(lab.read("totals.v1"))
        worker.start()
        worker.wait_for("partition.opened", times=2 * lab.partitions)
        lab.publish_counters(counter("after", "1", subscription="s5"))
        wait_for_total(lab, "1", "s5/calls/2026-07-01")
        lab.wait_until_exact()
        assert worker.stop() == 0
    assert len(lab.read("totals.v1")) == published + 1
    assert Decimal(total(lab)["quantity"]) == 5


@pytest.mark.usefixtures("lab")
async def test_a_partition_that_is_idle_for_days_keeps_its_claim(
    kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker forgets what nobody commits for a week; a claim that it has forgotten looks like another owner's."""
    settings = load({}, kafka_bootstrap=kafka_bootstrap, topic_prefix=topic_prefix)
    owner = FencedPublisher(settings, 0)
    try:
        assert await owner.claim(3) == 3
        kafka_io.delete_groups(kafka_bootstrap, f"{topic_prefix}meter-outbox")
        await owner.keep_claim(7)
        with pytest.raises(OwnershipLost):
            await owner._check_owner()
        assert await owner.claim(3) == 3
        monkeypatch.setattr(publisher, "_CLAIM_AGAIN_AFTER_S", 0.0)
        await owner.keep_claim(7)
        assert await owner._check_owner() == 7
    finally:
        await owner.close()
