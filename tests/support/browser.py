"""A real browser for tests: Debian's Chromium without a window, steered over its own pipe, so that no driver is needed."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = "Chromium is not installed: on Debian and Ubuntu `sudo apt install chromium`"
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root, where its sandbox does not start
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
_CONTRAST = """
(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const found = parts(getComputedStyle(node).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const weak = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest(":disabled,script,noscript")) continue;
    const style = getComputedStyle(node);
    const pair = [light(parts(style.color).slice(0, 3)), light(ground(node))].sort();
    const ratio = (pair[1] + 0.05) / (pair[0] + 0.05);
    if (ratio < 4.5) weak.add(`${node.tagName}.${node.className} ${walker.currentNode.data.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return [...weak];
})()
"""


class Browser:
    """One tab. Commands are those of the DevTools protocol."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for the profile of this browser."""
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def use_pipes() -> None:  # Chromium reads from file 3 and writes to file 4
            os.dup2(to_browser, 103)
            os.dup2(from_browser, 104)
            os.dup2(103, 3)
            os.dup2(104, 4)

        assert CHROMIUM
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            command, preexec_fn=use_pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._rest, self._last, self._session, self.messages = b"", 0, "", list[dict[str, Any]]()
        target = next(each for each in self.send("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, **params: Any) -> Any:
        """Send a command and return its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        session = {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message | session).encode() + b"\0")
        while (found := self._next_message()).get("id") != self._last:
            self.messages.append(found)
        assert "error" not in found, found["error"]
        return found["result"]

    def open(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        self.wait_for_load(lambda: self.send("Page.navigate", url=url))

    def click(self, selector: str) -> None:
        """Click on what leads to another page."""
        self.wait_for_load(lambda: self.evaluate(f"document.querySelector({json.dumps(selector)}).click()"))

    def wait_for_load(self, act: Any) -> None:
        """Do something and wait for the page that it loads."""
        self.messages.clear()
        act()
        while not any(each.get("method") == "Page.loadEventFired" for each in self.messages):
            self.messages.append(self._next_message())

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def texts(self, selector: str) -> list[str]:
        """The visible text of every match."""
        return list(self.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText)"))

    def wait_until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        until = time.monotonic() + 20
        while not self.evaluate(expression):
            assert time.monotonic() < until, expression
            time.sleep(0.05)

    def show_as(self, *, width: int, height: int, dark: bool, phone: bool = False) -> None:
        """Set the size of the screen and the preferred colours."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        """The screen as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def weak_texts(self) -> list[str]:
        """Visible texts with less contrast than 4.5 to 1 (WCAG 2, level AA)."""
        return list(self.evaluate(_CONTRAST))

    def complaints(self) -> list[str]:
        """What the browser logged since the last page was asked for: refused scripts and styles, errors."""
        entries = [each["params"]["entry"] for each in self.messages if each.get("method") == "Log.entryAdded"]
        errors = [each["params"] for each in self.messages if each.get("method") == "Runtime.exceptionThrown"]
        return [each["text"] for each in entries if each["level"] == "error"] + [str(each) for each in errors]

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium ended"
            self._rest += part
        found, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(found)
        return message
