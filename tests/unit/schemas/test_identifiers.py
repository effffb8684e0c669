"""Codes, external ids, and joined keys that can be taken apart again."""

from datetime import datetime

import pytest
from hypothesis import given

from schemas.identifiers import check_code, check_external_id, delivery_key, overage_key, total_key, usage_key
from schemas.periods import parse_instant
from tests.unit.schemas import strategies


@pytest.mark.parametrize("code", ["a", "0", "maps-business.api_calls", "a" * 64])
def test_these_are_codes(code: str) -> None:
    """1 to 64 of a-z 0-9 _ . - after a letter or digit."""
    assert check_code(code) == code


@pytest.mark.parametrize("code", ["", "A", ".a", "_a", "a/b", "a b", "a" * 65, "a\n", "é", "\ud800"])
def test_these_are_none(code: str) -> None:
    """No slash and no upper case above all: keys are joined with slashes."""
    with pytest.raises(ValueError, match="must be 1 to 64"):
        check_code(code)


@pytest.mark.parametrize("external_id", ["x", "s/1/2", "Été 7", "🗝" * 63, "s" * 255, " ", "\u0085"])
def test_an_external_id_is_free_text(external_id: str) -> None:
    """The app's own, slashes and spaces included."""
    assert check_external_id(external_id) == external_id


@pytest.mark.parametrize(
    ("external_id", "message"),
    [
        ("", "1 to 255 bytes, has 0"),
        ("s" * 256, "has 256"),
        ("é" * 128, "has 256"),
        ("a\x00b", "control"),
        ("a\n", "control"),
        ("\x7f", "control"),
        ("\ud800", "surrogate"),
    ],
)
def test_an_external_id_is_bounded_printable_utf8(external_id: str, message: str) -> None:
    """Bytes count, not characters."""
    with pytest.raises(ValueError, match=message):
        check_external_id(external_id)


@given(strategies.codes, strategies.external_ids, strategies.codes, strategies.instants)
def test_joined_keys_can_be_taken_apart(service: str, subscription: str, code: str, start: datetime) -> None:
    """No two records share a key: only the subscription may hold slashes, and it stands in the middle."""
    assert usage_key(service, subscription).split("/", 1) == [service, subscription]
    for key in (total_key(service, subscription, code, start), overage_key(service, subscription, code, start)):
        head, found_code, found_start = key.rsplit("/", 2)
        assert head.split("/", 1) == [service, subscription]
        assert (found_code, parse_instant(found_start)) == (code, start)


def test_keys_read_as_documented() -> None:
    """By hand."""
    start = parse_instant("2026-07-01T02:00:00+02:00")
    assert total_key("maps", "s/1", "calls", start) == "maps/s/1/calls/2026-07-01T00:00:00Z"
    assert delivery_key("e-1", 7) == "e-1:7"
