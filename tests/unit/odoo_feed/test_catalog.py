"""Planning: what must be published so that the topic holds what Odoo holds."""

import json
from typing import Any

from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from producers.odoo_feed.catalog import Change, plan_changes, wanted_values
from schemas.odoo_rpc import CatalogRecord
from schemas.sealing import open_sealed

KEY = Fernet.generate_key().decode()
OTHER_KEY = Fernet.generate_key().decode()

_KEYS = st.sampled_from([f"metric/{number}" for number in range(8)])
_CURRENT = st.dictionaries(_KEYS, st.binary(max_size=2))
_WANTED = st.dictionaries(_KEYS, st.one_of(st.none(), st.binary(max_size=2)))


def applied(current: dict[str, bytes], changes: list[Change]) -> dict[str, bytes]:
    """Return what a compacted topic holds after the changes."""
    values: dict[str, bytes | None] = {**current, **{change.key: change.value for change in changes}}
    return {key: value for key, value in values.items() if value is not None}


@given(current=_CURRENT, wanted=_WANTED)
def test_after_a_full_comparison_the_topic_holds_what_is_wanted(
    current: dict[str, bytes], wanted: dict[str, bytes | None]
) -> None:
    """No more, no less, and once more there is nothing left to do."""
    after = applied(current, plan_changes(current, wanted, is_full=True))
    assert after == {key: value for key, value in wanted.items() if value is not None}
    assert plan_changes(after, wanted, is_full=True) == []


@given(current=_CURRENT, wanted=_WANTED)
def test_an_incremental_page_touches_only_what_it_names(
    current: dict[str, bytes], wanted: dict[str, bytes | None]
) -> None:
    """Everything else stays."""
    changes = plan_changes(current, wanted, is_full=False)
    assert {change.key for change in changes} <= wanted.keys()
    after = applied(current, changes)
    assert all(after.get(key) == wanted.get(key, current.get(key)) for key in current.keys() | wanted.keys())


@given(current=_CURRENT, wanted=_WANTED)
def test_only_differences_are_published(current: dict[str, bytes], wanted: dict[str, bytes | None]) -> None:
    """An equal value is never sent again."""
    for change in plan_changes(current, wanted, is_full=True):
        assert current.get(change.key) != change.value


def metric(number: int, **changes: Any) -> CatalogRecord:
    """A metric as Odoo tells it."""
    value = {"kind": "metric", "id": number, "code": "api_calls", "name": "Calls", "aggregation": "sum", **changes}
    return {"key": f"metric/{number}", "value": value}


def endpoint(secrets: list[Any], **changes: Any) -> CatalogRecord:
    """An endpoint as Odoo tells it, secrets in clear."""
    value = {"kind": "endpoint", "id": 1, "service": "nexamaps", "url": "https://a.example", "secrets": secrets}
    return {"key": "endpoint/1", "value": value | changes}


def sealed_endpoint(record: CatalogRecord, current: dict[str, bytes], key: str = KEY) -> dict[str, bytes]:
    """Return the topic after this endpoint was published."""
    wanted, unreadable = wanted_values([record], current, key)
    assert not unreadable
    return applied(current, plan_changes(current, wanted, is_full=True))


def test_the_same_record_gives_the_same_bytes_whatever_the_order_of_its_fields() -> None:
    """Equality is bytewise, so the encoding must be one."""
    record = metric(1)
    assert record["value"] is not None
    backwards: CatalogRecord = {"key": "metric/1", "value": dict(reversed(record["value"].items()))}
    assert wanted_values([record], {}, KEY) == wanted_values([backwards], {}, KEY)


def test_a_secret_never_leaves_in_clear() -> None:
    """What is published can be opened with the key and shows nothing without it."""
    (value,) = sealed_endpoint(endpoint(["whsec_top", "older"]), {}).values()
    assert b"whsec_top" not in value
    assert b"older" not in value
    assert [open_sealed(sealed, KEY) for sealed in json.loads(value)["sealed_secrets"]] == ["whsec_top", "older"]


def test_an_unchanged_secret_is_not_published_again() -> None:
    """Sealing is different each time; equality is decided by what was sealed."""
    published = sealed_endpoint(endpoint(["one", "two"]), {})
    assert sealed_endpoint(endpoint(["one", "two"]), published) == published
    swapped = sealed_endpoint(endpoint(["two", "one"]), published)
    assert swapped != published
    assert set(json.loads(swapped["endpoint/1"])["sealed_secrets"]) == set(
        json.loads(published["endpoint/1"])["sealed_secrets"]
    )


def test_another_key_seals_again() -> None:
    """After a change of FUSION_SECRET_KEY the sender must be able to open what it reads."""
    published = sealed_endpoint(endpoint(["one"]), sealed_endpoint(endpoint(["one"]), {}), OTHER_KEY)
    assert open_sealed(json.loads(published["endpoint/1"])["sealed_secrets"][0], OTHER_KEY) == "one"


def test_an_endpoint_without_secret_has_none() -> None:
    """Odoo's empty field is false."""
    assert json.loads(sealed_endpoint(endpoint([False]), {})["endpoint/1"])["sealed_secrets"] == []


def test_a_record_that_does_not_fit_keeps_what_the_topic_has() -> None:
    """It is reported, neither published nor deleted, and its neighbours go on."""
    current = {"metric/1": b"old", "metric/3": b"gone"}
    bad = metric(1, aggregation="median")
    wanted, unreadable = wanted_values([bad, metric(2)], current, KEY)
    assert [record.key for record in unreadable] == ["metric/1"]
    assert "aggregation" in unreadable[0].problem
    changes = plan_changes(current, wanted, is_full=True)
    assert [(change.key, change.value is None) for change in changes] == [("metric/2", False), ("metric/3", True)]


def test_a_report_does_not_repeat_secrets() -> None:
    """A refused endpoint is described without its fields' values."""
    _, (unreadable,) = wanted_values([endpoint(["whsec_top"], service="Not A Code")], {}, KEY)
    assert "whsec_top" not in unreadable.problem
    _, (unreadable,) = wanted_values([endpoint([{"whsec_top": 1}])], {}, KEY)
    assert "whsec_top" not in unreadable.problem


def test_a_record_under_a_foreign_key_is_refused() -> None:
    """The key decides what is compacted away; it must be the record's own."""
    record = metric(1)
    record["key"] = "metric/2"
    _, (unreadable,) = wanted_values([record], {}, KEY)
    assert unreadable.problem == "the record says it is metric/1"
