"""What the tests ask of a browser, and the parts that driving Chromium and Firefox have in common.

A driver starts the real browser, headless, with a profile of its own, talks to it over one WebSocket and ends
the whole process group. Clicks are real mouse events at the element's place, so that the browser takes them
for a person's (`Sec-Fetch-User: ?1`). Every wait has a deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from websockets.sync.client import connect

if TYPE_CHECKING:
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
    """A browser process in its own group, and the profile directory that goes away with it."""

    def __init__(self, argv: Sequence[str], profile: tempfile.TemporaryDirectory[str]) -> None:
        self._profile = profile
        home = {"HOME": profile.name, "TMPDIR": profile.name, "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **home},
        )
        self._said: deque[str] = deque(maxlen=40)
        self._address: str | None = None
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self._said.append(text)
            if " listening on ws://" in text:
                self._address = text.rpartition(" ")[2]
                self._ready.set()
        self._ready.set()

    def address(self) -> str:
        """The WebSocket URL it announced on its standard error."""
        if not self._ready.wait(DEADLINE) or self._address is None:
            raise BrowserError("the browser announced no debugging address:\n" + "\n".join(self._said))
        return self._address

    def close(self, *, seconds: float) -> None:
        """Wait `seconds` for it to end by itself, then kill the group; the profile is removed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._profile.cleanup()


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


def profile(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A fresh directory for one browser's profile."""
    return tempfile.TemporaryDirectory(prefix=f"inspectd-{prefix}-", ignore_cleanup_errors=True)


def installed(candidates: Sequence[str]) -> str | None:
    """The first of these programs that is there."""
    return next((path for path in candidates if Path(path).exists()), None)
