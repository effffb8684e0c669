"""How long a sink waits before it tries a neighbour again that was away. Pure."""

_FIRST_S = 0.5
_LAST_S = 30.0
_DOUBLINGS_MAX = 16  # far beyond the limit; keeps the power small


def wait_s(failures: int, at_least_s: float = 0.0) -> float:
    """Seconds to wait after so many failures in a row (≥ 1); `at_least_s` is the neighbour's own wish.

    # failures  1    2    3    4    5    6     7 and more
    # wait      0.5  1    2    4    8    16    30
    # since     0.5  1.5  3.5  7.5  15.5 31.5  …
    """
    wait = _FIRST_S * float(2 ** min(failures - 1, _DOUBLINGS_MAX))
    return min(max(wait, at_least_s), _LAST_S)
