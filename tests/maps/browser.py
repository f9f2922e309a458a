"""A headless Chromium over its debugging pipe, for tests of the page: no driver, no network, a profile of its own."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WITHOUT = "no Chromium on PATH: the page itself was not opened; `make browser` installs one"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=http://127.0.0.1:9",
)  # fmt: skip
"""The last two deny the network: no name resolves, and every request goes to a port where nobody listens."""
ROOT = Path(__file__).parents[2]
AXE = ROOT / ".browser" / "axe.min.js"
"""The auditor of accessibility that `make browser` fetches; MPL-2.0 and half a megabyte, so not in the repository."""
ARTIFACTS = ROOT / "artifacts"
"""Where tests leave pictures of what they saw; not in the repository."""
PATIENCE = 30.0
START = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(end), fcntl.F_DUPFD, 20) for end in sys.argv[1:3])
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and answers on 4."""


class Page:
    """One page: run expressions in it, press keys, and see what it asked for and complained of."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back = to, back
        self.number = 0
        self.rest = b""
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one method of the protocol and wait for its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)
        raise AssertionError(f"{method}: no answer in {PATIENCE} s")

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            part = os.read(self.back, 1 << 16)
            assert part, "the browser has closed the pipe"
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))

    def value(self, expression: str) -> Any:
        """What an expression gives in the page, and no error."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file and wait until its script has run."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri() + fragment)
        for _ in range(200):
            if self.value("document.readyState") == "complete":
                return
            time.sleep(0.05)
        raise AssertionError("the page did not load")

    def picture(self, name: str) -> bytes:
        """What is in sight, as PNG, left in the folder of artifacts too."""
        image = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / f"{name}.png").write_bytes(image)
        return image

    def asked(self) -> list[str]:
        """Addresses that the page asked for."""
        return [
            one["params"]["request"]["url"] for one in self.events if one.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """Errors of the script, and what the content-security policy has refused."""
        errors = [one["params"]["exceptionDetails"]["text"] for one in self.events
                  if one.get("method") == "Runtime.exceptionThrown"]  # fmt: skip
        return errors + [one["params"]["entry"]["text"] for one in self.events if one.get("method") == "Log.entryAdded"]


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A page of a fresh browser, closed at the end."""
    assert CHROMIUM is not None
    ours, theirs = os.pipe(), os.pipe()
    ends = (ours[0], theirs[1])
    process = subprocess.Popen(
        [sys.executable, "-c", START, *map(str, ends), CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(ours[0])
    os.close(theirs[1])
    page = Page(ours[1], theirs[0])
    try:
        target = page.call("Target.createTarget", url="about:blank")["targetId"]
        page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        yield page
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(ours[1])
        os.close(theirs[0])
