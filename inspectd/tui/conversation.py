"""What was said within an exchange, for the screen: a WebSocket's messages or a stream's events, as far as they came.

Bounded in all directions: so many bytes of a payload, so many messages, so much memory for them, so much time a look.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.capture import messages
from inspectd.capture.messages import EventCursor, TimedEvent, TimedMessage, WebSocketCursor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture

ENTRIES_MOST: Final = 5000
"""Messages that are kept, the newest ones."""
PAYLOAD_KEPT: Final = 16 * 1024
"""Bytes of a payload that are kept."""
FRAMES_KEPT: Final = 8
"""Frames of a message that are kept."""
WEIGHT_MOST: Final = 32 << 20
"""Bytes of memory that all of them take, about: the oldest ones go when it is more."""
LOOK_SECONDS: Final = 0.03
"""How long one look may take: the screen stays quick however much has come, in however small pieces."""
LOOK_BYTES: Final = 64 * 1024
"""Bytes that are read between two glances at the clock."""
_OBJECT: Final = 300  # bytes of memory that a message, a frame, or an oddity takes

Entry: TypeAlias = TimedMessage | TimedEvent


class Conversation:
    """The messages of one exchange. `look` brings those that came since."""

    def __init__(self, capture: Capture, row: ExchangeRow) -> None:
        self.row = row
        self.capture = capture
        self.entries: deque[Entry] = deque()
        self._weight = 0
        self.first = 0
        """How many of the oldest ones were let go."""
        self.cursor: WebSocketCursor | EventCursor | None = None
        if messages.is_websocket(capture, row):
            self.cursor = messages.websocket(capture, row, limit=PAYLOAD_KEPT, frames=FRAMES_KEPT)
        elif messages.is_event_stream(capture, row):
            self.cursor = messages.events(capture, row)

    @property
    def ended(self) -> bool:
        """Whether nothing more can come."""
        return self.cursor is None or self.cursor.ended

    @property
    def behind(self) -> bool:
        """Whether more is there than the last look read."""
        return self.cursor is not None and self.cursor.behind

    def arriving(self) -> list[TimedMessage]:
        """Messages of a WebSocket that haven't ended, as far as they came."""
        return self.cursor.unfinished() if isinstance(self.cursor, WebSocketCursor) else []

    def look(self) -> bool:
        """Read on; whether anything new is there. Raises CaptureError when the file can't be read."""
        if self.cursor is None:
            return False
        before = self.first + len(self.entries)
        until = time.monotonic() + LOOK_SECONDS
        self._take(self.cursor.more(LOOK_BYTES))
        while self.cursor.behind and time.monotonic() < until:
            self._take(self.cursor.more(LOOK_BYTES))
        return self.first + len(self.entries) > before

    def _take(self, found: Sequence[Entry]) -> None:
        for entry in found:
            self.entries.append(entry)
            self._weight += _weight(entry)
            while len(self.entries) > ENTRIES_MOST or (self._weight > WEIGHT_MOST and len(self.entries) > 1):
                self._weight -= _weight(self.entries.popleft())
                self.first += 1

    def frame_bytes(self, entry: TimedMessage, start: int, end: int) -> bytes:
        """The bytes of its direction from `start` up to `end`, counted as its frames are; fewer when they are gone."""
        if not isinstance(self.cursor, WebSocketCursor):
            return b""
        at = self.cursor.starts[entry.direction] + start
        return self.capture.stream_bytes(self.row.connection, entry.direction, at, end - start)


def _weight(entry: Entry) -> int:
    """Bytes of memory, about."""
    if isinstance(entry, TimedMessage):
        message = entry.message
        return len(message.payload) + _OBJECT * (2 + len(message.frames) + len(message.oddities))
    event = entry.event
    texts = (event.data, event.event, event.id, event.comment)
    return sum(len(text or b"") for text in texts) + _OBJECT * (2 + len(event.oddities))
