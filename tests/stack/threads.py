"""Work beside a test, in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOPPED_WITHIN_S = 90.0


@contextmanager
def in_thread(work: Callable[[threading.Event], None]) -> Iterator[threading.Event]:
    """`work` runs until the block ends, when the event that it is given is set; its failure is the test's.

    Gives an event that tells when it has ended.
    """
    stop, ended = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 -- raised again below, in the test's thread
            failures.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=run, name="role")
    thread.start()
    try:
        yield ended
    finally:
        stop.set()
        thread.join(_STOPPED_WITHIN_S)
    assert not thread.is_alive(), "it did not stop"
    if failures:
        raise failures[0]
