"""XXH3 with 128 bits and a seed, compiled, for texts of 17 to 240 bytes that lie one after the other in memory.

Same values as `xxhash.xxh3_128` (a property test holds it to that), without a Python object per text. Source: the
specification of XXH3 by Yann Collet, its long-input form left out. All arithmetic is modulo 2^64, in uint64 only, as
numba makes a float of uint64 with int64.
"""

# mypy: disable-error-code="no-untyped-def, misc, assignment"

import numpy as np

from streams.store.compiled import compiled

LENGTH_MIN = 17
LENGTH_MAX = 240

_U = np.uint64
_SECRET = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
        "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
        "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
    ),
    np.uint8,
)
_PRIME_1 = _U(0x9E3779B185EBCA87)
_PRIME_2 = _U(0xC2B2AE3D27D4EB4F)
_PRIME_4 = _U(0x85EBCA77C2B2AE63)
_MIXER = _U(0x165667919E3779F9)
_LOW_HALF = _U(0xFFFFFFFF)


@compiled
def _read(text, at):
    """Return the 8 bytes from `at` as a little-endian number."""
    return (
        _U(text[at])
        | _U(text[at + _U(1)]) << _U(8)
        | _U(text[at + _U(2)]) << _U(16)
        | _U(text[at + _U(3)]) << _U(24)
        | _U(text[at + _U(4)]) << _U(32)
        | _U(text[at + _U(5)]) << _U(40)
        | _U(text[at + _U(6)]) << _U(48)
        | _U(text[at + _U(7)]) << _U(56)
    )


@compiled
def _fold(left, right):
    """Return both halves of the 128-bit product, the one xor the other."""
    a, b = left & _LOW_HALF, left >> _U(32)
    c, d = right & _LOW_HALF, right >> _U(32)
    low, middle, other, high = a * c, b * c, a * d, b * d
    cross = (low >> _U(32)) + (middle & _LOW_HALF) + other
    return ((cross << _U(32)) | (low & _LOW_HALF)) ^ (high + (middle >> _U(32)) + (cross >> _U(32)))


@compiled
def _mix(text, at, secret, seed):
    """Mix 16 bytes of text with 16 bytes of the secret."""
    return _fold(
        _read(text, at) ^ (_read(_SECRET, secret) + seed),
        _read(text, at + _U(8)) ^ (_read(_SECRET, secret + _U(8)) - seed),
    )


@compiled
def _mix_pair(low, high, text, one, other, secret, seed):
    """Return both accumulators after two blocks of 16 bytes."""
    low = (low + _mix(text, one, secret, seed)) ^ (_read(text, other) + _read(text, other + _U(8)))
    high = (high + _mix(text, other, secret + _U(16), seed)) ^ (_read(text, one) + _read(text, one + _U(8)))
    return low, high


@compiled
def _avalanche(value):
    value = (value ^ (value >> _U(37))) * _MIXER
    return value ^ (value >> _U(32))


@compiled
def digest(text, length, seed):
    """Return the low and the high word of the hash of the first `length` bytes (uint64, 17 to 240)."""
    low, high = length * _PRIME_1, _U(0)
    if length > _U(128):
        for at in range(_U(0), _U(128), _U(32)):
            low, high = _mix_pair(low, high, text, _U(at), _U(at) + _U(16), _U(at), seed)
        low, high = _avalanche(low), _avalanche(high)
        for at in range(_U(160), length + _U(1), _U(32)):
            start = _U(at) - _U(32)
            low, high = _mix_pair(low, high, text, start, start + _U(16), _U(at) - _U(157), seed)
        low, high = _mix_pair(low, high, text, length - _U(16), length - _U(32), _U(103), _U(0) - seed)
    else:
        # From the middle outwards: the blocks of both ends may overlap, never leave the text.
        for pair in range(_U((length - _U(1)) // _U(32)), _U(0), -1):
            at = _U(pair) * _U(16)
            low, high = _mix_pair(low, high, text, at, length - at - _U(16), at * _U(2), seed)
        low, high = _mix_pair(low, high, text, _U(0), length - _U(16), _U(0), seed)
    combined = low * _PRIME_1 + high * _PRIME_4 + (length - seed) * _PRIME_2
    return _avalanche(low + high), _U(0) - _avalanche(combined)


@compiled
def hash_joined(prefixes, prefix_ends, prefix, keys, key_ends, seed, out_low, out_high, out_left):
    """Hash prefix + key of each counter; note those of another length in `out_left` and return how many they are.

    prefixes, keys: bytes one after the other, which end at `…_ends`; prefix: of each counter, the prefix's number.
    """
    scratch = np.empty(LENGTH_MAX, np.uint8)
    left = 0
    start = np.int64(0)
    for i in range(key_ends.shape[0]):
        number = prefix[i]
        prefix_start = prefix_ends[number - 1] if number else np.int64(0)
        head = prefix_ends[number] - prefix_start
        length = head + key_ends[i] - start
        if length < LENGTH_MIN or length > LENGTH_MAX:
            out_left[left] = i
            left += 1
        else:
            for j in range(head):
                scratch[j] = prefixes[prefix_start + j]
            for j in range(length - head):
                scratch[head + j] = keys[start + j]
            out_low[i], out_high[i] = digest(scratch, _U(length), seed)
        start = key_ends[i]
    return left
