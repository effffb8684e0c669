"""Order per subscription and endpoint; nothing else waits."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Delivery, DeliveryState
from sinks.webhooks import book as book_module
from sinks.webhooks.book import Book, Entry, Seen, key_of
from sinks.webhooks.dispatcher import restate
from sinks.webhooks.packing import pack, unpack
from sinks.webhooks.schedule import schedule_of
from sinks.webhooks.state import Answer, after_attempt, replayed
from tests.unit.sinks.webhooks.deliveries import NOW, delivery

WRITTEN_S = 1_000_000
SCHEDULE = schedule_of("compatible", 60)


def seen(state: Delivery, written_s: int = WRITTEN_S) -> Seen:
    """Return how a state came; it is due so many seconds after NOW."""
    return Seen(state.model_dump_json().encode(), ((state.next_attempt_at or NOW) - NOW).total_seconds(), written_s)


def apply(book: Book, state: Delivery) -> Delivery | None:
    """Let the book read a state."""
    return book.apply(state, seen(state))


def settle(book: Book, entry: Entry, state: Delivery) -> None:
    """Let the book know the state after an attempt."""
    assert book.settle(entry, state, seen(state)) is None


def book_of(*deliveries: Delivery) -> Book:
    """Return a book that has read them."""
    book = Book()
    for one in deliveries:
        assert apply(book, one) is None
    return book


def take(book: Book, after_s: float = 0) -> list[Entry]:
    """Return what is due so many seconds after NOW."""
    return list(book.take_due(after_s))


def due(book: Book, after_s: float = 0) -> list[str]:
    """Return the events that are due so many seconds after NOW."""
    return [entry.delivery().event_id for entry in take(book, after_s)]


def attempted(book: Book, entry: Entry, answer: Answer, after_s: float = 0) -> Delivery:
    """Settle an entry with what came of its attempt, and return that."""
    state = after_attempt(entry.delivery(), answer, SCHEDULE, NOW + timedelta(seconds=after_s), 0.5)
    settle(book, entry, state)
    return state


def test_the_next_event_of_a_subscription_waits_for_the_earlier_one() -> None:
    """The event "restored" never overtakes "suspended", however long that takes."""
    book = book_of(delivery("restored", 2), delivery("suspended", 1))
    (first,) = take(book)
    assert first.delivery().event_id == "suspended"
    assert due(book, 10) == []
    attempted(book, first, Answer(500))
    assert due(book, 119) == []
    (again,) = take(book, 120)
    assert again.delivery().event_id == "suspended"
    attempted(book, again, Answer(200), 120)
    assert due(book, 121) == ["restored"]


def test_a_dead_event_lets_the_next_one_go() -> None:
    """Dead is as final as delivered."""
    book = book_of(delivery("a", 1), delivery("b", 2))
    (first,) = take(book)
    attempted(book, first, Answer(410))
    assert due(book) == ["b"]


def test_nothing_else_waits() -> None:
    """Other subscriptions, other endpoints, and events without subscription are lanes of their own."""
    book = book_of(
        delivery("a", 1),
        delivery("b", 2, subscription="sub-2"),
        delivery("c", 3, endpoint=2),
        delivery("d", 4, subscription=None),
        delivery("e", 5, subscription=None),
        delivery("f", 6),
    )
    assert sorted(due(book)) == ["a", "b", "c", "d", "e"]


def test_a_repeated_fan_out_of_a_delivered_event_is_answered_with_the_last_word() -> None:
    """So that compaction cannot keep the older state."""
    one = delivery()
    book = book_of(one)
    (entry,) = take(book)
    delivered = attempted(book, entry, Answer(200))
    last_word = apply(book, one)
    assert last_word is not None
    assert (last_word.state, last_word.attempts) == (delivered.state, 1)
    assert due(book, 10_000) == []
    assert apply(book, last_word) is None


def test_a_repeated_fan_out_of_a_failing_event_keeps_its_attempts() -> None:
    """The waiting state is written again as it is."""
    one = delivery()
    book = book_of(one)
    (entry,) = take(book)
    failed = attempted(book, entry, Answer(500))
    assert apply(book, one) == failed


def test_states_read_from_the_journal_only_move_forward() -> None:
    """A restart reads first states, retries and final ones and sends only what is pending."""
    one, two = delivery("a", 1), delivery("b", 2)
    failed = after_attempt(one, Answer(500), SCHEDULE, NOW, 0.5)
    delivered = after_attempt(two, Answer(200), SCHEDULE, NOW, 0.5)
    book = book_of(one, two, failed, delivered, failed)
    assert (len(book), book.ended) == (1, 1)
    assert due(book) == []
    assert due(book, 120) == ["a"]


def test_a_replay_during_an_attempt_outlives_its_result() -> None:
    """The result of the former life is neither taken nor left as the last word."""
    one = delivery()
    book = book_of(one)
    (entry,) = take(book)
    again = replayed(one, NOW + timedelta(seconds=1))
    assert apply(book, again) is None
    old = after_attempt(one, Answer(200), SCHEDULE, NOW, 0.5)
    assert book.settle(entry, old, seen(old)) == again
    assert apply(book, old) == again
    assert due(book, 2) == ["evt_1"]


def test_a_replay_of_a_dead_event_goes_before_what_waits() -> None:
    """Its place in the order is the one it always had."""
    dead = after_attempt(delivery("a", 1), Answer(410), SCHEDULE, NOW, 0.5)
    later = delivery("b", 2).model_copy(update={"next_attempt_at": NOW + timedelta(seconds=60)})
    book = book_of(dead, later)
    assert apply(book, replayed(dead, NOW + timedelta(seconds=5))) is None
    assert due(book, 60) == ["a"]


def test_a_tombstone_behind_a_replay_does_not_bury_it() -> None:
    """An expiry may cross a replay on its way to Kafka; a waiting delivery is written again."""
    dead = after_attempt(delivery(), Answer(410), SCHEDULE, NOW, 0.5)
    book = book_of(dead)
    again = replayed(dead, NOW + timedelta(seconds=5))
    assert apply(book, again) is None
    assert book.forget(key_of(dead)) == again
    assert len(book) == 1


def test_what_ended_long_ago_expires_and_what_waits_does_not() -> None:
    """Bounded in number; a tombstone of one that ended is forgotten."""
    ended = [after_attempt(delivery(f"e{n}", n), Answer(200), SCHEDULE, NOW, 0.5) for n in range(5)]
    book = book_of(*ended, delivery("waiting", 9))
    assert book.take_expired(WRITTEN_S, 10) == []
    assert book.take_expired(WRITTEN_S + 1, 2) == ["e0:1", "e1:1"]
    assert book.forget("e2:1") is None
    assert book.take_expired(WRITTEN_S + 1, 10) == ["e3:1", "e4:1"]
    assert (len(book), book.ended) == (1, 0)


def test_a_great_backlog_is_held_packed_and_comes_out_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond some number the records are compressed."""
    monkeypatch.setattr(book_module, "_UNPACKED_MAX", 3)
    deliveries = [delivery(f"e{n}", n, f"sub-{n}") for n in range(6)]
    book = book_of(*deliveries)
    entries = take(book)
    assert sorted((entry.delivery() for entry in entries), key=lambda one: one.sequence) == deliveries
    assert [not entry.state.startswith(b"{") for entry in entries] == [False] * 3 + [True] * 3


@given(st.binary(min_size=1).filter(lambda document: document[0] != 0))
def test_packing_loses_nothing(document: bytes) -> None:
    """Whatever the document."""
    assert unpack(pack(document)) == unpack(document) == document


@given(
    st.lists(st.tuples(st.sampled_from(["s1", "s2", None]), st.integers(1, 2)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_every_delivery_ends_and_each_lane_keeps_its_order(
    events: list[tuple[str | None, int]], chance: Random
) -> None:
    """Whatever order states arrive in and attempts end in: all delivered once, in sequence per lane."""
    deliveries = [delivery(f"e{n}", n, subscription, endpoint) for n, (subscription, endpoint) in enumerate(events)]
    book = Book()
    for one in chance.sample(deliveries, len(deliveries)):
        apply(book, one)
    ended: list[Delivery] = []
    flying: list[Entry] = []
    now_s = 0.0
    while len(book):
        flying += take(book, now_s)
        chance.shuffle(flying)
        if flying:
            state = attempted(book, flying.pop(), Answer(chance.choice([200, 500, 410])), now_s)
            if state.state is not DeliveryState.PENDING:
                ended.append(state)
        now_s += 60
    assert sorted(one.event_id for one in ended) == sorted(one.event_id for one in deliveries)
    for lane in {("s1", 1), ("s1", 2), ("s2", 1), ("s2", 2)}:
        sequence = [one.sequence for one in ended if (one.subscription, one.endpoint_id) == lane]
        assert sequence == sorted(sequence)


@given(st.lists(st.integers(-3_600, 3_600), min_size=1, max_size=30), st.integers(-3_600, 3_600))
def test_whatever_waits_comes_up_in_the_order_it_is_due(due_after_s: list[int], now_s: int) -> None:
    """The longest overdue first, nothing early, nothing never, however it was written (F22)."""
    waiting = [
        delivery(f"e{n}", n, f"sub-{n}").model_copy(update={"next_attempt_at": NOW + timedelta(seconds=after_s)})
        for n, after_s in enumerate(due_after_s)
    ]
    book = book_of(*waiting)
    came = [due_after_s[entry.sequence] for entry in take(book, now_s)]
    assert came == sorted(after_s for after_s in due_after_s if after_s <= now_s)
    rest = [due_after_s[entry.sequence] for entry in take(book, 3_600)]
    assert came + rest == sorted(due_after_s)


def test_a_state_written_again_behind_the_end_of_its_attempt_is_not_the_last_word() -> None:
    """A fan-out that is repeated during an attempt: the waiting state is restated, but the attempt has delivered."""
    one = delivery()
    book = book_of(one)
    (entry,) = take(book)
    failed = attempted(book, entry, Answer(500))
    (entry,) = take(book, 120)
    last_word = apply(book, one)
    assert last_word == failed
    written: list[Delivery] = []

    async def write(state: Delivery) -> bytes:
        if not written:
            attempted(book, entry, Answer(200), 120)  # acknowledged before, as it lies before in the log
        written.append(state)
        return b""

    asyncio.run(restate(book, last_word, write))
    assert [one.state for one in written] == [DeliveryState.PENDING, DeliveryState.DELIVERED]
    assert written[-1].attempts == 2
