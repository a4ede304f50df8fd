"""A whole stream read at once: its messages, their framing, and spans that tile it.

This is what is computed when somebody looks. It stands on the same readers as the arrival path, so both find the
same messages; here every byte gets a role as well. Invariant: the spans of a stream, joined in order, are the
stream, for any bytes and for any way of splitting them into reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.wire.arrived import ArrivedResponseHead
from inspectd.wire.chunked import tile_chunk_line
from inspectd.wire.framing import UNFINISHED_HEAD, Framing
from inspectd.wire.head import Field, Head, Range, read_fields, read_head
from inspectd.wire.request import RequestReader
from inspectd.wire.response import ResponseReader
from inspectd.wire.span import Role, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.wire.arrived import ArrivedHead
    from inspectd.wire.reader import Unsettled
    from inspectd.wire.span import Kind


class Message:
    """One message of a stream. Offsets count from the start of the stream.

    `end` is where the message ended or, when it isn't `complete`, where its bytes broke off.
    `content` are the ranges of content bytes: the data of the chunks when it is chunked.
    `interim` marks a 1xx response, after which the final one follows.
    """

    __slots__ = (
        "_first_span",
        "_last_span",
        "_stream_spans",
        "complete",
        "content",
        "end",
        "framing",
        "head",
        "head_end",
        "interim",
        "keep_alive",
        "kind",
        "start",
        "trailers",
    )

    def __init__(
        self, kind: Kind, head: Head, framing: Framing, stream_spans: list[Span], first: int
    ) -> None:
        self.kind = kind
        self.start = head.start
        self.head_end = head.end
        self.end = head.end
        self.complete = False
        self.head = head
        self.framing = framing
        self.content: list[Range] = []
        self.trailers: list[Field] = []
        self.interim = False
        self.keep_alive = True
        """Whether the sender leaves the connection open for another message."""
        self._stream_spans = stream_spans
        self._first_span = first
        self._last_span: int | None = None

    @property
    def spans(self) -> list[Span]:
        """The spans of this message, in order."""
        return self._stream_spans[self._first_span : self._last_span]

    @property
    def content_length(self) -> int:
        """Bytes of content that are there, without chunk lines."""
        return sum(end - start for start, end in self.content)

    def __repr__(self) -> str:
        return (
            f"Message({self.kind}, {self.start}, {self.end}, {self.framing.step}, complete={self.complete})"
        )


class Stream:
    """One direction of a connection: its bytes, its messages, and the spans that tile it."""

    __slots__ = ("data", "messages", "spans")

    def __init__(self, data: bytes, messages: list[Message], spans: list[Span]) -> None:
        self.data = data
        self.messages = messages
        self.spans = spans

    def content(self, message: Message) -> bytes:
        """The content of a message, with the chunked coding taken off."""
        return b"".join([self.data[start:end] for start, end in message.content])


_CR: Final = 13
_TLS: Final = b"\x16\x03"
"""How a TLS handshake record begins, and no request."""

# Neighbours of these roles are one span however the bytes were split.
_MERGED: Final = (
    Role.CONTENT,
    Role.CHUNK_DATA,
    Role.TUNNEL,
    Role.UNFRAMED,
    Role.GARBAGE,
    Role.TLS,
    Role.HTTP2,
    Role.OTHER_PROTOCOL,
)


class _Recorder:
    """Keeps every part that a reader settles (the `Trace` of `inspectd.wire.reader`)."""

    __slots__ = ("_floor", "kind", "message", "messages", "spans")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.spans: list[Span] = []
        self.messages: list[Message] = []
        self.message: Message | None = None
        self._floor = 0  # spans before this one belong to a message that has ended

    def span(self, start: int, end: int, role: Role) -> None:
        spans = self.spans
        if role in _MERGED:
            if role is Role.CONTENT or role is Role.CHUNK_DATA:
                self._content(start, end)
            if len(spans) > self._floor and spans[-1].role is role and spans[-1].end == start:
                start = spans.pop().start
        spans.append(Span(start, end, role))

    def _content(self, start: int, end: int) -> None:
        if self.message is None:
            return
        content = self.message.content
        if content and content[-1][1] == start:
            content[-1] = (content[-1][0], end)
        else:
            content.append((start, end))

    def blank(self, data: bytes, start: int) -> None:
        at = 0
        while at < len(data):
            line_feed = data.find(b"\n", at)
            after = len(data) if line_feed < 0 else line_feed + 1
            stop = after if line_feed < 0 else line_feed
            if stop > at and data[stop - 1] == _CR:
                stop -= 1
            if stop > at:
                self.span(start + at, start + stop, Role.GARBAGE)
            if after > stop:
                self.spans.append(Span(start + stop, start + after, Role.BLANK_LINE))
            at = after

    def head(self, head: ArrivedHead | ArrivedResponseHead) -> None:
        first = len(self.spans)
        parts = read_head(head.raw, head.start, self.kind, self.spans)
        self.message = Message(self.kind, parts, head.framing, self.spans, first)
        self.message.keep_alive = head.keep_alive
        if isinstance(head, ArrivedResponseHead):
            self.message.interim = head.interim
        self.messages.append(self.message)

    def half_head(self, data: bytes, start: int) -> None:
        first = len(self.spans)
        parts = read_head(data, start, self.kind, self.spans)
        self.messages.append(Message(self.kind, parts, UNFINISHED_HEAD, self.spans, first))

    def chunk_line(self, line: bytes, start: int) -> None:
        tile_chunk_line(line, start, self.spans)

    def trailers(self, data: bytes, start: int) -> None:
        fields, _ = read_fields(data, start, 0, self.spans, trailer=True)
        if self.message is not None:
            self.message.trailers = fields

    def end(self, end: int, *, complete: bool) -> None:
        message = self.message
        if message is not None:
            message.end = end
            message.complete = complete
            message._last_span = len(self.spans)  # noqa: SLF001 (the recorder builds the message)
            self.message = None
        self._floor = len(self.spans)


class StreamReader:
    """Reads a stream that comes in pieces; the result is the same for every way of cutting it.

    `methods` are the methods of the requests that the responses of this stream answer, in order. A kind that is
    neither raises ValueError; no bytes raise anything.
    """

    def __init__(self, kind: Kind, *, methods: Sequence[bytes] = ()) -> None:
        if kind not in ("request", "response"):
            raise ValueError(f"kind is 'request' or 'response', not {kind!r}")
        self._recorder = _Recorder(kind)
        self._pieces: list[bytes] = []
        self._reader: RequestReader | ResponseReader
        if kind == "request":
            self._reader = RequestReader(max_head=None, max_request_line=None, trace=self._recorder)
        else:
            self._reader = ResponseReader(max_head=None, trace=self._recorder)
            for method in methods:
                self._reader.expect(method)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        data = bytes(data)
        self._pieces.append(data)
        self._reader.feed(data)

    def finish(self, *, eof: bool = True) -> Stream:
        """The stream as it is now; nothing can be fed after this.

        With `eof` the peer has closed: content that runs until the close is complete. Without it more bytes may
        follow, and what is unfinished is tiled as far as it goes.
        """
        reader, recorder = self._reader, self._recorder
        data = b"".join(self._pieces)
        unit, rest = reader.take_unsettled()
        self._tile_unsettled(unit, rest, reader.offset - len(rest))
        if eof:
            reader.eof()
        elif recorder.message is not None:
            recorder.end(reader.offset, complete=False)
        if recorder.kind == "request" and data[:2] == _TLS:
            return read_tls(data)
        return Stream(data, recorder.messages, recorder.spans)

    def _tile_unsettled(self, unit: Unsettled, data: bytes, start: int) -> None:
        recorder = self._recorder
        if not data:
            return
        match unit:
            case "head":
                recorder.half_head(data, start)
            case "blank":
                role = Role.BLANK_LINE if data == b"\r" else Role.GARBAGE
                recorder.spans.append(Span(start, start + len(data), role))
            case "chunk-line":
                recorder.chunk_line(data, start)
            case "trailers":
                recorder.trailers(data, start)
            case "chunk-end":
                recorder.spans.append(Span(start, start + len(data), Role.CRLF))


def read_tls(data: bytes) -> Stream:
    """Read a direction that is known to be TLS, where alerts and a ClientHello are in clear text. It has no messages.

    A stream of requests that begins with TLS is read so by itself; what answers it has to be told apart from HTTP by
    whoever knows that it is an answer to TLS.
    """
    from inspectd.wire.tls import tls_spans

    return Stream(data, [], tls_spans(data))


def read(data: bytes, kind: Kind, *, eof: bool = True, methods: Sequence[bytes] = ()) -> Stream:
    """Read one direction of a connection from its first byte.

    `methods` are the request methods that the responses answer, in order: HEAD and CONNECT change where a
    response ends. `eof` says that the peer closed after these bytes.

    >>> [message.framing.step.label for message in read(b"GET / HTTP/1.1\\r\\n\\r\\n", "request").messages]
    ['no-body-request']
    """
    reader = StreamReader(kind, methods=methods)
    reader.feed(data)
    return reader.finish(eof=eof)


def spans(data: bytes, kind: Kind, *, eof: bool = True) -> list[Span]:
    """The spans of a stream, in order and without gaps: each byte has exactly one role.

    >>> spans(b"GET / HTTP/1.1\\r\\n\\r\\n", "request")[0]
    Span(start=0, end=3, role=<Role.METHOD: 'method'>)
    """
    return read(data, kind, eof=eof).spans
