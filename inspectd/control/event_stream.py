"""Server-sent events: what happens to the engine, to everybody who listens."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from inspectd.rules.program import Close, LiveProgram, Send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from inspectd.rules.program import Op

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
)
_KEPT: Final = 256
"""Events that may wait for a listener that reads slowly; then it is cut off."""
_CLOSE_SECONDS: Final = 1.0
_KEEP_ALIVE_SECONDS: Final = 15.0


class EventStream:
    """Hands each event to every listener. Nobody is waited for."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._left = asyncio.Event()

    def publish(self, name: str, data: Any) -> None:
        """Tell everybody who listens. Call it in the engine's loop."""
        if self._listeners:
            event = _event(name, data)
            for queue in list(self._listeners):
                _put(queue, event)

    def listen(self, name: str, data: Any) -> LiveProgram:
        """The answer to a new listener; its first event is this one."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(_KEPT)
        _put(queue, _event(name, data))
        return LiveProgram(self._stream(queue), label="events")

    async def close(self) -> None:
        """End all streams."""
        for queue in self._listeners:
            _put(queue, None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._listeners:
                    self._left.clear()
                    await self._left.wait()

    async def _stream(self, queue: asyncio.Queue[bytes | None]) -> AsyncIterator[Op]:
        self._listeners.add(queue)
        try:
            yield Send(_HEAD)
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    event = b": still here\n\n"
                if event is None:
                    break
                yield Send(event)
            yield Close()
        finally:
            self._listeners.discard(queue)
            self._left.set()


def _event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


def _put(queue: asyncio.Queue[bytes | None], event: bytes | None) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        event = None  # it missed something: end its stream, so that it asks again
    queue.put_nowait(event)
