"""Which network addresses a webhook may reach: public unicast ones only. Pure.

`ipaddress.is_global` alone is not enough: it lets IPv4 addresses pass that travel inside IPv6 ones (NAT64, 6to4,
mapped, compatible), and some special blocks.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_REFUSED_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # the former 6to4 relays
)
_REFUSED_V6 = (
    IPv6Network("64:ff9b:1::/48"),  # NAT64 with a local prefix
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("3fff::/20"),  # documentation
    IPv6Network("5f00::/16"),  # segment routing
    IPv6Network("fec0::/10"),  # the former site-local
)
_V4_BITS = 0xFFFFFFFF
# Prefix and the number of bits to the right of the IPv4 address in it.
_CARRIERS = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)


def is_public(text: str) -> bool:
    """Tell whether an address, as the resolver returned it, may be connected to; text that is none may not."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return _is_public_v4(address) if isinstance(address, IPv4Address) else _is_public_v6(address)


def _is_public_v4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in block for block in _REFUSED_V4)


def _is_public_v6(address: IPv6Address) -> bool:
    carried = [IPv4Address(int(address) >> shift & _V4_BITS) for block, shift in _CARRIERS if address in block]
    if carried:
        return all(_is_public_v4(inner) for inner in carried)
    return address.is_global and not address.is_multicast and not any(address in block for block in _REFUSED_V6)
