"""The example app as a process: real HTTP, signatures by the Standard Webhooks library."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@contextmanager
def running(variables: dict[str, str], *options: str) -> Iterator[str]:
    """Run the app on a free port and give its address; it must end politely."""
    process = subprocess.Popen(
        [sys.executable, "-m", "producers.adapters.control_loop", "--port", "0", *options],
        env={**os.environ, **variables},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        words = next(line for line in process.stderr if "control_loop.listening" in line).split()
        yield next(word for word in words if "http://" in word).split("=")[-1]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def signed(number: int, event_type: str) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a genuine delivery."""
    body = json.dumps({"id": f"evt-{number}", "type": event_type, "subscription": "sub-1", "data": {}})
    now = datetime.now(UTC)
    return body.encode(), {
        "webhook-id": f"evt-{number}",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(f"evt-{number}", now, body),
    }


def post(url: str, delivery: tuple[bytes, dict[str, str]]) -> httpx.Response:
    """Deliver."""
    body, headers = delivery
    return httpx.post(f"{url}/webhooks", content=body, headers=headers, timeout=10)


def state(url: str) -> Any:
    """Return what the app shows."""
    return httpx.get(f"{url}/state", timeout=10).json()


def test_genuine_deliveries_act_once_and_forged_ones_never(tmp_path: Path) -> None:
    """Suspend, repeat, forge, restore; the secret comes from a file."""
    secret_file = tmp_path / "secret"
    secret_file.write_text(f"{SECRET}\n")
    memory = tmp_path / "memory"
    with running({"FUSION_WEBHOOK_SECRET_FILE": str(secret_file)}, "--memory", str(memory)) as url:
        failed = signed(1, "invoice.payment_failed")
        assert post(url, failed).json() == {"status": "ok", "repeated": False}
        assert post(url, failed).json() == {"status": "ok", "repeated": True}
        assert state(url)["sub-1"]["status"] == "suspended"
        body, headers = signed(2, "invoice.paid")
        assert post(url, (body.replace(b"sub-1", b"sub-2"), headers)).status_code == 401
        assert post(url, (body, {})).status_code == 401
        assert state(url).keys() == {"sub-1"}
        assert post(url, (body, headers)).status_code == 200
        shown = state(url)["sub-1"]
        assert shown["status"] == "active"
        assert [entry["id"] for entry in shown["events"]] == ["evt-1", "evt-2"]
    with running({"FUSION_WEBHOOK_SECRET": SECRET}, "--memory", str(memory)) as url:
        assert post(url, failed).json() == {"status": "ok", "repeated": True}
        assert state(url)["sub-1"] == shown


def test_other_requests_are_answered_clearly() -> None:
    """Unknown paths, bodies without or with too great a length."""
    with running({"FUSION_WEBHOOK_SECRET": SECRET}) as url:
        assert httpx.get(f"{url}/", timeout=10).status_code == 404
        assert httpx.get(f"{url}/healthz", timeout=10).json() == {"status": "ok"}
        assert httpx.post(url, content=b"x" * ((1 << 20) + 1), timeout=10).status_code == 413
        assert httpx.post(url, content=iter([b"x"]), timeout=10).status_code == 411


@pytest.mark.parametrize("variables", [{}, {"FUSION_WEBHOOK_SECRET_FILE": "/nowhere"}])
def test_without_a_secret_it_does_not_start(variables: dict[str, str]) -> None:
    """Exit code 2 and one sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "producers.adapters.control_loop"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "FUSION_WEBHOOK_SECRET" in done.stderr
