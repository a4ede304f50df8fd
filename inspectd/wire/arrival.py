"""What is done with bytes when they arrive: find where messages end, and the few facts a server acts on.

A reader takes the bytes of one direction of a connection in any pieces and reports heads, content and ends as
events. It never raises on a peer's bytes, its events do not depend on how the bytes were split, and its time is
linear: a unit that is still arriving is searched once, from a remembered place.

The hot path is one expression, a *certificate*: when it matches, the head is plain grammatical CRLF (RFC 9112
§2.1, §3, §5 without the obsolete parts) and needs no second look. Other heads are read by `inspectd.wire.head`.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from inspectd.wire.chunked import chunk_size
from inspectd.wire.framing import (
    NO_BODY_REQUEST,
    SIMPLE_REQUEST,
    SIMPLE_RESPONSE,
    Framing,
    has_option,
    request_framing,
    response_framing,
)
from inspectd.wire.head import SIMPLE_REQUEST as SIMPLE_REQUEST_LINE
from inspectd.wire.head import TOKEN, Head, read_head
from inspectd.wire.sniff import NeedMore, Sniff, sniff
from inspectd.wire.span import Role

if TYPE_CHECKING:
    from inspectd.wire.span import Kind

# method SP request-target SP HTTP-version CRLF *( field-name ":" *( HTAB / SP / VCHAR ) CRLF ) CRLF
# The target holds only characters of RFC 3986 §2 without "#", which a request target may not have.
_PLAIN_REQUEST = re.compile(
    rb"(" + TOKEN + rb") ([!$-;=?-Z_a-z~\[\]]++) (HTTP/1\.[01])\r\n((?:" + TOKEN + rb":[\t -~]*+\r\n)*+)\r\n"
)
_PLAIN_RESPONSE = re.compile(
    rb"(HTTP/1\.[01]) ([0-9]{3}) ([\t -~]*+)\r\n((?:" + TOKEN + rb":[\t -~]*+\r\n)*+)\r\n"
)

# The fields that decide framing and persistence, found in one pass over a plain head.
_FACTS = re.compile(
    rb"(?i:\n(content-length|transfer-encoding|connection|expect|upgrade)):[\t ]*+([\t -~]*+)"
)
_KEEP_ALIVE_ONLY: Final = ([(b"Connection", b"keep-alive")], [(b"connection", b"keep-alive")], [])

# The fields that a list of requests shows, found in one more pass when one of them is asked for.
_SHOWN_NAMES: Final = (
    b"host", b"user-agent", b"accept", b"content-type", b"content-encoding", b"origin", b"referer", b"cookie",
    b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user", b"sec-purpose",
    b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade",
)  # fmt: skip
_SHOWN = re.compile(rb"(?i:\n(" + rb"|".join(_SHOWN_NAMES) + rb")):[\t ]*+([\t -~]*+)")
_ALL_FIELDS = re.compile(rb"\n(" + TOKEN + rb"):[\t ]*+([\t -~]*+)")

_HEAD_END = re.compile(rb"\n\r?\n")
_TRAILER_AT_ONCE = re.compile(rb"\r?\n")
_NOT_BLANK = re.compile(rb"[^ \t\x0b\x0c\r\n]")
# What a status line may look like at its start; anything else is HTTP/0.9 content.
_STATUS_LIKE = re.compile(
    rb"[\x00-\x20]*+(?:[Hh][Tt][Tt][Pp](?:[/ \t\r\n]|\Z)|[A-Za-z]++[/0-9.]*+[ \t]++[0-9]{3}(?![0-9])|[0-9]{3}(?:[ \t\r\n]|\Z))"
)
_STATUS_WINDOW: Final = 512
_TOKEN_START: Final = frozenset(
    b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\t\n\r "
)


class ArrivedHead:
    """The head of a request, as far as a server must know it. `raw` is every byte of it.

    `plain` certifies that the head is grammatical with CRLF line ends, token names, visible ASCII values and no
    folds, so that syntactic checks have nothing to find.
    """

    __slots__ = (
        "_head",
        "_values",
        "chunked",
        "end",
        "expects_continue",
        "framing",
        "keep_alive",
        "length",
        "method",
        "plain",
        "raw",
        "start",
        "target",
        "upgrade",
        "version",
    )

    def __init__(
        self,
        start: int,
        end: int,
        raw: bytes,
        plain: bool,  # noqa: FBT001 (positional because this is built for every request)
        method: bytes,
        target: bytes,
        version: bytes,
    ) -> None:
        self.start = start
        self.end = end
        self.raw = raw
        self.plain = plain
        self.method = method
        self.target = target
        self.version = version
        """The version as sent, b"" when there is none."""
        self.framing: Framing = NO_BODY_REQUEST
        self.length: int | None = 0
        """Bytes of content, or None when they can't be counted beforehand (chunked, tunnel, unknown)."""
        self.chunked = False
        self.keep_alive = True
        """Whether the client leaves the connection open for another message."""
        self.expects_continue = False
        self.upgrade: bytes | None = None
        """The protocols the client offers to switch to, when Connection says that it means it."""
        self._head: Head | None = None
        self._values: dict[bytes, bytes] | None = None

    @property
    def head(self) -> Head:
        """The whole head, read when it is first asked for."""
        if self._head is None:
            self._head = read_head(self.raw, self.start, "request")
        return self._head

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of this name, in any case, or None."""
        values = self._values
        if values is None:
            values = self._values = self._read_values(_SHOWN)
        name = name.lower()
        if name in values:
            return values[name]
        if not self.plain or name in _SHOWN_NAMES:
            return None
        values = self._values = self._read_values(_ALL_FIELDS)
        return values.get(name)

    def _read_values(self, rule: re.Pattern[bytes]) -> dict[bytes, bytes]:
        values: dict[bytes, bytes] = {}
        if self.plain:
            for name, value in rule.findall(self.raw):
                values.setdefault(name.lower(), value.rstrip(b"\t "))
        else:
            for field in self.head.fields:
                values.setdefault(field.name_bytes.lower(), field.value_bytes)
        return values

    def __repr__(self) -> str:
        return f"ArrivedHead({self.start}, {self.end}, {self.method!r} {self.target!r} {self.version!r}, {self.framing.step})"


class ArrivedResponseHead:
    """The head of a response. `interim` marks 1xx heads, after which another head follows."""

    __slots__ = (
        "_head",
        "end",
        "framing",
        "interim",
        "keep_alive",
        "plain",
        "raw",
        "reason",
        "start",
        "status",
        "version",
    )

    def __init__(
        self, start: int, end: int, raw: bytes, version: bytes, status: bytes, reason: bytes
    ) -> None:
        self.start = start
        self.end = end
        self.raw = raw
        self.version = version
        self.status = status
        self.reason = reason
        self.plain = False
        self.interim = False
        self.keep_alive = True
        self.framing: Framing = SIMPLE_RESPONSE
        self._head: Head | None = None

    @property
    def head(self) -> Head:
        """The whole head, read when it is first asked for."""
        if self._head is None:
            self._head = read_head(self.raw, self.start, "response")
        return self._head

    @property
    def length(self) -> int | None:
        """Bytes of content, or None when they can't be counted beforehand."""
        return self.framing.length

    @property
    def chunked(self) -> bool:
        """Whether the content comes in chunks."""
        return self.framing.chunked


class ContentData(NamedTuple):
    """Bytes of a message after its head: `start` to `end` of the stream, chunk lines and trailers included.

    `data` is the content in them, with the chunked coding taken off.
    """

    start: int
    end: int
    data: bytes


class MessageEnd(NamedTuple):
    """The message ended at this offset, or broke off there when it isn't `complete`."""

    end: int
    complete: bool


class TooLarge(NamedTuple):
    """The head that starts at `start` reached a cap at `offset`; the rest of the stream is not read as messages."""

    what: str
    """"head" or "request-line"."""
    start: int
    offset: int


class Foreign(NamedTuple):
    """The connection opened with another protocol; the rest of the stream is its."""

    start: int
    protocol: str
    sentence: str
    sniff: Sniff


Event: TypeAlias = ArrivedHead | ArrivedResponseHead | ContentData | MessageEnd | TooLarge | Foreign


class Trace(Protocol):
    """Who wants to know each part of a stream as it is settled (see `inspectd.wire.stream`)."""

    def span(self, start: int, end: int, role: Role) -> None: ...
    def blank(self, data: bytes, start: int) -> None: ...
    def head(self, head: ArrivedHead | ArrivedResponseHead) -> None: ...
    def chunk_line(self, line: bytes, start: int) -> None: ...
    def trailers(self, data: bytes, start: int) -> None: ...
    def end(self, end: int, *, complete: bool) -> None: ...


# What the next bytes are.
_START: Final = 0  # the first bytes of the connection
_BETWEEN: Final = 1  # blank lines, then a head
_HEAD: Final = 2
_LENGTH: Final = 3  # content that is counted
_CHUNK_LINE: Final = 4
_CHUNK_DATA: Final = 5
_CHUNK_END: Final = 6  # the line end after chunk data
_TRAILERS: Final = 7
_UNTIL_CLOSE: Final = 8
_SWITCHED: Final = 9  # an upgrade was asked for: HTTP or the new protocol
_CLOSED: Final = 10  # the last message of the connection has ended
_REST: Final = 11  # everything else, of one role
_IN_CONTENT: Final = frozenset({_LENGTH, _CHUNK_LINE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _UNTIL_CLOSE})


class MessageReader:
    """The state of one direction of a connection. Use `RequestReader` or `ResponseReader`."""

    __slots__ = (
        "_last_kept",
        "_left",
        "_line_seen",
        "_need",
        "_pending",
        "_rest_role",
        "_scan",
        "_slices",
        "_small",
        "_state",
        "_trace",
        "_upgrade",
        "max_head",
        "max_request_line",
        "offset",
    )
    kind: Kind = "request"

    def __init__(
        self, *, max_head: int | None = 65536, max_request_line: int | None = 8000, trace: Trace | None = None
    ) -> None:
        self.max_head = _NO_CAP if max_head is None else max_head
        self.max_request_line = _NO_CAP if max_request_line is None else max_request_line
        self._small = min(self.max_head, self.max_request_line)
        self.offset = 0
        """Bytes fed so far."""
        self._trace = trace
        self._state = _START
        self._pending = bytearray()
        self._scan = 0  # where in `_pending` the search for the end of the unit goes on
        self._need = 0  # bytes that must be pending before another look is of use
        self._line_seen = False  # the start line of the pending head has ended
        self._left = 0  # content bytes still to come
        self._slices: list[bytes] = []
        self._rest_role = Role.UNFRAMED
        self._last_kept = True  # the message under way leaves the connection open
        self._upgrade = False  # the message under way asks for another protocol

    @property
    def pending(self) -> int:
        """Bytes held back because their unit (a head, a chunk line) is still arriving."""
        return len(self._pending)

    @property
    def pending_bytes(self) -> bytes:
        """The bytes that `pending` counts."""
        return bytes(self._pending)

    @property
    def head_start(self) -> int | None:
        """The offset of the head that is still arriving, or None."""
        return self.offset - len(self._pending) if self._pending and self._state in {_START, _HEAD} else None

    @property
    def in_message(self) -> bool:
        """Whether a head has been reported and its end has not."""
        return self._state in _IN_CONTENT

    def switch(self) -> None:
        """The connection has changed its protocol: bytes from here on are tunnel."""
        self._state = _REST
        self._rest_role = Role.TUNNEL
        if self._pending:
            self._note(self.offset - len(self._pending), self.offset, Role.TUNNEL)
            self._pending.clear()

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream and say what they settled."""
        events: list[Event] = []
        start = self.offset
        self.offset = start + len(data)
        pending = self._pending
        if pending:
            start -= len(pending)
            pending += data
            if not self._worth_a_look():
                return events
            data = bytes(pending)
            pending.clear()
        elif type(data) is not bytes:
            data = bytes(data)
        self._run(data, start, events)
        return events

    def eof(self) -> list[Event]:
        """The peer has sent its last byte: what is under way ends here."""
        events: list[Event] = []
        if self._pending and self._state in {_START, _SWITCHED, _HEAD}:
            data = bytes(self._pending)
            self._pending.clear()
            self._run(data, self.offset - len(data), events, eof=True)
        if self._state in _IN_CONTENT:
            self._end(self.offset, events, complete=self._state == _UNTIL_CLOSE)
        return events

    def _worth_a_look(self) -> bool:
        """Whether the pending unit may have ended: asked once a feed, so it must not search bytes twice."""
        pending, state = self._pending, self._state
        size = len(pending)
        if size < self._need:
            return False
        if state == _HEAD:
            if not self._line_seen:
                if pending.find(b"\n", self._scan) >= 0 or size > self._small or self._settles_by_size(size):
                    return True
                self._scan = size
                return False
            if size > self.max_head or _HEAD_END.search(pending, self._scan):
                return True
            self._scan = max(size - 2, 0)
            return False
        if state == _TRAILERS:
            if _HEAD_END.search(pending, self._scan):
                return True
            self._scan = max(size - 2, 0)
            return self._scan < 2  # the section may be nothing but its empty line
        if state == _CHUNK_LINE:
            found = pending.find(b"\n", self._scan)
            self._scan = size
            return found >= 0
        if state == _BETWEEN or state == _CLOSED:
            # White space waits for its line end or for the first word.
            found_at = _NOT_SPACE.search(pending, self._scan)
            self._scan = size
            return found_at is not None
        return True

    def _settles_by_size(self, size: int) -> bool:
        """Whether a start line that hasn't ended can be judged by its length alone."""
        return False

    def _run(self, data: bytes, base: int, events: list[Event], *, eof: bool = False) -> None:
        """Read `data`, whose first byte is stream offset `base`; keep what is not settled yet."""
        at = 0
        size = len(data)
        while at < size:
            state = self._state
            if state == _BETWEEN:
                next_at = self._read_between(data, at, base, events)
            elif state == _HEAD:
                next_at = self._read_head(data, at, base, events, eof=eof)
            elif state == _START or state == _SWITCHED:
                next_at = self._read_start(data, at, base, events, eof=eof)
            elif state == _LENGTH:
                next_at = self._read_counted(data, at, base, events)
            elif state == _UNTIL_CLOSE:
                self._note(base + at, base + size, Role.CONTENT)
                events.append(ContentData(base + at, base + size, data[at:] if at else data))
                next_at = size
            elif state == _CLOSED:
                next_at = self._read_closed(data, at, base)
            elif state == _REST:
                self._note(base + at, base + size, self._rest_role)
                next_at = size
            else:
                next_at = self._read_chunked(data, at, base, events)
            if next_at < 0:
                # The unit that starts at -1 - next_at has not ended.
                self._pending += data[-1 - next_at :]
                return
            at = next_at

    def _note(self, start: int, end: int, role: Role) -> None:
        if self._trace is not None and end > start:
            self._trace.span(start, end, role)

    # -- heads ---------------------------------------------------------------------------------------------

    def _read_start(self, data: bytes, at: int, base: int, events: list[Event], *, eof: bool) -> int:
        """The first bytes of a connection, or of what follows a request to upgrade: is this HTTP/1 at all?"""
        if self.kind == "response" and self._state == _START:
            self._state = _BETWEEN
            return at
        if self._state == _SWITCHED and data[at] not in _TOKEN_START:
            self._state = _REST
            self._rest_role = Role.TUNNEL
            return at
        if self._state == _START and _PLAIN_REQUEST.match(data, at):
            self._state = _BETWEEN
            return at
        found = sniff(data[at:] if at else data, eof=eof)
        if isinstance(found, NeedMore):
            self._need = found.size
            return -1 - at
        self._need = 0
        if found is None:
            self._state = _BETWEEN
        elif self._state == _SWITCHED:
            self._state = _REST
            self._rest_role = Role.TUNNEL
        else:
            self._state = _REST
            self._rest_role = found.role
            events.append(Foreign(base + at, found.protocol, found.sentence, found))
        return at

    def _read_between(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        """Blank lines before a head: skipped, as RFC 9112 §2.2 asks, and any number of them."""
        if data[at] > _SPACE:
            self._state = _HEAD
            self._line_seen = False
            self._scan = 0
            return self._read_head(data, at, base, events, eof=False)
        blank_end = self._blank_end(data, at)
        if self._trace is not None and blank_end > at:
            self._trace.blank(data[at:blank_end], base + at)
        if blank_end == len(data):
            return blank_end
        if _NOT_BLANK.search(data, blank_end) is None:
            self._scan = len(data) - blank_end
            return -1 - blank_end
        self._state = _HEAD
        self._line_seen = False
        self._scan = 0
        return blank_end

    @staticmethod
    def _blank_end(data: bytes, at: int) -> int:
        """Where the last line ends that holds nothing but white space, counted from the line at `at` on."""
        found = _NOT_BLANK.search(data, at)
        return max(at, data.rfind(b"\n", at, found.start() if found else len(data)) + 1)

    def _read_closed(self, data: bytes, at: int, base: int) -> int:
        """After the last message: blank lines are harmless, anything else should not be there."""
        blank_end = self._blank_end(data, at)
        if self._trace is not None and blank_end > at:
            self._trace.blank(data[at:blank_end], base + at)
        if blank_end == len(data):
            return blank_end
        if _NOT_BLANK.search(data, blank_end) is None:
            self._scan = len(data) - blank_end
            return -1 - blank_end
        self._state = _REST
        self._rest_role = Role.UNFRAMED
        return blank_end

    def _read_head(self, data: bytes, at: int, base: int, events: list[Event], *, eof: bool) -> int:
        raise NotImplementedError

    def _wait_for_head(self, data: bytes, at: int, base: int, line_feed: int, events: list[Event]) -> int:
        """The head at `at` has not ended: keep its bytes, unless they are more than a head may have."""
        size = len(data) - at
        cut = "request-line" if line_feed < 0 and size > self.max_request_line + 1 else ""
        if not cut and size > self.max_head:
            cut = "head"
        if cut:
            return self._too_large(cut, at, base, events)
        self._line_seen = line_feed >= 0
        self._scan = max(size - 2, 0) if self._line_seen else size
        return -1 - at

    def _too_large(self, what: str, at: int, base: int, events: list[Event]) -> int:
        cap = self.max_request_line if what == "request-line" else self.max_head
        events.append(TooLarge(what, base + at, base + at + cap))
        self._state = _REST
        self._rest_role = Role.UNFRAMED
        return at

    def _begin_content(self, framing: Framing, head_end: int, events: list[Event]) -> None:
        """Choose what follows a head."""
        self._scan = 0
        if framing.chunked:
            self._state = _CHUNK_LINE
        elif framing.length:
            self._left = framing.length
            self._state = _LENGTH
        elif framing.until_close:
            self._state = _UNTIL_CLOSE
        elif framing.tunnel:
            self._end(head_end, events, complete=True)
            self._state = _REST
            self._rest_role = Role.TUNNEL
        elif framing.lost:
            self._lose(head_end, events)
        else:
            self._end(head_end, events, complete=True)

    def _end(self, end: int, events: list[Event], *, complete: bool) -> None:
        if self._trace is not None:
            self._trace.end(end, complete=complete)
        events.append(MessageEnd(end, complete))
        self._state = (_SWITCHED if self._upgrade else _BETWEEN) if self._last_kept else _CLOSED
        self._scan = 0

    def _lose(self, end: int, events: list[Event]) -> None:
        """Where the message ends can't be known: nothing after `end` belongs to a message."""
        self._end(end, events, complete=False)
        self._state = _REST
        self._rest_role = Role.UNFRAMED

    # -- content -------------------------------------------------------------------------------------------

    def _read_counted(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        end = min(len(data), at + self._left)
        self._left -= end - at
        self._note(base + at, base + end, Role.CONTENT)
        events.append(ContentData(base + at, base + end, data if end - at == len(data) else data[at:end]))
        if not self._left:
            self._end(base + end, events, complete=True)
        return end

    def _read_chunked(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        """Read as much of a chunked body as there is, and report it as one piece of content."""
        first = at
        size = len(data)
        slices: list[bytes] = []
        trace = self._trace
        wait = False
        state = self._state
        lost = ended = False
        while at < size:
            if state == _CHUNK_DATA:
                end = min(size, at + self._left)
                slices.append(data[at:end])
                self._note(base + at, base + end, Role.CHUNK_DATA)
                self._left -= end - at
                at = end
                if not self._left:
                    state = _CHUNK_END
            elif state == _CHUNK_LINE:
                line_feed = data.find(b"\n", at)
                if line_feed < 0:
                    self._scan = size - at
                    wait = True
                    break
                line = data[at : line_feed + 1]
                length = chunk_size(line)
                if length is None:
                    lost = True
                    break
                if trace is not None:
                    trace.chunk_line(line, base + at)
                at = line_feed + 1
                self._left = length
                state = _CHUNK_DATA if length else _TRAILERS
            elif state == _CHUNK_END:
                if data[at] == _LF:
                    self._note(base + at, base + at + 1, Role.LF)
                    at += 1
                elif data[at] != _CR or (at + 1 < size and data[at + 1] != _LF):
                    lost = True
                    break
                elif at + 1 == size:
                    wait = True
                    break
                else:
                    self._note(base + at, base + at + 2, Role.CRLF)
                    at += 2
                state = _CHUNK_LINE
            else:
                # trailer-section CRLF: an empty line at once, or fields and then an empty line
                found = _TRAILER_AT_ONCE.match(data, at) or _HEAD_END.search(data, at)
                if found is None:
                    self._scan = max(size - at - 2, 0)
                    wait = True
                    break
                if trace is not None:
                    trace.trailers(data[at : found.end()], base + at)
                at = found.end()
                ended = True
                break
        self._state = state
        if at > first:
            events.append(ContentData(base + first, base + at, b"".join(slices)))
        if wait:
            return -1 - at
        if lost:
            self._lose(base + at, events)
        elif ended:
            self._end(base + at, events, complete=True)
        return at


_NO_CAP: Final = 1 << 62
_SPACE: Final = 0x20
_LF: Final = 10
_CR: Final = 13
_NOT_SPACE = re.compile(rb"[^ \t\x0b\x0c\r]")


class RequestReader(MessageReader):
    """Reads what a client sends.

    `max_head` and `max_request_line` are caps in bytes (the line end doesn't count): a head that passes one is
    reported as `TooLarge`, and from then on nothing is read as a message. None lifts a cap.

    >>> reader = RequestReader()
    >>> [type(event).__name__ for event in reader.feed(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")]
    ['ArrivedHead', 'MessageEnd']
    """

    __slots__ = ()
    kind: Kind = "request"

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream and say what they settled."""
        # The most frequent read by far is exactly one plain head without content.
        if self._state <= _BETWEEN and not self._pending and self._trace is None and type(data) is bytes:
            found = _PLAIN_REQUEST.match(data)
            if found is not None and found.end() == len(data) <= self._small:
                start = self.offset
                self.offset = end = start + len(data)
                events: list[Event] = []
                self._plain_head(found, data, start, end, events)
                return events
        return super().feed(data)

    def _plain_head(
        self, found: re.Match[bytes], raw: bytes, start: int, end: int, events: list[Event]
    ) -> None:
        method, target, version = found.group(1, 2, 3)
        head = ArrivedHead(start, end, raw, True, method, target, version)  # noqa: FBT003
        facts = _FACTS.findall(found.string, found.end(3), found.end())
        if facts in _KEEP_ALIVE_ONLY and method != b"CONNECT":
            if version != b"HTTP/1.1" and not facts:
                head.keep_alive = False
        else:
            self._decide(head, [(name.lower(), value.rstrip(b"\t ")) for name, value in facts])
        self._start_message(head, events)

    def _start_message(self, head: ArrivedHead, events: list[Event]) -> None:
        self._last_kept = head.keep_alive
        self._upgrade = head.upgrade is not None
        if self._trace is not None:
            self._trace.head(head)
        events.append(head)
        if head.framing is NO_BODY_REQUEST and self._trace is None:
            events.append(MessageEnd(head.end, True))  # noqa: FBT003
            self._state = (_SWITCHED if self._upgrade else _BETWEEN) if head.keep_alive else _CLOSED
            self._scan = 0
        else:
            self._begin_content(head.framing, head.end, events)

    @staticmethod
    def _decide(head: ArrivedHead, facts: list[tuple[bytes, bytes]]) -> None:
        """Settle framing and persistence from the fields of lower-case name that bear on them."""
        codings = [value for name, value in facts if name == b"transfer-encoding"]
        lengths = [value for name, value in facts if name == b"content-length"]
        options = [value for name, value in facts if name == b"connection"]
        upgrades = [value for name, value in facts if name == b"upgrade"]
        framing = request_framing(head.method, head.version, codings, lengths)
        head.framing = framing
        head.length = framing.length
        head.chunked = framing.chunked
        head.keep_alive = persists(head.version, options) and not framing.lost
        if codings and is_http_1_0(head.version):
            head.keep_alive = False  # RFC 9112 §6.1: the framing is faulty, so close after it
        head.expects_continue = any(
            name == b"expect" and has_option([value], b"100-continue") for name, value in facts
        )
        if upgrades and has_option(options, b"upgrade"):
            head.upgrade = b", ".join(upgrades)

    def _read_head(self, data: bytes, at: int, base: int, events: list[Event], *, eof: bool) -> int:
        found = _PLAIN_REQUEST.match(data, at)
        if found is not None and found.end() - at <= self._small:
            end = found.end()
            raw = data if at == 0 and end == len(data) else data[at:end]
            self._plain_head(found, raw, base + at, base + end, events)
            return end
        line_feed = data.find(b"\n", at + self._scan if not self._line_seen else at)
        if line_feed < 0:
            return self._wait_for_head(data, at, base, line_feed, events)
        line_end = line_feed - 1 if line_feed > at and data[line_feed - 1] == _CR else line_feed
        if line_end - at > self.max_request_line:
            return self._too_large("request-line", at, base, events)
        simple = SIMPLE_REQUEST_LINE.match(data, at, line_feed + 1)
        if simple is not None and not simple[1].upper().startswith(b"HTTP/"):
            if simple.end() - at > self.max_head:
                return self._too_large("head", at, base, events)
            head = ArrivedHead(base + at, base + simple.end(), simple[0], False, b"GET", simple[1], b"")  # noqa: FBT003
            head.framing = SIMPLE_REQUEST
            head.keep_alive = False
            self._start_message(head, events)
            return simple.end()
        closing = _HEAD_END.search(data, max(line_feed, at + self._scan - 2))
        if closing is None:
            return self._wait_for_head(data, at, base, line_feed, events)
        if closing.end() - at > self.max_head:
            return self._too_large("head", at, base, events)
        self._odd_head(data[at : closing.end()], base + at, events)
        return closing.end()

    def _odd_head(self, raw: bytes, start: int, events: list[Event]) -> None:
        """A head without a certificate: read it whole, and take the facts from its fields."""
        parts = read_head(raw, start, "request")
        head = ArrivedHead(
            start,
            start + len(raw),
            raw,
            False,  # noqa: FBT003
            parts.text(parts.method),
            parts.text(parts.target),
            parts.text(parts.version),
        )
        head._head = parts
        self._decide(head, facts_of(parts))
        self._start_message(head, events)


class ResponseReader(MessageReader):
    """Reads what a server sends. Tell it the method of each request, in order: HEAD and CONNECT change framing."""

    __slots__ = ("_methods",)
    kind: Kind = "response"

    def __init__(self, *, max_head: int | None = 65536, trace: Trace | None = None) -> None:
        super().__init__(max_head=max_head, max_request_line=None, trace=trace)
        self._methods: deque[bytes] = deque()

    def expect(self, method: bytes) -> None:
        """A request of this method was sent: one final response will answer it."""
        self._methods.append(method)

    def _settles_by_size(self, size: int) -> bool:
        # From here on it is known that no status line comes, or that one does and its end must be awaited.
        return size >= _STATUS_WINDOW and self._need < _STATUS_WINDOW

    def _read_head(self, data: bytes, at: int, base: int, events: list[Event], *, eof: bool) -> int:
        found = _PLAIN_RESPONSE.match(data, at)
        if found is not None and found.end() - at <= self.max_head:
            version, status, reason = found.group(1, 2, 3)
            self._decide(data[at : found.end()], base + at, (version, status, reason), events, plain=found)
            return found.end()
        line_feed = data.find(b"\n", at)
        window_end = at + _STATUS_WINDOW if line_feed < 0 else min(line_feed + 1, at + _STATUS_WINDOW)
        if line_feed >= 0 or len(data) - at >= _STATUS_WINDOW or eof:
            if not _STATUS_LIKE.match(data, at, window_end):
                self._start_simple(base + at, events)
                return at
            self._need = _STATUS_WINDOW
        if line_feed < 0:
            return self._wait_for_head(data, at, base, line_feed, events)
        closing = _HEAD_END.search(data, max(line_feed, at + self._scan - 2))
        if closing is None:
            return self._wait_for_head(data, at, base, line_feed, events)
        if closing.end() - at > self.max_head:
            return self._too_large("head", at, base, events)
        raw = data[at : closing.end()]
        parts = read_head(raw, base + at, "response")
        words = (parts.text(parts.version), parts.text(parts.status), parts.text(parts.reason))
        self._decide(raw, base + at, words, events, parts=parts)
        return closing.end()

    def _start_simple(self, start: int, events: list[Event]) -> None:
        head = ArrivedResponseHead(start, start, b"", b"", b"", b"")
        head.keep_alive = self._last_kept = False
        if self._methods:
            self._methods.popleft()
        if self._trace is not None:
            self._trace.head(head)
        events.append(head)
        self._begin_content(head.framing, start, events)

    def _decide(
        self,
        raw: bytes,
        start: int,
        words: tuple[bytes, bytes, bytes],
        events: list[Event],
        *,
        plain: re.Match[bytes] | None = None,
        parts: Head | None = None,
    ) -> None:
        version, status, reason = words
        head = ArrivedResponseHead(start, start + len(raw), raw, version, status, reason)
        head.plain = plain is not None
        head._head = parts
        facts = (
            facts_of(parts)
            if parts is not None
            else [(name.lower(), value.rstrip(b"\t ")) for name, value in _FACTS.findall(raw)]
        )
        codings = [value for name, value in facts if name == b"transfer-encoding"]
        lengths = [value for name, value in facts if name == b"content-length"]
        options = [value for name, value in facts if name == b"connection"]
        head.interim = len(status) == 3 and status[:1] == b"1" and status != b"101"
        method = self._methods[0] if self._methods else b""
        head.framing = response_framing(method, version, status, codings, lengths)
        head.keep_alive = (
            persists(version, options) and not head.framing.lost and not head.framing.until_close
        )
        if head.interim:
            head.keep_alive = True
        elif self._methods:
            self._methods.popleft()
        self._last_kept = head.keep_alive
        if self._trace is not None:
            self._trace.head(head)
        events.append(head)
        self._begin_content(head.framing, head.end, events)


_FACT_NAMES: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}
)


def facts_of(head: Head) -> list[tuple[bytes, bytes]]:
    """The fields of a head that decide framing and persistence: lower-case name, value."""
    return [
        (name, field.value_bytes)
        for field in head.fields
        if (name := field.name_bytes.lower()) in _FACT_NAMES
    ]


def is_http_1_0(version: bytes) -> bool:
    """Whether this version is HTTP/1.0 or 0.9, whose connections close after a message unless told otherwise."""
    return version.upper() in {b"HTTP/1.0", b"HTTP/0.9"}


def persists(version: bytes, connection_values: list[bytes]) -> bool:
    """Whether the connection stays open after this message (RFC 9112 §9.3)."""
    if not connection_values:
        return not is_http_1_0(version)
    if has_option(connection_values, b"close"):
        return False
    return not is_http_1_0(version) or has_option(connection_values, b"keep-alive")
