"""Sealed secrets open under their key and under no other."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given

from schemas.errors import ConfigurationError
from schemas.sealing import CannotOpen, check_secret_key, open_sealed, seal
from tests.unit.schemas import strategies

KEY = Fernet.generate_key().decode()


@given(strategies.texts)
def test_what_is_sealed_is_opened(secret: str) -> None:
    """And the sealed text shows nothing of it."""
    sealed = seal(secret, KEY)
    assert open_sealed(sealed, KEY) == secret
    assert len(secret) < 8 or secret not in sealed


def test_sealing_twice_gives_two_texts() -> None:
    """Nobody can tell from outside that two secrets are equal."""
    assert seal("whsec_1", KEY) != seal("whsec_1", KEY)


@pytest.mark.parametrize("sealed", ["", "nonsense", "é", seal("whsec_1", Fernet.generate_key().decode())], ids=range(4))
def test_what_another_key_sealed_stays_shut(sealed: str) -> None:
    """Damaged or foreign: the same answer."""
    with pytest.raises(CannotOpen, match="FUSION_SECRET_KEY"):
        open_sealed(sealed, KEY)


def test_a_damaged_text_stays_shut() -> None:
    """One changed character is enough."""
    sealed = seal("whsec_1", KEY)
    damaged = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
    with pytest.raises(CannotOpen):
        open_sealed(damaged, KEY)


@pytest.mark.parametrize("key", ["", "short", "é" * 44, "x" * 44, "A" * 40])
def test_a_wrong_key_is_named_with_the_remedy(key: str) -> None:
    """At start, in one sentence."""
    with pytest.raises(ConfigurationError, match=r"FUSION_SECRET_KEY: must be a Fernet key.*generate_key"):
        check_secret_key(key)


def test_a_good_key_is_returned() -> None:
    """So that it can be checked where it is passed on."""
    assert check_secret_key(KEY) == KEY
