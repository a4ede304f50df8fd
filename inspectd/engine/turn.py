"""The order of things within a turn of the event loop: record, commit, then send.

Everything that the callbacks of one turn recorded is committed once, and what they want to send leaves after that.
So no client ever holds an answer that a killed engine would not find in its capture. With relaxed durability bytes
leave at once and the commit follows within `RELAXED_DELAY`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from inspectd.capture.writer import CaptureWriter

RELAXED_DELAY: Final = 0.05
"""Seconds that a commit may lag behind with relaxed durability."""
RELAXED_BYTES: Final = 96 * 1024
"""Bytes that wait for it at most: little commits leave the processor's caches to the answers."""


class Turn(Protocol):
    """Runs an action when what was recorded before it is as safe as was asked for."""

    def then(self, action: Callable[..., object], *arguments: object) -> None: ...

    def soon(self) -> None:
        """Something was recorded that nothing waits for: commit it in due time."""


class CommittedTurn:
    """Actions run after the commit that ends the turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: CaptureWriter) -> None:
        self._loop = loop
        self._writer = writer
        self._actions: list[tuple[Callable[..., object], tuple[object, ...]]] = []
        self._scheduled = False

    def then(self, action: Callable[..., object], *arguments: object) -> None:
        """Run `action` once the turn is committed, in the order of the calls."""
        self._actions.append((action, arguments))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end)

    def soon(self) -> None:
        """Commit at the end of this turn."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._scheduled = False
        self._writer.flush(time.time_ns())
        actions, self._actions = self._actions, []
        for action, arguments in actions:
            try:
                action(*arguments)
            except Exception as problem:  # noqa: BLE001  one connection's trouble must not cost the others theirs
                self._loop.call_exception_handler({"message": "an action of a turn", "exception": problem})


class RelaxedTurn:
    """Actions run at once; the commit follows."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: CaptureWriter) -> None:
        self._loop = loop
        self._writer = writer
        self._commit: asyncio.Handle | None = None
        self._pressing = False

    def then(self, action: Callable[..., object], *arguments: object) -> None:
        """Run `action` now."""
        self.soon()
        action(*arguments)

    def soon(self) -> None:
        """Commit within `RELAXED_DELAY`, and at the end of this turn when much is waiting."""
        if self._commit is None:
            self._commit = self._loop.call_later(RELAXED_DELAY, self._end)
        elif self._writer.gathered > RELAXED_BYTES and not self._pressing:
            self._pressing = True
            self._commit.cancel()
            self._commit = self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._commit = None
        self._pressing = False
        self._writer.flush(time.time_ns())


class UnrecordedTurn:
    """For private listeners, of which nothing is recorded."""

    def then(self, action: Callable[..., object], *arguments: object) -> None:
        """Run `action` now."""
        action(*arguments)

    def soon(self) -> None:
        """Nothing waits to be committed."""
