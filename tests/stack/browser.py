"""A real Chromium without a window, spoken to over its own debugging protocol on two pipes."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CHUNK = 1 << 20
_ANSWER_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1


def find_chromium() -> str | None:
    """Return the path of a Chromium on this machine, or null."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class Page:
    """One tab. Errors of its scripts are kept in `errors`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.errors: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self._call(f"{domain}.enable")

    def resize(self, width: int, height: int) -> None:
        """Give the page this many pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def set_cookie(self, url: str, name: str, value: str) -> None:
        """Let the page be who has this cookie."""
        self._call("Network.setCookie", url=url, name=name, value=value)

    def open(self, url: str, ready: str, within_s: float) -> None:
        """Go there and return once the expression `ready` is true in the page."""
        self.errors.clear()
        self._call("Page.navigate", url=url)
        self.wait_for(ready, within_s)

    def wait_for(self, ready: str, within_s: float) -> None:
        """Return once the expression is true in the page; an error of the page's scripts ends the wait."""
        deadline_s = time.monotonic() + within_s
        while not self.evaluate(f"document.readyState === 'complete' && Boolean({ready})"):
            if self.errors or time.monotonic() > deadline_s:
                text = self.evaluate("document.body ? document.body.innerText : ''")
                raise AssertionError(f"{ready}: not within {within_s} s; {self.errors}; the page says: {text[:1500]}")
            time.sleep(_LOOK_EVERY_S)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Save what is to be seen."""
        picture = self._call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(picture))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline_s = time.monotonic() + _ANSWER_WITHIN_S
        while time.monotonic() < deadline_s:
            said = self._read()
            if said.get("method") == "Runtime.exceptionThrown":
                details = said["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description") or details["text"])
            if said.get("id") == self._number:
                assert "error" not in said, (method, said["error"])
                return dict(said["result"])
        raise AssertionError(f"{method}: no answer within {_ANSWER_WITHIN_S} s")

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._from, _CHUNK)
            if not more:
                raise AssertionError("Chromium is gone")
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browsing(chromium: str, folder: Path) -> Iterator[Page]:
    """Run a Chromium of its own, whose profile is in `folder`, and give its page."""
    its_input, to_browser = os.pipe()
    from_browser, its_output = os.pipe()
    words = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars", "--disable-gpu"]
    words += [f"--user-data-dir={folder}", "--disable-dev-shm-usage", "--disable-background-networking", "--lang=en-US"]
    words.append("--no-sandbox")  # root and containers have none, and it shows our own pages only
    # Chromium reads file 3 and writes file 4. Not sh, some of which know only files 0 to 9.
    argv = ["bash", "-c", f'exec "$@" 3<&{its_input} 4>&{its_output}', "bash", chromium, *words]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(argv, pass_fds=(its_input, its_output), stdout=log, stderr=log)
    try:
        os.close(its_input)
        os.close(its_output)
        yield Page(to_browser, from_browser)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()
        os.close(to_browser)
        os.close(from_browser)
