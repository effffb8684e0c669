"""A server of a test's own, on an event loop beside the test."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.stack.threads import in_thread

_STARTED_WITHIN_S = 30.0


@contextmanager
def serving(serve: Callable[[threading.Event, threading.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """`serve` sets the first event it is given when it is ready, and ends with the second, at the block's end."""
    ready = threading.Event()
    with in_thread(lambda ended: asyncio.run(serve(ready, ended))):
        assert ready.wait(_STARTED_WITHIN_S), "the server did not start"
        yield
