"""Order per subscription and endpoint; nothing else waits."""

from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Delivery
from sinks.webhooks.book import Book, key_of
from sinks.webhooks.schedule import schedule_of
from sinks.webhooks.state import Answer, after_attempt
from tests.unit.sinks.webhooks.deliveries import NOW, delivery

SCHEDULE = schedule_of("compatible", 60)


def book_of(*deliveries: Delivery) -> Book:
    """Return a book that has read them."""
    book = Book()
    for one in deliveries:
        assert book.apply(one) is None
    return book


def due(book: Book, after_s: float = 0) -> list[str]:
    """Return the events that are due so many seconds after NOW."""
    return [one.event_id for one in book.take_due(NOW + timedelta(seconds=after_s))]


def test_the_next_event_of_a_subscription_waits_for_the_earlier_one() -> None:
    """The event "restored" never overtakes "suspended", however long that takes."""
    first, second = delivery("suspended", 1), delivery("restored", 2)
    book = book_of(second, first)
    assert due(book) == ["suspended"]
    assert due(book, 10) == []
    failed = after_attempt(first, Answer(500), SCHEDULE, NOW, 0.5)
    book.settle(failed)
    assert due(book, 119) == []
    assert due(book, 120) == ["suspended"]
    book.settle(after_attempt(failed, Answer(200), SCHEDULE, NOW, 0.5))
    assert due(book, 121) == ["restored"]


def test_a_dead_event_lets_the_next_one_go() -> None:
    """Dead is as final as delivered."""
    first = delivery("a", 1)
    book = book_of(first, delivery("b", 2))
    assert due(book) == ["a"]
    book.settle(after_attempt(first, Answer(410), SCHEDULE, NOW, 0.5))
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
    assert due(book) == ["evt_1"]
    delivered = after_attempt(one, Answer(200), SCHEDULE, NOW, 0.5)
    book.settle(delivered)
    last_word = book.apply(one)
    assert last_word is not None
    assert last_word.state is delivered.state
    assert due(book, 10_000) == []
    assert book.apply(last_word) is None


def test_a_repeated_fan_out_of_a_failing_event_keeps_its_attempts() -> None:
    """The waiting state is written again as it is."""
    one = delivery()
    book = book_of(one)
    due(book)
    failed = after_attempt(one, Answer(500), SCHEDULE, NOW, 0.5)
    book.settle(failed)
    assert book.apply(one) == failed


def test_states_read_from_the_journal_only_move_forward() -> None:
    """A restart reads first states, retries and final ones and sends only what is pending."""
    one, two = delivery("a", 1), delivery("b", 2)
    failed = after_attempt(one, Answer(500), SCHEDULE, NOW, 0.5)
    delivered = after_attempt(two, Answer(200), SCHEDULE, NOW, 0.5)
    book = book_of(one, two, failed, delivered, failed)
    assert len(book) == 1
    assert due(book) == []
    assert due(book, 120) == ["a"]


def test_a_held_delivery_comes_again_uncharged() -> None:
    """For reasons of ours the attempt does not count."""
    book = book_of(delivery())
    (one,) = book.take_due(NOW)
    book.hold(one, NOW + timedelta(seconds=5))
    assert due(book, 4) == []
    (again,) = book.take_due(NOW + timedelta(seconds=5))
    assert again.attempts == 0


def test_a_tombstone_removes_a_waiting_delivery() -> None:
    """Its lane goes on with the next one."""
    one = delivery("a", 1)
    book = book_of(one, delivery("b", 2))
    book.forget(key_of(one))
    assert due(book) == ["b"]
    assert len(book) == 1


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
        book.apply(one)
    ended: list[Delivery] = []
    flying: list[Delivery] = []
    now = NOW
    while len(book):
        flying += book.take_due(now)
        chance.shuffle(flying)
        if flying:
            one = flying.pop()
            answer = Answer(chance.choice([200, 500, 410]))
            state = after_attempt(one, answer, SCHEDULE, now, 0.5)
            book.settle(state)
            if state.next_attempt_at is None:
                ended.append(state)
        now += timedelta(minutes=1)
    assert sorted(one.event_id for one in ended) == sorted(one.event_id for one in deliveries)
    for lane in {("s1", 1), ("s1", 2), ("s2", 1), ("s2", 2)}:
        sequence = [one.sequence for one in ended if (one.subscription, one.endpoint_id) == lane]
        assert sequence == sorted(sequence)
