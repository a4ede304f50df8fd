"""Messages and events of an exchange as the control API says them, read a bounded piece at a time."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from inspectd.capture.messages import (
    EventCursor,
    TimedMessage,
    WebSocketCursor,
    events,
    is_event_stream,
    is_websocket,
    websocket,
)
from inspectd.capture.model import INCOMING
from inspectd.control.conversation_messages import (
    ConversationShown,
    EventShown,
    OddityShown,
    WebSocketMessageShown,
)

if TYPE_CHECKING:
    from inspectd.capture.messages import TimedEvent
    from inspectd.capture.reader import Capture
    from inspectd.wire.oddity import Oddity


PAYLOAD_SHOWN: Final = 64 * 1024
"""Bytes of a payload, or of an event's data, that are shown at most."""


class Conversation:
    """Reads what was said in an exchange from behind number `after` on, at most `limit` of it."""

    def __init__(self, number: int, after: int, limit: int) -> None:
        self._number = number
        self._after = after
        self._limit = limit
        self._cursor: WebSocketCursor | EventCursor | None = None
        self._count = 0
        self._messages: list[WebSocketMessageShown] = []
        self._events: list[EventShown] = []
        self._more = False

    def open(self, capture: Capture) -> bool:
        """Begin; whether there is such an exchange."""
        row = capture.exchange(self._number)
        if row is None:
            return False
        if is_websocket(capture, row):
            self._cursor = websocket(capture, row, limit=PAYLOAD_SHOWN)
        elif is_event_stream(capture, row):
            self._cursor = events(capture, row, limit=PAYLOAD_SHOWN)
        return True

    def read(self, capture: Capture) -> bool:  # noqa: ARG002  the cursor has it
        """Read a piece; whether there is another to read."""
        cursor = self._cursor
        if cursor is None:
            return False
        for told in cursor.more():
            self._count += 1
            if self._count <= self._after:
                continue
            if self._count > self._after + self._limit:
                self._more = True
                return False
            if isinstance(told, TimedMessage):
                assert isinstance(cursor, WebSocketCursor)
                self._messages.append(_message(self._count, told, cursor.starts[told.direction]))
            else:
                self._events.append(_event(self._count, told))
        return cursor.behind

    def shown(self) -> ConversationShown:
        """What was read."""
        cursor = self._cursor
        if cursor is None:
            return ConversationShown(kind=None)
        return ConversationShown(
            kind="websocket" if isinstance(cursor, WebSocketCursor) else "event-stream",
            compressed=isinstance(cursor, WebSocketCursor) and cursor.deflate is not None,
            messages=tuple(self._messages),
            events=tuple(self._events),
            more=self._more,
            ended=cursor.ended and not self._more,
            problem=cursor.problem,
        )


def _message(number: int, told: TimedMessage, start: int) -> WebSocketMessageShown:
    message = told.message
    return WebSocketMessageShown(
        number=number,
        sender="client" if told.direction == INCOMING else "server",
        time_ns=told.ns,
        kind=message.kind,
        opcode=message.opcode,
        start=start + message.start,
        end=start + message.end,
        complete=message.complete,
        masked=message.masked,
        compressed=message.compressed,
        fragments=message.fragments,
        size=message.size,
        wire_size=message.wire_size,
        payload=_base64(message.payload),
        close_code=message.close_code,
        close_reason=message.close_reason,
        oddities=_oddities(message.oddities, start),
    )


def _event(number: int, told: TimedEvent) -> EventShown:
    event = told.event
    return EventShown(
        number=number,
        time_ns=told.ns,
        start=event.start,
        end=event.end,
        event=_text(event.event),
        data=_base64(event.data),
        size=event.size,
        id=_text(event.id),
        retry=event.retry,
        comment=_text(event.comment),
        dispatched=event.dispatched,
        complete=event.complete,
        oddities=_oddities(event.oddities, 0),
    )


def _oddities(found: tuple[Oddity, ...], start: int) -> tuple[OddityShown, ...]:
    return tuple(
        OddityShown(
            id=each.id,
            start=start + each.start,
            end=start + each.end,
            sentence=each.sentence,
            section=each.section,
        )
        for each in found
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _text(data: bytes | None) -> str | None:
    """UTF-8 as a browser reads it."""
    return None if data is None else data.decode("utf-8", "replace")
