"""The real program as tests run it: `inspectd --headless --json` in its own process, spoken to by sockets.

Nothing in here knows the engine's code. What the tests see is what a person or a script would see: the
listening line, one JSON line for what happened, the exit code, and the capture file.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 60.0


def environment(state: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child: nothing of the person's own state or settings is read or written."""
    kept = {
        k: v for k, v in os.environ.items() if k in {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH"}
    }
    return {
        **kept,
        "XDG_STATE_HOME": str(state),
        "XDG_CONFIG_HOME": str(state),
        "XDG_DATA_HOME": str(state),
        "XDG_RUNTIME_DIR": str(state),
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }


class LiveEngine:
    """One engine process: its addresses, its JSON lines as they come, and its end."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        listen: Sequence[str] = ("127.0.0.1:0",),
        interpreter: Sequence[str] = (sys.executable, "-m", "inspectd"),
        quiet: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start it and wait for its listening line. `directory` gets the capture and all state."""
        self.capture = directory / "live.inspectd"
        listening = [word for address in listen for word in ("--listen", address)]
        self.argv = [
            *interpreter,
            "--headless",
            "--json",
            *listening,
            "--capture",
            str(self.capture),
            *options,
        ]
        if quiet:
            self.argv.append("--quiet")
        self._complaints = directory / "stderr.txt"
        with self._complaints.open("wb") as stderr:
            self.process = subprocess.Popen(
                self.argv,
                cwd=ROOT,
                env=environment(directory, env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self._arrived: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._waiting: deque[dict[str, Any]] = deque()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.listening = self.wait_for(lambda line: line["type"] == "listening", seconds=START_SECONDS)
        except BaseException:
            self.kill()
            raise
        self.addresses: list[str] = self.listening["addresses"]

    @property
    def pid(self) -> int:
        """Process id of the engine."""
        return self.process.pid

    @property
    def port(self) -> int:
        """Port of the first listener."""
        return int(self.addresses[0].rpartition(":")[2])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first listener, for `socket.create_connection`."""
        host = self.addresses[0].removeprefix("https://").rpartition(":")[0]
        return host.strip("[]"), self.port

    @property
    def stderr(self) -> str:
        """What it has complained about so far."""
        return self._complaints.read_text("utf-8", "replace")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arrived.put(json.loads(line))
        self._arrived.put(None)

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], *, seconds: float = 60.0) -> dict[str, Any]:
        """The first line, not yet handed out, that `wanted` accepts; waits for it to come."""
        for line in self._waiting:
            if wanted(line):
                self._waiting.remove(line)
                return line
        deadline = time.monotonic() + seconds
        while True:
            try:
                arrived = self._arrived.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                seen = "\n".join(json.dumps(line)[:300] for line in self._waiting)
                raise AssertionError(
                    f"no such line in {seconds} s; lines seen:\n{seen}\n{self.stderr}"
                ) from None
            if arrived is None:
                self._arrived.put(None)
                raise AssertionError(f"the engine ended, exit {self.process.wait(60)}: {self.stderr}")
            if wanted(arrived):
                return arrived
            self._waiting.append(arrived)

    def exchange(self, **expected: object) -> dict[str, Any]:
        """The first exchange line, not yet handed out, with these values."""
        return self.wait_for(
            lambda line: line["type"] == "exchange" and all(line.get(k) == v for k, v in expected.items())
        )

    def connect(self, *, seconds: float = 60.0) -> socket.socket:
        """A plain connected socket to the first listener."""
        return socket.create_connection(self.address, timeout=seconds)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop in the graceful way and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        return self._reap()

    def kill(self) -> None:
        """kill -9: it gets no chance to tidy up."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self._reap()

    def _reap(self) -> int:
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            raise AssertionError(f"the engine did not stop within {STOP_SECONDS} s: {self.stderr}") from None
        finally:
            self._reader.join(STOP_SECONDS)
            if self.process.stdout is not None:
                self.process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        else:
            self._reap()


def receive_response(client: socket.socket) -> bytes:
    """One whole response with a Content-Length, as bytes: enough of a client for a test's own answers."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        piece = client.recv(65536)
        if not piece:
            return data
        data += piece
    length = 0
    for line in data[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(data) < end + 4 + length:
        piece = client.recv(65536)
        if not piece:
            break
        data += piece
    return data
