"""Webhook secrets on their way through Kafka: sealed by the feed, opened by the sender, readable by nobody else.

Fernet (AES-128-CBC and HMAC-SHA256) under `FUSION_SECRET_KEY`. Sealing the same secret twice gives two texts, so
whoever wants to know whether a secret changed compares what was opened.
"""

from cryptography.fernet import Fernet, InvalidToken

from schemas.errors import ConfigurationError


class CannotOpen(ConfigurationError):
    """The sealed text was made under another key, or is damaged."""


def check_secret_key(key: str) -> str:
    """Return `key` if it can seal.

    Raises:
        ConfigurationError: says what a key looks like and how to make one.
    """
    _fernet(key)
    return key


def seal(secret: str, key: str) -> str:
    """Return `secret` sealed under `key`; another text each time."""
    return _fernet(key).encrypt(secret.encode()).decode()


def open_sealed(sealed: str, key: str) -> str:
    """Return the secret in `sealed`.

    Raises:
        CannotOpen: sealed under another key, or damaged.
    """
    try:
        return _fernet(key).decrypt(sealed.encode()).decode()
    except (InvalidToken, UnicodeError):
        raise CannotOpen(
            "a sealed secret cannot be opened with FUSION_SECRET_KEY: it was sealed under another"
        ) from None


def _fernet(key: str) -> Fernet:
    try:
        return Fernet(key)
    except ValueError:
        raise ConfigurationError(
            "FUSION_SECRET_KEY: must be a Fernet key (44 characters of URL-safe base64); make one with"
            " python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        ) from None
