"""Server-sent events: the blocks of a text/event-stream as its bytes arrive (WHATWG HTML §9.2.5 and §9.2.6).

    stream      = [ bom ] *event
    event       = *( comment / field ) end-of-line
    comment     = colon *any-char end-of-line
    field       = 1*name-char [ colon [ space ] *any-char ] end-of-line
    end-of-line = ( cr lf / cr / lf )

Any bytes are read, in any pieces; nothing raises. Of a line and of an event's data at most a limit is kept, the rest
is counted. What a browser would ignore is told as well.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

from inspectd.wire.oddity import Oddity
from inspectd.wire.span import Role, Span, add_span

DATA_LIMIT: Final = 1 << 20
"""Bytes of a line, and of an event's data, that are kept unless the caller names a limit."""
ODDITIES_KEPT: Final = 50
LARGEST_RETRY: Final = 1 << 62

_LINE_END: Final = re.compile(rb"\r\n|\r(?!\Z)|\n")
_ANY_LINE_END: Final = re.compile(rb"\r\n?|\n")
_SECTION: Final = "WHATWG HTML §9.2.6"
_CR: Final = 13
_COLON: Final = b":"

ODDITIES: Final = {
    "sse-unknown-field": "No field has this name: browsers ignore the line.",
    "sse-id-nul": "An id with a NUL in it is ignored.",
    "sse-retry-not-digits": "The time to wait before reconnecting has to be digits only: the line is ignored.",
    "sse-invalid-utf8": "An event stream is UTF-8, and this is not: browsers replace what they can't read.",
    "sse-unfinished": "The stream ended before the empty line that ends an event: browsers discard it.",
}
"""The sentence of every oddity."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One block of lines, up to the empty line that ends it. Offsets count from the first byte of the content.

    A browser tells the page of it when there is a `data` line; blocks of comments only keep the connection open.
    `event` is its type as given, None for "message"; `id` what it sets the last event id to, None when it doesn't;
    `last_id` the id that a client would ask to go on from; `retry` in milliseconds. `data` are the data lines, joined
    with LF, as far as the reader's limit goes; `size` is the length of all of them.
    """

    start: int
    end: int
    event: bytes | None
    data: bytes
    id: bytes | None
    retry: int | None
    comment: bytes | None
    size: int
    data_lines: int
    last_id: bytes
    complete: bool
    oddities: tuple[Oddity, ...] = ()

    @property
    def dispatched(self) -> bool:
        """Whether a browser tells the page of it: it is complete and has a data line, were it an empty one."""
        return self.complete and self.data_lines > 0

    @property
    def truncated(self) -> bool:
        """Whether `data` is only the beginning of it."""
        return self.size > len(self.data)


class _Block:
    """The lines of an event that is arriving."""

    __slots__ = (
        "comment",
        "data",
        "data_lines",
        "end",
        "event",
        "id",
        "lines",
        "oddities",
        "retry",
        "size",
        "start",
    )

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self.event: bytes | None = None
        self.data = bytearray()
        self.size = 0
        self.data_lines = 0
        self.id: bytes | None = None
        self.retry: int | None = None
        self.comment: bytearray | None = None
        self.oddities: list[Oddity] = []
        self.lines = 0

    def say(self, name: str, start: int, end: int) -> None:
        if len(self.oddities) < ODDITIES_KEPT:
            self.oddities.append(Oddity(name, start, end, ODDITIES[name], _SECTION))


class EventReader:
    """Reads the events of a content, without its codings, from its first byte on.

    A lone CR ends a line, but only the byte behind it says that no LF follows: such a line is read with that byte.

    >>> [(each.event, each.data) for each in EventReader().feed(b"event: add\\ndata: 1\\ndata: 2\\n\\n: ping\\n\\n")]
    [(b'add', b'1\\n2'), (None, b'')]
    """

    def __init__(self, *, limit: int = DATA_LIMIT) -> None:
        self.offset = 0
        """Bytes fed so far."""
        self.last_id = b""
        """The id that a client would send as Last-Event-ID now."""
        self.retry: int | None = None
        """Milliseconds to wait before reconnecting, when the stream has said so."""
        self._limit = limit
        self._line = bytearray()  # of the line that is arriving, at most the limit
        self._length = 0  # of that line
        self._held = b""  # a CR whose LF may follow
        self._block = _Block(0)
        self._first = True  # the first line, which a BOM may open

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take the next bytes and return the events that they complete."""
        events: list[SseEvent] = []
        base = self.offset - len(self._held)
        self.offset += len(data)
        data = self._held + data
        self._held = b""
        at = 0
        for found in _LINE_END.finditer(data):
            self._keep(data, at, found.start())
            at = found.end()
            self._end_line(base + at, found.end() - found.start(), events)
        end = len(data)
        if end > at and data[-1] == _CR:
            self._held = b"\r"
            end -= 1
        self._keep(data, at, end)
        return events

    def eof(self) -> list[SseEvent]:
        """The content has ended: return what it broke off, which browsers discard. Call it once."""
        events: list[SseEvent] = []
        if self._held:
            self._held = b""
            self._end_line(self.offset, 1, events)
        if self._length:
            self._end_line(self.offset, 0, events)
        if self._block.lines:
            self._block.say("sse-unfinished", self._block.start, self.offset)
            events.append(self._event(complete=False))
        return events

    def unfinished(self) -> SseEvent | None:
        """The event that is arriving, as far as its lines are whole; None between events."""
        return self._event(complete=False) if self._block.lines else None

    def _keep(self, data: bytes, start: int, end: int) -> None:
        """Take a part of a line."""
        room = self._limit - len(self._line)
        if room > 0:
            self._line += data[start : min(end, start + room)]
        self._length += end - start

    def _end_line(self, end: int, ending: int, events: list[SseEvent]) -> None:
        """A line ends at offset `end`, with `ending` bytes of line end."""
        line, length = bytes(self._line), self._length
        self._line.clear()
        self._length = 0
        start = end - ending - length
        if self._first:
            self._first = False
            if line.startswith(codecs.BOM_UTF8):
                line, length, start = line[3:], length - 3, start + 3
        block = self._block
        if length:
            block.lines += 1
            block.end = end
            self._read(block, line, start, length)
        else:
            block.end = end
            if block.lines:
                events.append(self._event(complete=True))
            # Further empty lines belong to no event.
            self._block = _Block(end)

    def _read(self, block: _Block, line: bytes, start: int, length: int) -> None:
        """Process a line (§9.2.6) of `length` bytes, the first of which are `line`."""
        end = start + length
        try:
            codecs.getincrementaldecoder("utf-8")().decode(line, len(line) == length)
        except UnicodeDecodeError as error:
            block.say("sse-invalid-utf8", start + error.start, start + error.end)
        name, colon, value = line.partition(_COLON)
        if colon and value.startswith(b" "):
            value = value[1:]
        if colon and not name:
            self._comment(block, line[1:])
        elif name == b"data":
            skipped = len(line) - len(value) if colon else length
            self._data(block, value, length - skipped)
        elif name == b"event":
            block.event = value
        elif name == b"id":
            if b"\x00" in value:
                block.say("sse-id-nul", start, end)
            else:
                block.id = self.last_id = value
        elif name == b"retry":
            if value.isdigit():
                block.retry = self.retry = _number(value)
            else:
                block.say("sse-retry-not-digits", start, end)
        else:
            block.say("sse-unknown-field", start, end)

    def _comment(self, block: _Block, text: bytes) -> None:
        if block.comment is None:
            block.comment = bytearray()
        elif len(block.comment) < self._limit:
            block.comment += b"\n"
        block.comment += text[: max(self._limit - len(block.comment), 0)]

    def _data(self, block: _Block, value: bytes, length: int) -> None:
        if block.data_lines:
            value, length = b"\n" + value, length + 1
        block.data_lines += 1
        if len(block.data) == block.size:
            block.data += value[: self._limit - len(block.data)]
        block.size += length

    def _event(self, *, complete: bool) -> SseEvent:
        block = self._block
        return SseEvent(
            block.start,
            block.end,
            block.event,
            bytes(block.data),
            block.id,
            block.retry,
            None if block.comment is None else bytes(block.comment),
            block.size,
            block.data_lines,
            self.last_id,
            complete,
            tuple(block.oddities),
        )


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return min(int(digits or b"0"), LARGEST_RETRY) if len(digits) < 20 else LARGEST_RETRY


def event_spans(data: bytes, start: int = 0) -> list[Span]:
    """Spans that tile the lines of an event stream, or of an event of it that begins at offset `start`."""
    spans: list[Span] = []
    at = 0
    if not start and data.startswith(codecs.BOM_UTF8):
        spans.append(Span(0, 3, Role.SSE_BOM))
        at = 3
    while at < len(data):
        found = _ANY_LINE_END.search(data, at)
        end, after = (len(data), len(data)) if found is None else found.span()
        _line_spans(data, at, end, start, spans)
        if after > end:
            role = Role.CRLF if after - end == 2 else Role.LF if data[end] != _CR else Role.SSE_CR
            spans.append(Span(start + end, start + after, Role.EMPTY_LINE if end == at else role))
        at = after
    return spans


def _line_spans(data: bytes, at: int, end: int, start: int, spans: list[Span]) -> None:
    colon = data.find(_COLON, at, end)
    name_end = end if colon < 0 else colon
    add_span(spans, start + at, start + name_end, Role.SSE_FIELD_NAME)
    if colon < 0:
        return
    spans.append(Span(start + colon, start + colon + 1, Role.COLON))
    value = colon + 1
    if value < end and data[value : value + 1] == b" " and name_end > at:
        spans.append(Span(start + value, start + value + 1, Role.SP))
        value += 1
    add_span(spans, start + value, start + end, Role.SSE_FIELD_VALUE if name_end > at else Role.SSE_COMMENT)
