"""Sealed secrets: opened by the same key only, and clear errors otherwise."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigurationError
from schemas.sealing import open_sealed, seal

KEY = Fernet.generate_key().decode()


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_what_is_sealed_can_be_opened(secret: str) -> None:
    """Whatever the text."""
    assert open_sealed(seal(secret, KEY), KEY) == secret


@pytest.mark.parametrize(
    "damage",
    ["", "x", "é", seal("s", KEY)[:-4], seal("s", Fernet.generate_key().decode())],
    ids=["empty", "short", "not ASCII", "cut", "foreign key"],
)
def test_what_was_not_sealed_here_cannot_be_opened(damage: str) -> None:
    """Damaged, foreign or empty: one error that names the setting."""
    with pytest.raises(ConfigurationError, match="FUSION_SECRET_KEY"):
        open_sealed(damage, KEY)


@pytest.mark.parametrize("key", ["", "short", "é" * 44])
def test_a_key_that_is_none_is_named(key: str) -> None:
    """Whoever starts the role learns how to make one."""
    with pytest.raises(ConfigurationError, match="FUSION_SECRET_KEY: must be a Fernet key"):
        seal("s", key)
