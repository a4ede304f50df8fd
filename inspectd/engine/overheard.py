"""The reader of a connection that has left HTTP for an answer that listens: bytes go to the answer's inbox.

It takes the place of the connection's reader, so that a connection that speaks HTTP pays nothing for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.wire import RequestReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.rules.inbox import Inbox
    from inspectd.wire import Event


class Overheard(RequestReader):
    """Puts every byte into the inbox. `too_fast` is called when there is no more room in it.

    `reader` has read the request, which ends at offset `end` of the stream.
    """

    __slots__ = ("_inbox", "_too_fast")

    def __init__(self, reader: RequestReader, inbox: Inbox, too_fast: Callable[[], None], end: int) -> None:
        super().__init__(max_head=reader.max_head, max_request_line=reader.max_request_line)
        self.offset = reader.offset
        self._inbox = inbox
        self._too_fast = too_fast
        self.switch()
        late = reader.late
        if late:
            self._deliver(late)
        if len(late) < reader.offset - end:
            inbox.outcome = "more came ahead of the answer than is kept"
            inbox.end()

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream. They settle nothing that is HTTP."""
        self.offset += len(data)
        self._deliver(data)
        return []

    def eof(self) -> list[Event]:
        """The client has sent its last byte."""
        self._inbox.end()
        return []

    def _deliver(self, data: bytes) -> None:
        self._inbox.put(data)
        if self._inbox.full:
            self._too_fast()
