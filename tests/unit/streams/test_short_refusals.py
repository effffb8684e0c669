"""Refusals that their topic is too small for: they go out all the same, shorter, and hold up nothing."""

import asyncio
import base64
import json
from pathlib import Path

from schemas.errors import Reason
from schemas.events import Refusal, Rejected
from streams.kafka_client import TooLarge
from streams.partition.short_refusals import lower_limit, shortened
from streams.records import Outgoing
from tests.unit.streams.desk import Desk


def refusal(size: int, refusals: int = 1, key: bytes | None = None) -> Outgoing:
    """A refused record of a size, as the meter publishes it."""
    refused = Refusal(index=0, reason=Reason.BAD_QUANTITY, field="quantity", message="NaN")
    value = Rejected(
        topic="t.usage.v1",
        partition=0,
        offset=7,
        reason=Reason.BAD_QUANTITY,
        message="NaN",
        refusals=[refused] * refusals,
        original=base64.b64encode(b"x" * size).decode(),
    )
    return Outgoing("t.rejected.v1", key, value.model_dump_json().encode(), None, (("ce_id", b"1"),))


def test_what_fits_stays_as_it_is() -> None:
    """Other topics' records whatever their size."""
    records = [refusal(10), Outgoing("t.totals.v1", b"k", b"x" * 100_000)]
    assert shortened(records, "t.rejected.v1", 5_000) == records


def test_the_original_goes_first_then_all_but_one_refusal() -> None:
    """Where the record lies, why it was refused and that something is missing stays."""
    [short] = shortened([refusal(50_000, refusals=30)], "t.rejected.v1", 10_000)
    value = json.loads(short.value)
    assert (value["original"], len(value["refusals"]), value["offset"]) == ("", 30, 7)
    assert "left out" in value["message"]
    assert short.headers == (("ce_id", b"1"),)
    [least] = shortened([refusal(50_000, refusals=3_000, key=b"k" * 50_000)], "t.rejected.v1", 2_000)
    value = json.loads(least.value)
    assert (len(value["refusals"]), value["reason"], value["topic"]) == (1, "bad_quantity", "t.usage.v1")
    assert len(least.value) < 2_000
    assert least.key is None


def test_the_limit_falls_until_nothing_is_left_to_cut() -> None:
    """It is found by halves, as the broker does not tell it."""
    records = [refusal(1_000_000), Outgoing("t.totals.v1", b"k", b"x" * 5_000_000)]
    limits = []
    while (limit := lower_limit(records, "t.rejected.v1")) is not None:
        limits.append(limit)
        records = shortened(records, "t.rejected.v1", limit)
    assert limits
    assert len(records[0].value) < 2_048


def test_a_refusal_that_is_too_large_holds_up_nothing(tmp_path: Path) -> None:
    """Totals that went out with it come out as well, and it is settled like any other."""

    async def story() -> None:
        desk = Desk(tmp_path)
        await desk.worker.open()
        desk.publisher.bytes_max = 100_000
        await desk.worker.apply(desk.log.append(b"[" * 500_000))
        await desk.use("a", 5)
        for _ in range(5):
            try:
                await desk.worker.flush()
                break
            except TooLarge:
                continue
        assert desk.refused() == [(0, None)]
        assert [each["quantity"] for each in desk.take("totals")] == ["5"]
        assert not desk.worker.state.outbox.waiting

    asyncio.run(story())
