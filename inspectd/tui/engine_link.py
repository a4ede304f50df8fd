"""The screen's line to a running engine. Everything that waits for an answer here runs in a worker thread.

httpx is imported with the first question, after the first paint. The link never raises because an engine is gone:
that is a state the screen shows.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.errors import InspectdError
from inspectd.tui.held import NOTHING_HELD, Holds

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from inspectd.control.messages import CurrentAnswer, Preview, Status
    from inspectd.control.rules_messages import RulesShown
    from inspectd.control.traffic_messages import HoldsShown, Released
    from inspectd.tui.widgets.bars import EngineState

HOLD_TIMEOUT: Final = "5m"
"""After this a request that the screen held gets its normal answer."""
HOLD_LEASE: Final = "30s"
"""A screen that hasn't looked at what is held for so long is dead: the engine holds no more for it."""
MIRROR: Final = "mirror"
AT_START: Final = "as at the start"
BY_RULE: Final = "rule "
"""How an answer begins that is a rule's: `rule api.toml:12`. No status line does."""
NO_ENGINE: Final = "This is a file: no engine runs, so there is nobody who could answer differently."


class Engine(Protocol):
    """What the screen asks of an engine; `control.client.ControlClient` offers it."""

    def status(self) -> Status: ...
    def set_answer(self, *, status: str) -> CurrentAnswer: ...
    def mirror(self) -> CurrentAnswer: ...
    def restore_answer(self) -> CurrentAnswer: ...
    def answer_by_rule(self, rule: str) -> CurrentAnswer: ...
    def preview(self, *, status: str) -> Preview: ...
    def preview_rule(self, rule: str) -> Preview: ...
    def clear(self) -> None: ...
    def holds(self) -> HoldsShown: ...
    def hold_next(
        self, count: int | None, *, timeout: str = ..., owner: str = ..., lease: str = ...
    ) -> object: ...
    def release(
        self,
        exchange: int,
        /,
        *,
        raw: bytes | None = None,
        rest_from: int | None = None,
        rule: str | None = None,
    ) -> object: ...
    def drop(self, exchange: int, /) -> object: ...
    def reset(self, exchange: int, /) -> object: ...
    def release_all(self, *, owner: str | None = ...) -> Released: ...
    def rules(self) -> RulesShown: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class EngineNews:
    """How the engine is: its state, why it is gone, what it last said of itself, and what it holds."""

    state: EngineState
    why: str = ""
    status: Status | None = None
    holds: Holds = NOTHING_HELD


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
        self._refreshing = threading.Lock()
        self.owner = f"screen {os.getpid()}"
        """Names this screen to the engine: what it held is released with it."""

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
        with self._refreshing:  # so that what was said last is what is known
            return self._refresh()

    def _refresh(self) -> EngineNews:
        try:
            engine = self._ask()
            status = engine.status()
            holds = Holds.of(engine.holds()) if status.held or status.hold_next != 0 else NOTHING_HELD
        except (InspectdError, OSError) as problem:
            why = self._ending() or str(getattr(problem, "what", problem))
            self.news = EngineNews("gone", why, self.news.status)
        else:
            self.news = EngineNews("up", status=status, holds=holds)
        return self.news

    def preview(self, text: str) -> Preview:
        """The exact bytes this answer would be. Waits; raises `InspectdError` with what is wrong."""
        if text.startswith(BY_RULE):
            return self._ask().preview_rule(text.removeprefix(BY_RULE))
        return self._ask().preview(status=text)

    def set_answer(self, text: str) -> str:
        """Answer with a status line, `mirror`, `rule ID` or `as at the start` from the next request on. Waits.

        Returns what it is now.
        """
        engine = self._ask()
        if text == MIRROR:
            now = engine.mirror()
        elif text == AT_START:
            now = engine.restore_answer()
        elif text.startswith(BY_RULE):
            now = engine.answer_by_rule(text.removeprefix(BY_RULE))
        else:
            now = engine.set_answer(status=text)
        return now.otherwise or now.status_line or now.description

    def clear(self) -> None:
        """Remove every exchange. Waits."""
        self._ask().clear()

    # what waits for a person

    def hold_next(self, count: int | None) -> None:
        """Hold the next `count` requests; None holds all, 0 holds no more. Waits."""
        self._ask().hold_next(count, timeout=HOLD_TIMEOUT, owner=self.owner, lease=HOLD_LEASE)

    def release(
        self,
        exchange: int,
        *,
        raw: bytes | None = None,
        rest_from: int | None = None,
        rule: str | None = None,
    ) -> None:
        """Send a held exchange its normal answer, these bytes, or a rule's answer. Waits.

        With `rest_from` the normal answer goes on from this offset after the bytes. Raises `InspectdError` when the
        exchange is no longer held.
        """
        if raw is not None:
            if rest_from is None:
                self._ask().release(exchange, raw=raw)
            else:
                self._ask().release(exchange, raw=raw, rest_from=rest_from)
        elif rule is not None:
            self._ask().release(exchange, rule=rule)
        else:
            self._ask().release(exchange)

    def drop(self, exchange: int) -> None:
        """Close a held exchange's connection without a byte: FIN. Waits."""
        self._ask().drop(exchange)

    def reset(self, exchange: int) -> None:
        """Abort a held exchange's connection: RST. Waits."""
        self._ask().reset(exchange)

    def release_mine(self) -> int:
        """Hold no more, and send what this screen held its normal answers. Waits; returns how many they were."""
        return self._ask().release_all(owner=self.owner).released

    def release_all(self) -> None:
        """The same for everything that is held, by whomever. Waits."""
        self._ask().release_all()

    def rules(self) -> RulesShown:
        """The rules in use. Waits."""
        return self._ask().rules()

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
