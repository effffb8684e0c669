"""Reading a role's /metrics and /readyz, cheaply enough to do it twenty times a second."""

from __future__ import annotations

import http.client
import re
from collections import defaultdict

from deploy.local.ports import HOST

_SAMPLE = re.compile(rb'^(\w+)(?:\{(?:\w+="([^"]*)")?[^}]*\})? (\S+)$', re.MULTILINE)

Samples = dict[str, dict[str, float]]
"""Metric name → value of its first label (else empty) → value."""


def scrape(port: int) -> Samples:
    """All samples now; empty while nobody answers."""
    status, page = _get(port, "/metrics")
    return parse(page) if status == http.HTTPStatus.OK else {}


def parse(page: bytes) -> Samples:
    """The samples of a page in Prometheus' text format."""
    samples: Samples = defaultdict(dict)
    for name, label, value in _SAMPLE.findall(page):
        samples[name.decode()][label.decode()] = float(value)
    return samples


def is_ready(port: int) -> bool:
    """True when the role says that it does its work."""
    return _get(port, "/readyz")[0] == http.HTTPStatus.OK


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
