"""Loopback ports: chosen once, free at that moment, then kept in `run/ports.json`."""

from __future__ import annotations

import json
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deploy.local.errors import LocalStackError
from deploy.local.files import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOST = "127.0.0.1"

# What a person may expect to find; taken when free. Everything else is drawn below the kernel's ephemeral
# range (32768 and up), where an outgoing connection could occupy the port while the process is down.
PREFERRED: Mapping[str, int] = {
    "kafka": 19092,
    "kafka-controller": 19093,
    "postgres": 15432,
    "odoo": 18069,
    "odoo-gevent": 18072,
    "gateway": 18080,
}
_DRAWN_FROM = range(20_000, 30_000)
_DRAWS_MAX = 200
_PREDECESSOR_GONE_WITHIN_S = 3.0
_POLL_S = 0.05


def is_free(port: int) -> bool:
    """True when a server could listen on the port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _becomes_free(port: int) -> bool:
    """True when the port is free now or soon: a killed predecessor holds it until its last thread is gone."""
    deadline = time.monotonic() + _PREDECESSOR_GONE_WITHIN_S
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def accepts(port: int, timeout_s: float = 0.5) -> bool:
    """True when something accepts connections on the port of the loopback address."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def draw_free_port(taken: frozenset[int] = frozenset()) -> int:
    """A free port outside `taken`, at random so that two stacks rarely meet."""
    for _ in range(_DRAWS_MAX):
        port = secrets.choice(_DRAWN_FROM)
        if port not in taken and is_free(port):
            return port
    raise LocalStackError(f"no free port found between {_DRAWN_FROM.start} and {_DRAWN_FROM.stop}")


@dataclass(slots=True)
class Ports:
    """The ports of one stack by name; `file` remembers them between runs."""

    file: Path
    fixed: Mapping[str, int] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.exists():
            self._known = json.loads(self.file.read_text())

    def of(self, name: str) -> int:
        """The port kept for `name`; chosen and saved on first use. A fixed one always wins."""
        if fixed := self.fixed.get(name, 0):
            return self._save(name, fixed)
        if name in self._known:
            return self._known[name]
        return self._save(name, self._choose(name))

    def before_start(self, name: str) -> int:
        """The port for a process about to start: another one if a stranger sits on the kept one.

        Raises: LocalStackError when the stranger sits on a fixed port.
        """
        port = self.of(name)
        if _becomes_free(port):
            return port
        if self.fixed.get(name, 0):
            raise LocalStackError(f"port {port} for {name} is taken by another program; free it or set another port")
        del self._known[name]
        return self._save(name, self._choose(name))

    def _choose(self, name: str) -> int:
        taken = frozenset(self._known.values())
        preferred = PREFERRED.get(name, 0)
        if preferred and preferred not in taken and is_free(preferred):
            return preferred
        return draw_free_port(taken)

    def _save(self, name: str, port: int) -> int:
        if self._known.get(name) != port:
            self._known[name] = port
            write_private(self.file, json.dumps(self._known, indent=1, sort_keys=True) + "\n")
        return port
