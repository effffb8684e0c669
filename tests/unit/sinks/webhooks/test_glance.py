"""A glance takes no state that the model refuses, and reads the same in it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.events import Delivery, DeliveryState
from sinks.webhooks.book import key_of, lane_of
from sinks.webhooks.glance import glance_at
from sinks.webhooks.state import age_of

AT = datetime(2026, 7, 1, 12, 30, 0, 250_000, tzinfo=UTC)
DELIVERY = Delivery(
    event_id="evt_1",
    event_type="invoice.paid",
    endpoint_id=7,
    service="maps",
    subscription="sub-1",
    body='{"name":"Zo\\u00e9"}',
    state=DeliveryState.PENDING,
    attempts=2,
    created_at=AT,
    next_attempt_at=AT,
    sequence=9,
    last_status=503,
)

odd: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.text("abz.\n_-", max_size=70),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
    st.sampled_from(
        ["2026-07-01T00:00:00+02:00", "2026-07-01T00:00:00z", "1970-01-01T00:00:00Z", "pending", "x" * 501]
    ),
)


@given(
    st.dictionaries(st.sampled_from(sorted(Delivery.model_fields)), odd, max_size=3),
    st.sets(st.sampled_from(sorted(Delivery.model_fields)), max_size=1),
)
def test_what_it_takes_the_model_takes(changed: dict[str, Any], missing: set[str]) -> None:
    """Otherwise a state could wait for hours and then stop the sink."""
    fields = {**DELIVERY.model_dump(mode="json"), **changed}
    document = json.dumps({name: value for name, value in fields.items() if name not in missing}).encode()
    glance = glance_at(document)
    try:
        model = Delivery.model_validate_json(document)
    except ValidationError:
        assert glance is None
        return
    if glance is not None:
        assert (age_of(glance), key_of(glance), lane_of(glance)) == (age_of(model), key_of(model), lane_of(model))
        assert (glance.next_attempt_at, glance.sequence) == (model.next_attempt_at, model.sequence)


def test_what_we_write_is_taken_at_a_glance() -> None:
    """The slow way is for what others write."""
    glance = glance_at(DELIVERY.model_dump_json().encode())
    assert glance is not None
    assert age_of(glance) == age_of(DELIVERY)


@pytest.mark.parametrize("document", [b"", b"{", b"\xff", b"[" * 100_000, b'{"event_id":"\xff"}'])
def test_what_is_no_state_is_left_to_the_model(document: bytes) -> None:
    """It counts and logs what nobody can read."""
    assert glance_at(document) is None
