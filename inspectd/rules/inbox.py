"""What a client sends to an answer that listens: bytes in their order, as much as there is room for, and its end.

The connection puts bytes in, the program takes them out. Nobody waits here: who wants to hear of news says what to
call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM: Final = 256 * 1024
"""Bytes that may lie here; with more, `full` asks for no further ones."""


class Inbox:
    """The incoming half of a conversation."""

    __slots__ = ("_muted", "_pieces", "_size", "drained", "ended", "outcome", "stopping", "woken")

    def __init__(self) -> None:
        self._muted = False
        self._pieces: list[bytes] = []
        self._size = 0
        self.ended = False
        """The client sends no more."""
        self.stopping = False
        """The engine stops: it is time to say goodbye."""
        self.outcome = ""
        """What the conversation came to, in a few words that name nothing the client chose."""
        self.woken: Callable[[], object] | None = None
        """Is called when there is news."""
        self.drained: Callable[[], object] | None = None
        """Is called when there is room again after `full`."""

    @property
    def news(self) -> bool:
        """Whether there is something that the program doesn't know yet."""
        return bool(self._pieces) or self.ended or self.stopping

    @property
    def full(self) -> bool:
        """Whether no more should come for now."""
        return self._size >= ROOM

    def put(self, data: bytes) -> None:
        """These bytes came."""
        if self._muted:
            return
        self._pieces.append(data)
        self._size += len(data)
        self._wake()

    def end(self) -> None:
        """No more bytes will come."""
        self.ended = True
        self._wake()

    def stop(self) -> None:
        """The engine stops."""
        self.stopping = True
        self._wake()

    def take(self) -> bytes:
        """All bytes that lie here; they are gone from it."""
        if not self._pieces:
            return b""
        was_full = self.full
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if was_full and self.drained is not None:
            self.drained()
        return data

    def mute(self) -> None:
        """Nobody is going to take anything any more: what lies here is dropped, and so is what comes."""
        self.take()
        self._muted = True

    def _wake(self) -> None:
        if self.woken is not None:
            self.woken()
