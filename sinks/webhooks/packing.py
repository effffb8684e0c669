"""Waiting deliveries as small as they can be held: JSON compressed against what all of them share. Pure."""

import zlib

_LEVEL = 1
# Holds what is shared and a usual record; a greater window costs twice the time, to be cleared for each record.
_WINDOW_BITS, _MEMORY_LEVEL = 11, 4
# The more of a typical record stands here, the less of it is kept per delivery; the end counts most.
_SHARED = (
    b'{"event_id":"","event_type":"subscription.terminated","event_type":"invoice.payment_failed","event_type":'
    b'"invoice.posted","event_type":"invoice.paid","endpoint_id":1,"service":"","subscription":"","body":"{\\"api_version'
    b'\\":1,\\"customer\\":\\"cust\\",\\"customer\\":null,\\"data\\":{\\"amount\\":\\"0.00\\",\\"currency\\":\\"CAD\\",'
    b'\\"invoice\\":\\"INV/2026/00001\\",\\"name\\":\\"\\"},\\"id\\":\\"\\",\\"service\\":\\"\\",\\"subscription\\":\\"\\",'
    b'\\"time\\":\\"2026-01-01T00:00:00Z\\",\\"type\\":\\"invoice.paid\\"}","state":"pending","attempts":1,"created_at":'
    b'"2026-01-01T00:00:00.000000Z","next_attempt_at":"2026-01-01T00:00:00.000000Z","sequence":1,"last_status":500,'
    b'"last_error":null}'
)


def pack(document: bytes) -> bytes:
    """Return the document compressed."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, _SHARED)
    return b"\x00" + packer.compress(document) + packer.flush()


def unpack(packed: bytes) -> bytes:
    """Return the document; one that was never packed is returned as it is (JSON does not begin with NUL)."""
    if packed[:1] != b"\x00":
        return packed
    return zlib.decompressobj(-zlib.MAX_WBITS, _SHARED).decompress(packed[1:])
