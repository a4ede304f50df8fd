"""A program under a real pseudo-terminal: everything it writes is kept as raw bytes, keys are sent as bytes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

from tests.live_engine import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# Questions that a terminal answers by itself; without answers a program might wait.
_ANSWERS = {
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[c": b"\x1b[?62;c",
    b"\x1b[>c": b"\x1b[>0;0;0c",
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",
}
_QUESTIONS = re.compile(b"|".join(map(re.escape, _ANSWERS)))


class Terminal:
    """`python -m inspectd ARGUMENTS` with a terminal of `columns` by `lines` for its three streams."""

    def __init__(
        self,
        *arguments: str,
        state: Path,
        columns: int = 160,
        lines: int = 50,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.output = bytearray()
        self._controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **(env or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inspectd", *arguments],
            cwd=ROOT,
            env=environment(state, colours),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)

    def _read(self, seconds: float) -> bytes:
        if not select.select([self._controller], [], [], max(seconds, 0))[0]:
            return b""
        try:
            piece = os.read(self._controller, 65536)
        except OSError:  # EIO: the program has gone and with it the other end
            return b""
        self.output += piece
        for question in _QUESTIONS.findall(piece):
            with contextlib.suppress(OSError):
                os.write(self._controller, _ANSWERS[question])
        return piece

    def wait_for(self, wanted: Callable[[bytes], bool], *, seconds: float = 60.0, since: int = 0) -> None:
        """Read until what came after `since` is `wanted`."""
        deadline = time.monotonic() + seconds
        while not wanted(bytes(self.output[since:])):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not seen within {seconds} s; the end of the output:\n{self.output[-3000:]!r}"
                )
            self._read(min(0.2, deadline - time.monotonic()))

    def settle(self, *, begin: float = 0.3, quiet: float = 0.05, seconds: float = 10.0) -> None:
        """Read what comes, if anything comes within `begin` seconds, until nothing came for `quiet` seconds."""
        deadline = time.monotonic() + seconds
        piece = self._read(begin)
        while piece and time.monotonic() < deadline:
            piece = self._read(quiet)

    def press(self, *keys: str | bytes, begin: float = 0.3) -> bytes:
        """Send keys, one after the other, and return what the program wrote until it was quiet again.

        Each key has `begin` seconds to show its first effect.
        """
        start = len(self.output)
        for key in keys:
            os.write(self._controller, key.encode() if isinstance(key, str) else key)
            # A key that follows ESC at once would be read as one key with alt.
            self.settle(begin=begin, quiet=0.3 if key == "\x1b" else 0.05)
        return bytes(self.output[start:])

    def finish(self, *, seconds: float = 60.0) -> int:
        """Read to the program's end; its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        while self._read(0.05):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 0.1))

    def close(self) -> None:
        """Kill what still runs and close the terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        with contextlib.suppress(OSError):
            os.close(self._controller)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
