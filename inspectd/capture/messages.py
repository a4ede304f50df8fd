"""What goes on within an exchange after its head: the messages of a WebSocket, the events of an event stream.

A cursor is asked for more, again and again: it gives what came since, in the order of time, and reads a bounded number
of bytes a call, so that it serves a connection that is open now and an old one of any size alike. Cursors keep no
bytes but those of what is arriving; nothing that a peer sent raises here.
"""

from __future__ import annotations

import heapq
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.reader import BytesGone
from inspectd.text.coding import OUTPUT_LIMIT, decode_content
from inspectd.text.coding_stream import CodingStream, Unreadable
from inspectd.wire import ContentData, ResponseReader, read
from inspectd.wire.event_stream import DATA_LIMIT, EventReader, SseEvent
from inspectd.wire.framing import has_option
from inspectd.wire.websocket import (
    FRAMES_KEPT,
    PAYLOAD_LIMIT,
    Deflate,
    MessageReader,
    Oddity,
    WsMessage,
    negotiated,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.wire import Kind, Message

BYTES_AT_ONCE: Final = 1 << 20
"""Bytes that a cursor reads in one call unless it is told otherwise."""
ENOUGH: Final = 2000
"""Messages or events after which a call ends, about: the smallest ones are a few bytes."""
_SLICE: Final = 8 * 1024
CODED_LIMIT: Final = OUTPUT_LIMIT
"""Bytes of a coded content (gzip and so on) whose events are read."""
_TOO_LONG: Final = f"Of this coded content no more than the first {CODED_LIMIT:,} bytes are read."
_HEADS_READ: Final = 256 * 1024
_SWITCHED: Final = b"101"
_OVER: Final = State.RESPONSE_COMPLETE | State.ABORTED


class TimedMessage(NamedTuple):
    """A message of a WebSocket, who sent it (`INCOMING`: the client), and when its last byte came (ns since the epoch).

    Its offsets count from the cursor's `starts` of this direction.
    """

    direction: int
    ns: int
    message: WsMessage


class TimedEvent(NamedTuple):
    """An event of an event stream, and when its last byte crossed the socket (ns since the epoch).

    Of a coded content (gzip and so on) `ns` may be later: when the last byte came that was read in the same call. Its
    offsets count from the first byte of the content, without its codings.
    """

    ns: int
    event: SseEvent


def is_websocket(capture: Capture, row: ExchangeRow) -> bool:
    """Whether the response switched the connection to WebSocket. Cheap for exchanges that didn't switch."""
    return row.status == "101" and _switch(capture, row) is not None


def is_event_stream(capture: Capture, row: ExchangeRow) -> bool:
    """Whether the response has a content of the type text/event-stream."""
    if not row.res_len:
        return False
    head = _final_head(capture, row)
    return head is not None and _media_type(head) == b"text/event-stream"


def websocket(
    capture: Capture, row: ExchangeRow, *, limit: int = PAYLOAD_LIMIT, frames: int = FRAMES_KEPT
) -> WebSocketCursor:
    """A cursor over the messages of both directions.

    `limit` is how many bytes of a payload are kept, `frames` how many frames of a message.
    """
    return WebSocketCursor(capture, row, limit=limit, frames=frames)


def events(capture: Capture, row: ExchangeRow, *, limit: int = DATA_LIMIT) -> EventCursor:
    """A cursor over the events of the response's content; `limit` is how many bytes of an event's data are kept."""
    return EventCursor(capture, row, limit=limit)


# ------------------------------------------------------------------------------------------------------- heads


def _heads(capture: Capture, row: ExchangeRow, kind: Kind) -> list[Message]:
    """The messages that the first bytes of a request or of a response are; empty when the bytes are gone."""
    fetch = capture.request_bytes if kind == "request" else capture.response_bytes
    try:
        data = fetch(row, limit=_HEADS_READ)
    except BytesGone:
        return []
    methods = [row.method.encode("latin-1", "replace")] if kind == "response" and row.method else []
    return read(data, kind, eof=False, methods=methods).messages


def _final_head(capture: Capture, row: ExchangeRow) -> Message | None:
    """The response that isn't interim."""
    found = _heads(capture, row, "response")
    return next((message for message in found if not message.interim and message.head_end), None)


def _switch(capture: Capture, row: ExchangeRow) -> Message | None:
    """The 101 response that switches to WebSocket, None when there is none."""
    head = _final_head(capture, row)
    if head is None or head.head.text(head.head.status) != _SWITCHED:
        return None
    return (
        head
        if has_option([value for name, value in _fields(head) if name == b"upgrade"], b"websocket")
        else None
    )


def _fields(message: Message) -> list[tuple[bytes, bytes]]:
    """Names in lower case, and values."""
    return [(field.name_bytes.lower(), field.value_bytes) for field in message.head.fields]


def _slices(data: bytes) -> Iterator[bytes]:
    """Pieces so small that one of them never holds very many messages."""
    for at in range(0, len(data), _SLICE):
        yield data[at : at + _SLICE]


def _media_type(message: Message) -> bytes:
    found = next((value for name, value in _fields(message) if name == b"content-type"), b"")
    return found.partition(b";")[0].strip(b" \t").lower()


# ------------------------------------------------------------------------------------------------------- WebSocket


class WebSocketCursor:
    """The messages of a WebSocket in the order of time, as far as they have come.

    >>> cursor = websocket(capture, row)  # doctest: +SKIP
    >>> for direction, ns, message in cursor.rest():  # doctest: +SKIP
    ...     print("client" if direction == INCOMING else "server", message.kind, message.payload)
    """

    def __init__(
        self, capture: Capture, row: ExchangeRow, *, limit: int = PAYLOAD_LIMIT, frames: int = FRAMES_KEPT
    ) -> None:
        self.capture = capture
        self.row = row
        self.deflate: Deflate | None = None
        """What the handshake agreed upon."""
        self.starts = (0, 0)
        """Where the frames begin in the connection's two streams."""
        self.behind = False
        """Whether the last call left something unread that is there."""
        self.ended = False
        """Whether the connection has ended and all of it was read."""
        self.problem = ""
        """Why not all of it can be read."""
        self._ns = [row.started_ns, row.started_ns]  # of the last bytes
        switch = _switch(capture, row)
        if switch is None:
            self.ended = True
            self.problem = "The response that switched to WebSocket isn't there to be read."
            self._at = [0, 0]
            self._readers: tuple[MessageReader, ...] = ()
            return
        request = _heads(capture, row, "request")
        self.deflate = negotiated(_fields(request[0]) if request else (), _fields(switch))
        self.starts = (
            row.req_offset + max(row.req_head, row.req_len or 0),
            (row.res_offset or 0) + switch.head_end,
        )
        self._at = list(self.starts)
        self._readers = tuple(
            MessageReader(client=client, deflate=self.deflate, limit=limit, frames=frames)
            for client in (True, False)
        )

    @property
    def oddities(self) -> list[tuple[int, Oddity]]:
        """What is wrong with the ends of the two streams, after the last message."""
        return [(direction, each) for direction, reader in enumerate(self._readers) for each in reader.ending]

    def more(self, limit: int = BYTES_AT_ONCE) -> list[TimedMessage]:
        """The messages that ended since the last call; about `limit` bytes are read."""
        if self.ended:
            return []
        connection = self.capture.connection(self.row.connection)
        found: list[TimedMessage] = []
        try:
            self.behind = self._read(limit, found)
        except BytesGone:
            self.behind, self.problem = False, "The capture doesn't hold all bytes of it any more."
        # Asked before the bytes were read: whatever belongs to a closed connection was there by then.
        over = connection is None or connection.closed_ns is not None
        if self.problem or (over and not self.behind):
            self.ended = True
            found += self._end()
        return found

    def rest(self) -> Iterator[TimedMessage]:
        """All messages that are there now and weren't given yet."""
        yield from self.more()
        while self.behind:
            yield from self.more()

    def unfinished(self) -> list[TimedMessage]:
        """What is arriving, as far as it has come."""
        return [
            TimedMessage(direction, self._ns[direction], message)
            for direction, reader in enumerate(self._readers)
            if not self.ended and (message := reader.unfinished()) is not None
        ]

    def _read(self, limit: int, found: list[TimedMessage]) -> bool:
        """Read both streams; whether the limit came before their ends."""
        both = (self._pieces(direction, limit + 1) for direction in (INCOMING, OUTGOING))
        for ns, direction, piece in heapq.merge(*both, key=itemgetter(0)):
            for data in _slices(piece):
                if not limit or len(found) >= ENOUGH:
                    return True
                fed = data[:limit]
                limit -= len(fed)
                self._at[direction] += len(fed)
                self._ns[direction] = ns
                found += [
                    TimedMessage(direction, ns, message) for message in self._readers[direction].feed(fed)
                ]
                if len(fed) < len(data):
                    return True
        return False

    def _pieces(self, direction: int, most: int) -> Iterator[tuple[int, int, bytes]]:
        at = self._at[direction]
        for ns, data in self.capture.iter_timed_bytes(self.row.connection, direction, at, at + most):
            yield ns, direction, data

    def _end(self) -> list[TimedMessage]:
        if self.problem:
            return []
        found = [
            TimedMessage(direction, self._ns[direction], message)
            for direction, reader in enumerate(self._readers)
            for message in reader.eof()
        ]
        return sorted(found, key=lambda each: each.ns)


# ------------------------------------------------------------------------------------------------------- events


class EventCursor:
    """The events of a response's content in their order, as far as they have come."""

    def __init__(self, capture: Capture, row: ExchangeRow, *, limit: int = DATA_LIMIT) -> None:
        self.capture = capture
        self.row = row
        self.behind = False
        """Whether the last call left something unread that is there."""
        self.ended = False
        """Whether the response has ended and all of it was read."""
        self.problem = ""
        """Why not all of it can be read."""
        self._at = row.res_offset or 0
        self._ns = row.started_ns
        self._events = EventReader(limit=limit)
        self._response = ResponseReader(max_head=None)
        if row.method:
            self._response.expect(row.method.encode("latin-1", "replace"))
        self._coding = b""
        self._coded = bytearray()  # content in its coding, all of it
        self._decoded_upto = 0  # bytes of it that were decoded
        self._given = 0  # bytes of what came out of it
        head = _final_head(capture, row)
        if head is not None:
            self._coding = b",".join(value for name, value in _fields(head) if name == b"content-encoding")
        self._stream = CodingStream.of(self._coding)

    @property
    def last_id(self) -> bytes:
        """What a client would send as Last-Event-ID now."""
        return self._events.last_id

    def more(self, limit: int = BYTES_AT_ONCE) -> list[TimedEvent]:
        """The events that ended since the last call; about `limit` bytes are read."""
        if self.ended:
            return []
        connection = self.capture.connection(self.row.connection)
        row = self.capture.exchange(self.row.id)
        over = connection is None or connection.closed_ns is not None
        found: list[TimedEvent] = []
        if row is None:
            self.problem = "The capture doesn't hold this exchange any more."
        else:
            self.row = row
            try:
                self.behind = self._read(row, limit, found)
            except BytesGone:
                self.problem = "The capture doesn't hold all bytes of it any more."
        if self.problem:
            self.behind, self.ended = False, True
        elif not self.behind and row is not None and (over or row.state & _OVER):
            self.ended = True
            found += self._timed(self._events.eof())
        return found

    def rest(self) -> Iterator[TimedEvent]:
        """All events that are there now and weren't given yet."""
        yield from self.more()
        while self.behind:
            yield from self.more()

    def unfinished(self) -> TimedEvent | None:
        """The event that is arriving, as far as its lines are whole."""
        event = None if self.ended else self._events.unfinished()
        return None if event is None else TimedEvent(self._ns, event)

    def _timed(self, found: list[SseEvent]) -> list[TimedEvent]:
        return [TimedEvent(self._ns, event) for event in found]

    def _read(self, row: ExchangeRow, limit: int, found: list[TimedEvent]) -> bool:
        """Read the response on; whether the limit came before its end."""
        end = (row.res_offset or 0) + (row.res_len or 0)
        if row.res_offset is None or self._at >= end:
            return False
        if not self._at:
            self._at = row.res_offset
        before = self._at
        upto = min(end, self._at + limit)
        for ns, data in self._pieces(row, upto):
            if len(found) >= ENOUGH:
                break
            self._at += len(data)
            self._ns = ns
            content = b"".join(
                [event.data for event in self._response.feed(data) if isinstance(event, ContentData)]
            )
            if self._coding:
                self._coded += content
            else:
                found += self._timed(self._events.feed(content))
        if len(self._coded) > self._decoded_upto:
            found += self._timed(self._decode())
        return before < self._at < end  # a file may hold less than it says

    def _pieces(self, row: ExchangeRow, upto: int) -> Iterator[tuple[int, bytes]]:
        for ns, piece in self.capture.iter_timed_bytes(row.connection, OUTGOING, self._at, upto):
            for data in _slices(piece):
                yield ns, data

    def _decode(self) -> list[SseEvent]:
        """Take the coding off what has come."""
        fresh = bytes(self._coded[self._decoded_upto :])
        self._decoded_upto = len(self._coded)
        if self._stream is not None:
            try:
                data = self._stream.feed(fresh, CODED_LIMIT + 1 - self._given)
            except Unreadable:
                self._stream = None
            else:
                self._given += len(data)
                if max(self._given, len(self._coded)) > CODED_LIMIT:
                    self.problem = _TOO_LONG
                return self._events.feed(data)
        return self._decode_all()

    def _decode_all(self) -> list[SseEvent]:
        """The same with all of it again: several codings, or something is wrong with the one."""
        decoded = decode_content(bytes(self._coded), self._coding)
        data = decoded.data[self._given :]
        self._given = max(self._given, len(decoded.data))
        if decoded.truncated or len(self._coded) > CODED_LIMIT:
            self.problem = _TOO_LONG
        elif not decoded.steps:
            self.problem = decoded.error
            return []
        return self._events.feed(data)
