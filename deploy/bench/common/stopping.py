"""Whoever stops us stops what we started, too: every signal that ends becomes an exception, as Ctrl-C is one."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, so that every `finally` runs."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, lambda got, _: sys.exit(128 + got)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
