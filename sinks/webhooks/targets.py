"""Which URLs an endpoint may have. Pure; where its name leads is checked at connect time (`http`)."""

from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

_PORTS = frozenset({443, 8443})
_URL_CHARACTERS_MAX = 2048
_VISIBLE = frozenset(map(chr, range(0x21, 0x7F)))


@lru_cache(maxsize=10_000)
def fault_of(url: str, *, allow_private: bool) -> str | None:
    """Return why this URL is not sent to, or null. `allow_private` (development) lifts all but the syntax."""
    if len(url) > _URL_CHARACTERS_MAX or not set(url) <= _VISIBLE:
        return "the endpoint's URL must be at most 2048 visible ASCII characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the endpoint's URL cannot be read"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "the endpoint's URL must be https with a host name"
    return None if allow_private else _fault_in_public(parts, port)


def _fault_in_public(parts: SplitResult, port: int | None) -> str | None:
    if parts.scheme != "https":
        return "the endpoint's URL must be https"
    if parts.username is not None or parts.password is not None:
        return "the endpoint's URL must not carry a user name"
    return None if (port or 443) in _PORTS else "the endpoint's port must be 443 or 8443"
