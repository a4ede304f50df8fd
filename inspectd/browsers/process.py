"""A browser that runs, and the profile that goes away with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_LAST_SECONDS: Final = 1.0
SAID_KEPT: Final = 40
"""Lines of its standard error that are kept."""
GRACE: Final = 3.0
"""Seconds that a browser gets to end when it is asked to."""


def new_profile(name: str, folder: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """A fresh directory for one browser's profile."""
    return tempfile.TemporaryDirectory(prefix=f"inspectd-{name}-", dir=folder, ignore_cleanup_errors=True)


class BrowserProcess:
    """A browser's processes, in a group of their own: ctrl-c in the terminal doesn't reach them.

    `heard` is called with each line of its standard error, in another thread. Raises OSError when it can't be started;
    the profile is then gone.
    """

    def __init__(
        self,
        argv: Sequence[str],
        profile: tempfile.TemporaryDirectory[str],
        *,
        environment: Mapping[str, str] | None = None,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self._profile = profile
        self._heard = heard
        self._asked = self._closed = False
        self._closing = threading.Lock()
        self.said: deque[str] = deque(maxlen=SAID_KEPT)
        """Its last words on standard error."""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - an installed browser, and no shell
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        except OSError:
            profile.cleanup()
            raise
        self._reader = threading.Thread(target=self._read, name="browser's standard error", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            self.said.append(text)
            if self._heard is not None:
                self._heard(text)

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None when it still runs after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """Ask it to end. May be called from any thread and from a signal handler."""
        if self._process.poll() is None:
            self._asked = True
            self._process.terminate()

    @property
    def failure(self) -> str:
        """How it ended, when it did so by itself and not well; else nothing."""
        code = self._process.poll()
        if not code or self._asked:
            return ""
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    @property
    def last_words(self) -> str:
        """The line of its standard error that says best why it failed; empty when it said nothing."""
        if self._process.poll() is not None:
            self._reader.join(_LAST_SECONDS)  # what it said in the end may not be read yet
        lines = [line for line in self.said if line.strip()]
        fatal = [line for line in lines if ":FATAL:" in line]
        return (fatal or lines or [""])[-1]

    def wait_and_close(self) -> None:
        """Wait until it has ended; its profile is then removed."""
        self.wait()
        self.close(seconds=0)

    def close(self, *, seconds: float = GRACE) -> None:
        """Give it so many seconds to end, then kill what is left of its group; the profile is removed."""
        self.wait(seconds)
        with self._closing:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._reader.join(GRACE)  # a child in another group may keep the pipe
            if self._process.stderr is not None and not self._reader.is_alive():
                self._process.stderr.close()
            self._profile.cleanup()
