"""What was said within an exchange, for the screen: a WebSocket's messages or a stream's events, as far as they came.

Bounded in all directions: so many bytes of a payload, so many messages, so many bytes read a look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.capture import messages
from inspectd.capture.messages import EventCursor, TimedEvent, TimedMessage, WebSocketCursor

if TYPE_CHECKING:
    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture

ENTRIES_MOST: Final = 5000
"""Messages that are kept, the newest ones."""
PAYLOAD_KEPT: Final = 16 * 1024
"""Bytes of a payload that are kept."""
LOOK_BYTES: Final = 256 * 1024
"""Bytes that one look reads: the screen stays quick however much has come."""

Entry: TypeAlias = TimedMessage | TimedEvent


class Conversation:
    """The messages of one exchange. `look` brings those that came since."""

    def __init__(self, capture: Capture, row: ExchangeRow) -> None:
        self.row = row
        self.capture = capture
        self.entries: list[Entry] = []
        self.first = 0
        """How many of the oldest ones were let go."""
        self.cursor: WebSocketCursor | EventCursor | None = None
        if messages.is_websocket(capture, row):
            self.cursor = messages.websocket(capture, row, limit=PAYLOAD_KEPT)
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

    def look(self) -> bool:
        """Read on; whether anything new is there. Raises CaptureError when the file can't be read."""
        if self.cursor is None:
            return False
        found: list[Entry] = [*self.cursor.more(LOOK_BYTES)]
        self.entries += found
        surplus = len(self.entries) - ENTRIES_MOST
        if surplus > 0:
            del self.entries[:surplus]
            self.first += surplus
        return bool(found)

    def frame_bytes(self, entry: TimedMessage, start: int, end: int) -> bytes:
        """The bytes of its direction from `start` up to `end`, counted as its frames are; fewer when they are gone."""
        if not isinstance(self.cursor, WebSocketCursor):
            return b""
        at = self.cursor.starts[entry.direction] + start
        return self.capture.stream_bytes(self.row.connection, entry.direction, at, end - start)
