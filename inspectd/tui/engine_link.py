"""The screen's line to a running engine. Everything that waits for an answer here runs in a worker thread.

httpx is imported with the first question, after the first paint. The link never raises because an engine is gone:
that is a state the screen shows.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.errors import InspectdError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from inspectd.control.messages import CurrentAnswer, Preview, Status
    from inspectd.tui.widgets.bars import EngineState

NO_ENGINE: Final = "This is a file: no engine runs, so there is nobody who could answer differently."


class Engine(Protocol):
    """What the screen asks of an engine; `control.client.ControlClient` offers it."""

    def status(self) -> Status: ...
    def set_answer(self, *, status: str) -> CurrentAnswer: ...
    def mirror(self) -> CurrentAnswer: ...
    def preview(self, *, status: str) -> Preview: ...
    def clear(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EngineNews:
    """How the engine is: its state, why it is gone, and what it last said of itself."""

    state: EngineState
    why: str = ""
    status: Status | None = None


class EngineLink:
    """Asks one engine, and knows when it has ended. `socket` None means there never was one."""

    def __init__(
        self,
        socket: Path | None,
        child: subprocess.Popen[bytes] | None = None,
        *,
        connect: Callable[[Path], Engine] | None = None,
    ) -> None:
        self.socket = socket
        self.child = child
        self.news = EngineNews("file" if socket is None else "starting")
        self._connect = connect or _connect
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @property
    def why_not(self) -> str:
        """Why the engine can't be asked to do anything now; empty when it can."""
        if self.news.state == "file":
            return NO_ENGINE
        if self.news.state == "gone":
            return f"The engine is gone: {self.news.why}. Start inspectd again to answer clients."
        return ""

    def refresh(self) -> EngineNews:
        """Ask how the engine is. Waits."""
        if self.socket is None:
            return self.news
        try:
            status = self._ask().status()
        except (InspectdError, OSError) as problem:
            why = self._ending() or str(getattr(problem, "what", problem))
            self.news = EngineNews("gone", why, self.news.status)
        else:
            self.news = EngineNews("up", status=status)
        return self.news

    def preview(self, text: str) -> Preview:
        """The exact bytes this answer would be. Waits; raises `InspectdError` with what is wrong."""
        return self._ask().preview(status=text)

    def set_answer(self, text: str) -> str:
        """Answer with this from the next request on; the mirror when `text` is empty. Waits."""
        engine = self._ask()
        now = engine.set_answer(status=text) if text else engine.mirror()
        return now.status_line or now.description

    def clear(self) -> None:
        """Remove every exchange. Waits."""
        self._ask().clear()

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None

    def _ask(self) -> Engine:
        if self.socket is None:
            raise InspectdError(NO_ENGINE)
        with self._lock:
            if self._engine is None:
                self._engine = self._connect(self.socket)
            return self._engine

    def _ending(self) -> str:
        if self.child is None or (code := self.child.poll()) is None:
            return ""
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"it was ended by {name}"
        return f"it ended with exit status {code}"


def _connect(socket: Path) -> Engine:
    from inspectd.control.client import ControlClient

    return ControlClient(socket)
