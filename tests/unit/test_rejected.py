"""Replaying rejected input sends what would be accepted now and nothing else."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from producers.kafka_client.history import Stored
from producers.rejected import Selection, plan_replay, rejected_records, send_replay
from schemas.errors import Reason
from schemas.events import Refusal, Rejected

if TYPE_CHECKING:
    from schemas.usage import Counter

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def _counter(key: str, quantity: object) -> dict[str, Any]:
    return {
        "subscription": "s1",
        "metric": "calls",
        "quantity": quantity,
        "period_start": "2026-07-01T00:00:00Z",
        "period_end": "2026-07-01T01:00:00Z",
        "idempotency_key": key,
    }


def _stored(offset: int, original: bytes, *refusals: Refusal) -> Stored:
    rejected = Rejected(
        topic="billing.usage.v1",
        partition=0,
        offset=offset,
        reason=refusals[0].reason,
        message=refusals[0].message,
        refusals=list(refusals),
        original=base64.b64encode(original).decode(),
    )
    return Stored(0, offset, NOW, None, rejected.model_dump_json().encode())


def _negative(index: int) -> Refusal:
    return Refusal(index=index, reason=Reason.NEGATIVE_QUANTITY, field="quantity", message="must not be negative")


def _batch(*counters: dict[str, Any]) -> bytes:
    return json.dumps({"service": "maps", "counters": counters}).encode()


def test_only_the_refused_counters_of_a_record_are_sent_again() -> None:
    """The good neighbours were counted; their old values must not displace newer ones."""
    original = _batch(_counter("good", 1), _counter("bad", -2), _counter("also-good", 3))
    replay = plan_replay(rejected_records([_stored(7, original, _negative(1))], Selection()))
    sent: list[tuple[str, list[Counter]]] = []
    assert send_replay(replay, lambda service, counters: sent.append((service, counters))) == 1
    [(service, [counter])] = sent
    assert (service, counter.idempotency_key, counter.quantity) == ("maps", "bad", Decimal(-2))


def test_what_is_still_wrong_is_reported_and_not_sent() -> None:
    """Garbage stays garbage, and a bad field stays bad."""
    whole = Refusal(index=None, reason=Reason.MALFORMED_BATCH, message="not JSON")
    bad = Refusal(index=0, reason=Reason.BAD_QUANTITY, field="quantity", message="no number")
    stored = [_stored(1, b"\xff", whole), _stored(2, _batch(_counter("k", "many")), bad)]
    replay = plan_replay(rejected_records(stored, Selection()))
    assert [record.place for record, _ in replay.still_refused] == ["0:1", "0:2"]
    assert send_replay(replay, lambda *_: None) == 0


def test_a_selection_holds_by_reason_and_by_place() -> None:
    """Both narrow; records that this release cannot read are passed over."""
    stored = [
        _stored(1, _batch(_counter("a", -1)), _negative(0)),
        _stored(2, b"x", Refusal(index=None, reason=Reason.MALFORMED_BATCH, message="not JSON")),
        Stored(0, 3, NOW, None, b"of another release"),
    ]
    assert [r.offset for r in rejected_records(stored, Selection(Reason.NEGATIVE_QUANTITY))] == [1]
    assert [r.offset for r in rejected_records(stored, Selection(places=frozenset({"0:2"})))] == [2]
    assert [r.offset for r in rejected_records(stored, Selection())] == [1, 2]
