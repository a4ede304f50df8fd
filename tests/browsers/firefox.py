"""Firefox over WebDriver BiDi, which it speaks by itself: no geckodriver in between."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from inspectd.browsers.finding import find
from inspectd.browsers.firefox import QUIET, base, through_proxy, user_js
from inspectd.browsers.process import new_profile
from tests.browsers.driver import BrowserError, Channel, Process

if TYPE_CHECKING:
    from collections.abc import Callable

BINARY: Final = find("firefox")

# The preferences that WebDriver sets by default stay out: they change how it opens connections.
PREFERENCES: Final = {
    **QUIET,
    "remote.prefs.recommended": False,
    "network.dns.localDomains": "plain.test,other.test",
}


class Firefox:
    """A headless Firefox with one page."""

    name = "firefox"

    def __init__(self, *, prepare: Callable[[Path], None] | None = None, proxy: str | None = None) -> None:
        """`prepare` gets the profile's directory before the browser is started."""
        if BINARY is None:
            raise BrowserError("Firefox is not installed")
        directory = new_profile("firefox")
        if prepare is not None:
            prepare(Path(directory.name))
        preferences = PREFERENCES if proxy is None else {**PREFERENCES, **through_proxy(proxy)}
        (Path(directory.name) / "user.js").write_text(user_js(preferences), "utf-8")
        argv = [*base(BINARY, directory.name, headless=True), "--remote-debugging-port", "0"]
        self._process = Process(argv, directory)
        try:
            self._channel = Channel(self._process.address() + "/session")
            self._channel.call("session.new", {"capabilities": {}})
            tree = self._channel.call("browsingContext.getTree")
            self._context: str = tree["contexts"][0]["context"]
        except BaseException:
            self._process.close(seconds=0)
            raise

    def open(self, url: str) -> None:
        """Load a URL as if typed, and wait for the page's load event."""
        self._channel.call(
            "browsingContext.navigate", {"context": self._context, "url": url, "wait": "complete"}
        )

    def click(self, element_id: str) -> None:
        """Press and release the mouse on an element; does not wait for what follows."""
        self.evaluate(f"document.getElementById({element_id!r}).scrollIntoView({{block: 'center'}})")
        locator = {"type": "css", "value": f"#{element_id}"}
        found = self._channel.call(
            "browsingContext.locateNodes", {"context": self._context, "locator": locator}
        )
        origin = {"type": "element", "element": {"sharedId": found["nodes"][0]["sharedId"]}}
        self._channel.call(
            "input.performActions",
            {
                "context": self._context,
                "actions": [
                    {
                        "type": "pointer",
                        "id": "mouse",
                        "actions": [
                            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
                            {"type": "pointerDown", "button": 0},
                            {"type": "pointerUp", "button": 0},
                        ],
                    }
                ],
            },
        )

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page: a string, a number, a truth value or None."""
        reply = self._channel.call(
            "script.evaluate",
            {"expression": expression, "target": {"context": self._context}, "awaitPromise": True},
        )
        if reply["type"] == "exception":
            raise BrowserError(f"{expression}: {reply['exceptionDetails']['text']}")
        return reply["result"].get("value")

    def screenshot(self) -> bytes:
        """The visible page as PNG."""
        return base64.b64decode(
            self._channel.call("browsingContext.captureScreenshot", {"context": self._context})["data"]
        )

    def close(self) -> None:
        """End the browser and remove its profile."""
        try:
            self._channel.call("browser.close")
            self._channel.close()
        finally:
            self._process.close(seconds=0.3)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
