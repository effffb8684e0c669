"""The webhook sink under a seeded nemesis: killed, stopped and continued while events flow and receivers fail.

A quarter of a minute by default, ten in the long fault set; WEBHOOK_SOAK_S=86400 makes it the soak of a day (F27). The
seed is in the failure.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from schemas.events import DeliveryState
from tests.hostile.behaviours import NO_ANSWER, answer
from tests.hostile.server import Hostile, hostile
from tests.integration.sinks_harness import Pipeline, endpoint, event, process, stop_politely
from tests.stack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

SHORT_S, LONG_S = 15.0, 600.0
GIVEN_S = float(os.environ.get("WEBHOOK_SOAK_S", "0"))
FILES_MAX, MIB_MAX = 100, 200.0
# What a worker remembers of a delivery that ended, and room for what the log may hold of it while it is read.
KIB_PER_DELIVERY = 1.0
SUBSCRIPTIONS = 5
HEALTHY = ("/well/1", "/well/2")
WORKER = {"FUSION_WEBHOOK_WORKER_ID": "soak", "FUSION_WEBHOOK_TIMEOUT_S": "2", "FUSION_WEBHOOK_RATE_PER_S": "1000"}


@pytest.fixture
def server() -> Iterator[Hostile]:
    """Return a hostile server."""
    with hostile() as server:
        yield server


@pytest.mark.timeout(max(GIVEN_S, LONG_S) + 280)
def test_random_kills_lose_no_event_no_order_and_no_timer(
    sink_topics: Pipeline, server: Hostile, is_long: bool
) -> None:
    """F14, F27: every healthy endpoint has every event, same id, same bytes; nothing waits for ever or grows."""
    seed = random.randrange(1 << 32)
    dice, own = random.Random(seed), Pipeline(sink_topics.variables | WORKER)
    own.publish_endpoint(*(endpoint(number, server.url(path)) for number, path in enumerate(HEALTHY, 1)))
    own.publish_endpoint(endpoint(8, server.url("/reset"), event_types=("trouble",)))
    sent: dict[str, list[str]] = defaultdict(list)
    kills, used = 0, []
    ends_s = time.monotonic() + (GIVEN_S or (LONG_S if is_long else SHORT_S))
    with ExitStack() as stack:
        child = stack.enter_context(process("webhook-sink", own.variables))
        while time.monotonic() < ends_s or kills < 3:
            for path in HEALTHY:
                faults = [answer(500), answer(503), NO_ANSWER["reset"], NO_ANSWER["close"]]
                server.script(path, *dice.choices([*faults, answer(200), answer(200)], k=dice.randrange(2)))
            names = [(f"sub-{n}", f"{seed}.{len(sent[f'sub-{n}'])}.{n}") for n in range(SUBSCRIPTIONS)]
            # So many come at least, each event to each healthy endpoint; counted from before they are told.
            reached = len(server.came) + dice.randrange(1, len(HEALTHY) * SUBSCRIPTIONS)
            own.publish_events(*(event(name, subscription) for subscription, name in names))
            for subscription, name in names:
                sent[subscription].append(name)
            wait_until(lambda: len(server.came) >= reached, 60, f"it delivers (seed {seed})")  # noqa: B023
            used.append(_used(child.pid))
            if dice.random() < 0.5:
                child.kill()
                child.wait()
                kills += 1
                child = stack.enter_context(process("webhook-sink", own.variables))
            else:
                os.kill(child.pid, signal.SIGSTOP)
                time.sleep(dice.random() / 5)  # the fault itself
                os.kill(child.pid, signal.SIGCONT)
        for path in HEALTHY:
            server.script(path)
        expected = {(name, number) for names in sent.values() for name in names for number in (1, 2)}
        wait_until(lambda: _all_delivered(own, expected), 120, f"everything is delivered (seed {seed})")
        assert stop_politely(child) == 0, seed
    _check(server, sent, kills, seed)
    deliveries = sum(map(len, sent.values())) * (len(HEALTHY) + 1)
    assert max(files for files, _ in used) < FILES_MAX, (seed, used)
    assert max(mib for _, mib in used) < MIB_MAX + deliveries * KIB_PER_DELIVERY / 1024, (seed, used)


def _all_delivered(own: Pipeline, expected: set[tuple[str, int]]) -> bool:
    states = {(one.event_id, one.endpoint_id): one.state for one in own.all_deliveries()}
    left = [key for key in expected if states.get(key) is not DeliveryState.DELIVERED]
    assert left == [], left
    return True


def _check(server: Hostile, sent: dict[str, list[str]], kills: int, seed: int) -> None:
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for path in HEALTHY:
        came = [one.headers["webhook-id"] for one in server.on(path)]
        for subscription, names in sent.items():
            known = set(names)
            of_it = [name for name in came if name in known]
            assert list(dict.fromkeys(of_it)) == names, (seed, path, subscription)
        assert Counter(came).most_common(1)[0][1] <= 8 + kills, (seed, path)
        for one in server.on(path):
            bodies[one.headers["webhook-id"]].add(one.body)
    assert {len(found) for found in bodies.values()} == {1}, seed


def _used(pid: int) -> tuple[int, float]:
    """Open files and MiB of a process."""
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    mib = int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
    return files, mib
