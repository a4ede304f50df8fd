"""Tells whoever waits for something that it has happened, once a reader of the capture can see it.

Nothing here is called for each request while nobody listens: the writer hands over what a commit held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.capture.model import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from inspectd.capture.records import ExchangeRecord
    from inspectd.capture.writer import CaptureWriter

    Listener: TypeAlias = Callable[[str, int], object]
    """Called with what happened and the id of the exchange."""

_HEAD: Final = State.HEAD_COMPLETE.value
_HELD: Final = State.HELD.value
_COMPLETE: Final = State.RESPONSE_COMPLETE.value


class News:
    """The listeners, and what they have been told of.

    `"arrived"`: the head of a request is there. `"held"`, `"released"`: it waits for a person, or no longer does.
    `"answered"`: the last byte of the answer was handed to the socket. `"aborted"`: it ended before that.
    """

    def __init__(self, writer: CaptureWriter) -> None:
        self._writer = writer
        self._listeners: list[Listener] = []
        self._newest = 0
        self._headless: set[int] = set()
        self._held: set[int] = set()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` from now on; what is returned ends that."""
        if not self._listeners:
            self._newest = self._writer.newest_exchange
            self._writer.committed = self._committed
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)
            if not self._listeners:
                self._writer.committed = None
                self._headless.clear()
                self._held.clear()

        return end

    def _committed(self, exchanges: Sequence[ExchangeRecord], ended: set[int]) -> None:
        known = self._newest
        for exchange in exchanges:
            number, state = exchange.id, exchange.state
            if number > known or number in self._headless:
                self._newest = max(self._newest, number)
                if state & _HEAD:
                    self._headless.discard(number)
                    self._tell("arrived", number)
                else:
                    self._headless.add(number)
            if state & _HELD and number not in self._held:
                self._held.add(number)
                self._tell("held", number)
            elif number in self._held and not state & _HELD:
                self._held.discard(number)
                self._tell("released", number)
            if number in ended:
                self._headless.discard(number)
                self._tell("answered" if state & _COMPLETE else "aborted", number)

    def _tell(self, kind: str, number: int) -> None:
        for listener in list(self._listeners):
            listener(kind, number)
