"""What the tests ask of a browser, and the parts that driving Chromium and Firefox have in common.

A driver starts the real browser, headless, with a profile of its own, talks to it over one WebSocket and ends
the whole process group. Clicks are real mouse events at the element's place, so that the browser takes them
for a person's (`Sec-Fetch-User: ?1`). Every wait has a deadline.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, Self

from websockets.sync.client import connect

from inspectd.browsers.firefox import ENVIRONMENT
from inspectd.browsers.process import BrowserProcess

if TYPE_CHECKING:
    import tempfile
    from collections.abc import Callable, Mapping, Sequence

DEADLINE = 20.0


class BrowserError(AssertionError):
    """The browser refused a command or did not answer in time."""


class Browser(Protocol):
    """A running browser with one page."""

    name: str

    def open(self, url: str) -> None:
        """Load a URL as if typed, and wait for the page's load event."""

    def click(self, element_id: str) -> None:
        """Press and release the mouse on an element; does not wait for what follows."""

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""

    def screenshot(self) -> bytes:
        """The visible page as PNG."""

    def close(self) -> None:
        """End the browser and remove its profile."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Process:
    """A browser process whose home is its profile, and the address that it announces."""

    def __init__(self, argv: Sequence[str], profile: tempfile.TemporaryDirectory[str]) -> None:
        self._address: str | None = None
        self._ready = threading.Event()
        home = {
            **ENVIRONMENT,
            "HOME": profile.name,
            "TMPDIR": profile.name,
            "MOZ_DISABLE_CONTENT_SANDBOX": "1",
        }
        self._browser = BrowserProcess(argv, profile, environment=home, heard=self._heard)

    def _heard(self, line: str) -> None:
        if " listening on ws://" in line:
            self._address = line.rpartition(" ")[2]
            self._ready.set()

    def address(self) -> str:
        """The WebSocket URL it announced on its standard error."""
        deadline = time.monotonic() + DEADLINE
        while not self._ready.wait(0.05) and time.monotonic() < deadline and self._browser.wait(0) is None:
            pass
        if self._address is None:
            raise BrowserError(
                "the browser announced no debugging address:\n" + "\n".join(self._browser.said)
            )
        return self._address

    def close(self, *, seconds: float) -> None:
        """Wait `seconds` for it to end by itself, then kill the group; the profile is removed."""
        self._browser.close(seconds=seconds)


class Channel:
    """JSON commands and events over one WebSocket, one thread: replies are found by id, events are kept."""

    def __init__(self, url: str) -> None:
        self._life = contextlib.ExitStack()
        connected = connect(url, max_size=None, open_timeout=DEADLINE, close_timeout=1, proxy=None)
        self._socket = self._life.enter_context(connected)
        self._next = 0
        self._events: deque[dict[str, Any]] = deque(maxlen=1000)

    def call(
        self, method: str, params: Mapping[str, object] | None = None, **extra: object
    ) -> dict[str, Any]:
        """Send a command, wait for its reply, return the reply's `result`."""
        self._next += 1
        number = self._next
        self._socket.send(json.dumps({"id": number, "method": method, "params": dict(params or {}), **extra}))
        deadline = time.monotonic() + DEADLINE
        while True:
            message = self._receive(deadline, method)
            if message.get("id") != number:
                self._events.append(message)
                continue
            if "error" in message:
                raise BrowserError(f"{method}: {message['error']} {message.get('message', '')}")
            result: dict[str, Any] = message.get("result", {})
            return result

    def event(self, method: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The first event of this name, not yet handed out, whose params are `wanted`."""
        deadline = time.monotonic() + DEADLINE
        while True:
            for message in list(self._events):
                if message.get("method") == method and wanted(message["params"]):
                    self._events.remove(message)
                    params: dict[str, Any] = message["params"]
                    return params
            self._events.append(self._receive(deadline, method))

    def _receive(self, deadline: float, purpose: str) -> dict[str, Any]:
        try:
            message: dict[str, Any] = json.loads(self._socket.recv(max(deadline - time.monotonic(), 0.001)))
        except TimeoutError:
            raise BrowserError(f"no answer within {DEADLINE} s: {purpose}") from None
        return message

    def close(self) -> None:
        """Close the WebSocket."""
        self._life.close()
