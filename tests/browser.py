"""A real browser: Chromium without a window, over its own protocol on two pipes.

https://chromedevtools.github.io/devtools-protocol/ . Messages are JSON, each ended by a NUL; the
browser reads them from descriptor 3 and writes them to 4 (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SWITCHES = (
    *("--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-default-apps", "--mute-audio", "--hide-scrollbars"),
    *("--disable-dev-shm-usage", "--force-color-profile=srgb"),
)
# What a page may ask for: itself.
QUIET = ("file:", "about:")


class Browser:
    """One page of one browser, and everything that it complained of or asked for."""

    def __init__(self, program: str, profile: Path, seconds: float = 60.0) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        log = os.open(profile.with_suffix(".log"), os.O_WRONLY | os.O_CREAT, 0o600)
        actions = [
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
            # By way of high numbers, because 3 or 4 may be one of the ends.
            (os.POSIX_SPAWN_DUP2, theirs_in, 101),
            (os.POSIX_SPAWN_DUP2, theirs_out, 102),
            (os.POSIX_SPAWN_DUP2, 101, 3),
            (os.POSIX_SPAWN_DUP2, 102, 4),
            (os.POSIX_SPAWN_CLOSE, 101),
            (os.POSIX_SPAWN_CLOSE, 102),
        ]
        argv = [program, *SWITCHES, f"--user-data-dir={profile}", "about:blank"]
        environment = {**os.environ, "HOME": str(profile)}
        self.process = os.posix_spawn(program, argv, environment, file_actions=actions, setpgroup=0)
        for descriptor in (theirs_in, theirs_out, log):
            os.close(descriptor)
        self._read, self._write = ours_in, ours_out
        self._buffer, self._number = b"", 0
        self._seconds, self._until = seconds, 0.0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.blocked: list[str] = []
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of one call; everything that happens meanwhile is noted."""
        self._until = time.monotonic() + self._seconds
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], self._until - time.monotonic())
            assert ready, "the browser does not answer"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser went away"
            self._buffer += chunk
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, said: dict[str, Any]) -> None:
        if method == "Runtime.consoleAPICalled" and said["type"] != "timeEnd":
            self.complaints.append(f"console.{said['type']}: {said['args']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(f"{said['entry']['level']}: {said['entry']['text']}")
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {said['message']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Network.loadingFailed" and "blockedReason" in said:
            self.blocked.append(said["blockedReason"])

    def open(self, page: Path) -> None:
        """Open a file, and wait until its script says that it is ready."""
        self.complaints.clear()
        self.requests.clear()
        self.blocked.clear()
        until = time.monotonic() + self._seconds
        self.call("Page.navigate", url=page.as_uri())
        while self.run("document.body && document.body.dataset.ready || ''") != "yes":
            assert not self.complaints, self.complaints
            assert time.monotonic() < until, "the page is not ready"
            time.sleep(0.02)
        self.settle()

    def run(self, expression: str) -> Any:
        """The value of an expression, as JSON has it."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def settle(self) -> None:
        """Wait until what was asked for is painted."""
        self.run(
            "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))"
        )

    def press(self, key: str) -> None:
        """A key, as a person would press it."""
        text = {"text": key} if len(key) == 1 else {}
        if key == "Enter":
            text = {"text": "\r"}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def click(self, selector: str) -> None:
        """A click into the middle of the first element that matches."""
        box = self.run(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )
        self.settle()

    def look(self, width: int, height: int, dark: bool = False) -> None:
        """The size of the window, and which colours are preferred."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.settle()

    def picture(self) -> bytes:
        """A PNG of what is to be seen."""
        data: str = self.call("Page.captureScreenshot", format="png")["data"]
        return base64.b64decode(data)

    def asked_elsewhere(self) -> list[str]:
        """Requests that are not for the file itself."""
        return [url for url in self.requests if not url.startswith(QUIET)]

    def close(self) -> None:
        """End the browser and its children."""
        self._session = None
        with contextlib.suppress(OSError, AssertionError):
            self._seconds = 5
            self.call("Browser.close")
        for descriptor in (self._read, self._write):
            os.close(descriptor)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


@contextlib.contextmanager
def opened(program: str, profile: Path) -> Iterator[Browser]:
    """A browser that is closed again."""
    browser = Browser(program, profile)
    try:
        yield browser
    finally:
        browser.close()
