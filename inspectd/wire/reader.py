"""The state of one direction of a connection: where each message begins and ends, as the bytes arrive.

A reader takes the bytes in any pieces and reports heads, content and ends as events. It never raises on a peer's
bytes, its events do not depend on how the bytes were split, and its time is linear: a unit that is still
arriving is searched once, from a remembered place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from inspectd.wire.arrived import ContentData, Event, Foreign, MessageEnd, TooLarge
from inspectd.wire.chunked import chunk_size
from inspectd.wire.head import TOKEN, read_head
from inspectd.wire.sniff import HTTP2_PREFACE, NeedMore, sniff
from inspectd.wire.span import Role

if TYPE_CHECKING:
    from inspectd.wire.arrived import ArrivedHead, ArrivedResponseHead
    from inspectd.wire.framing import Framing
    from inspectd.wire.span import Kind

HEAD_END: Final = re.compile(rb"\n\r?\n")
_TRAILER_AT_ONCE = re.compile(rb"\r?\n")
_NOT_SPACE = re.compile(rb"[^ \t\x0b\x0c\r]")
_NOT_BLANK = re.compile(rb"[^ \t\x0b\x0c\r\n]")
# A request line after an ignored request to upgrade, whole and while it may still become one.
_REQUEST_AGAIN = re.compile(rb"[\r\n]*+" + TOKEN + rb"[ \t][^\r\n]*[ \t]HTTP/[0-9]\.[0-9][ \t]*+\r?\n")
_MAYBE_AGAIN = re.compile(rb"[\r\n]*+(?:" + TOKEN + rb"(?:[ \t][^\r\n]*+\r?)?+)?+\Z")
_SWITCH_WINDOW: Final = 8192  # bytes that its line may take
LATE_LIMIT: Final = 65536
"""Bytes behind a request to upgrade that are kept until it is answered."""
_FEW: Final = 16  # below this each byte is looked at, so that frames of another protocol are told early
_NO_CAP: Final = 1 << 62
_SPACE: Final = 0x20
_LF: Final = 10
_CR: Final = 13

Unsettled: TypeAlias = Literal["head", "blank", "chunk-line", "chunk-end", "trailers", "nothing"]
"""What the bytes are that a reader holds back."""


# What the next bytes are.
START: Final = 0  # the first bytes of the connection
BETWEEN: Final = 1  # blank lines, then a head
_HEAD: Final = 2
_LENGTH: Final = 3  # content that is counted
_CHUNK_LINE: Final = 4
_CHUNK_DATA: Final = 5
_CHUNK_END: Final = 6  # the line end after chunk data
_TRAILERS: Final = 7
_UNTIL_CLOSE: Final = 8
SWITCHED: Final = 9  # an upgrade was asked for: HTTP or the new protocol
CLOSED: Final = 10  # the last message of the connection has ended
_REST: Final = 11  # everything else, of one role
_IN_HEAD: Final = frozenset({START, _HEAD, SWITCHED})
_UNSETTLED: Final[dict[int, Unsettled]] = {
    START: "head",
    SWITCHED: "head",
    _HEAD: "head",
    BETWEEN: "blank",
    CLOSED: "blank",
    _CHUNK_LINE: "chunk-line",
    _CHUNK_END: "chunk-end",
    _TRAILERS: "trailers",
    _CHUNK_DATA: "nothing",
    _LENGTH: "nothing",
    _UNTIL_CLOSE: "nothing",
    _REST: "nothing",
}
_GLIMPSE: Final = 4096
_IN_CONTENT: Final = frozenset({_LENGTH, _CHUNK_LINE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _UNTIL_CLOSE})


# What stands behind lines of white space: a word, nothing yet, or a line that is too long.
_Blank: TypeAlias = Literal["word", "wait", "endless"]
_WORD: Final = "word"
_WAIT: Final = "wait"
_ENDLESS: Final = "endless"


class Trace(Protocol):
    """Who wants to know each part of a stream as it is settled (see `inspectd.wire.stream`)."""

    def span(self, start: int, end: int, role: Role) -> None: ...
    def blank(self, data: bytes, start: int) -> None: ...
    def head(self, head: ArrivedHead | ArrivedResponseHead) -> None: ...
    def chunk_line(self, line: bytes, start: int) -> None: ...
    def trailers(self, data: bytes, start: int) -> None: ...
    def end(self, end: int, *, complete: bool) -> None: ...


class MessageReader:
    """The state of one direction of a connection. Use `RequestReader` or `ResponseReader`."""

    __slots__ = (
        "_ended",
        "_glimpsed",
        "_last_kept",
        "_late",
        "_left",
        "_line_seen",
        "_need",
        "_pending",
        "_rest_role",
        "_scan",
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
        self._state = START
        self._pending = bytearray()
        self._scan = 0  # where in `_pending` the search for the end of the unit goes on
        self._need = 0  # bytes that must be pending before another look is of use
        self._line_seen = False  # the start line of the pending head has ended
        self._left = 0  # content bytes still to come
        self._glimpsed = b""  # the beginning of a head that was too large
        self._ended = False  # no more bytes will come
        self._rest_role = Role.UNFRAMED
        self._last_kept = True  # the message under way leaves the connection open
        self._late: bytearray | None = None  # what follows a request to upgrade that nobody has answered
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
    def adrift(self) -> bool:
        """Whether no more messages are read: what comes belongs to another protocol, or nobody knows to what."""
        return self._state == _REST

    @property
    def head_start(self) -> int | None:
        """The offset of the head that is still arriving, or None."""
        return self.offset - len(self._pending) if self._pending and self._state in _IN_HEAD else None

    def glimpse(self) -> tuple[bytes | None, bytes | None]:
        """Method and target as far as they are known of a head that is still arriving, or that was too large."""
        data = self._glimpsed
        if self._pending and self._state in _IN_HEAD:
            data = bytes(self._pending[:_GLIMPSE])
        if not data:
            return None, None
        head = read_head(data, 0, self.kind)
        method, target = (None if part is None else head.text(part) for part in (head.method, head.target))
        return method, target

    @property
    def late(self) -> bytes:
        """What came behind a request to upgrade so far: the beginning of another protocol, at most `LATE_LIMIT`."""
        return bytes(self._pending) if self._state == SWITCHED else bytes(self._late or b"")

    def switch(self) -> None:
        """The connection has changed its protocol: bytes from here on are tunnel."""
        self._state = _REST
        self._late = None
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
        self._flush(events)
        if self._state in _IN_CONTENT:
            self._end(self.offset, events, complete=self._state == _UNTIL_CLOSE)
        return events

    def _flush(self, events: list[Event]) -> None:
        """Decide what waited for more bytes to be decided."""
        if self._pending and self._state in _IN_HEAD:
            data = bytes(self._pending)
            self._pending.clear()
            self._ended = True
            self._run(data, self.offset - len(data), events)

    def take_unsettled(self) -> tuple[Unsettled, bytes]:
        """The bytes that belong to an unfinished unit, and what that unit is; the reader forgets them.

        What waited for more bytes to be decided is decided first, as if none would come.
        """
        self._flush([])
        data = bytes(self._pending)
        self._pending.clear()
        return _UNSETTLED[self._state], data

    def _worth_a_look(self) -> bool:
        """Whether the pending unit may have ended: asked once a feed, so it must not search bytes twice."""
        pending, state = self._pending, self._state
        size = len(pending)
        if size < self._need:
            return False
        if state == _HEAD:
            if not self._line_seen:
                if pending.find(b"\n", self._scan) >= 0 or size > self._small or self._settles_by_size():
                    return True
                self._scan = size
                return False
            if size > self.max_head or HEAD_END.search(pending, self._scan):
                return True
            self._scan = max(size - 2, 0)
            return False
        if state == _TRAILERS:
            if size > self.max_head or HEAD_END.search(pending, self._scan):
                return True
            self._scan = max(size - 2, 0)
            return self._scan < 2  # the section may be nothing but its empty line
        if state == _CHUNK_LINE:
            found = pending.find(b"\n", self._scan)
            self._scan = size
            return found >= 0 or size > self.max_head
        if state == SWITCHED:
            found = pending.find(b"\n", self._scan)
            self._scan = size
            return found >= 0 or size >= _SWITCH_WINDOW or size < _FEW
        if state in (BETWEEN, CLOSED):
            # White space waits for its line end or for the first word.
            found_at = _NOT_SPACE.search(pending, self._scan)
            self._scan = size
            return found_at is not None or size > self.max_head
        return True

    def _settles_by_size(self) -> bool:
        """Whether a start line that hasn't ended can be judged by its length alone."""
        return False

    def _run(self, data: bytes, base: int, events: list[Event]) -> None:
        """Read `data`, whose first byte is stream offset `base`; keep what is not settled yet."""
        at = 0
        size = len(data)
        while at < size:
            state = self._state
            if state == BETWEEN:
                next_at = self._read_between(data, at, base, events)
            elif state == _HEAD:
                next_at = self._read_head(data, at, base, events)
            elif state in (START, SWITCHED):
                next_at = self._read_start(data, at, base, events)
            elif state == _LENGTH:
                next_at = self._read_counted(data, at, base, events)
            elif state == _UNTIL_CLOSE:
                self._note(base + at, base + size, Role.CONTENT)
                events.append(ContentData(base + at, base + size, data[at:] if at else data))
                next_at = size
            elif state == CLOSED:
                next_at = self._read_closed(data, at, base)
            elif state == _REST:
                self._note(base + at, base + size, self._rest_role)
                if self._late is not None:
                    self._late += data[at : at + LATE_LIMIT - len(self._late)]
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

    def _read_start(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        """The first bytes of a connection: is this HTTP/1 at all?"""
        if self.kind == "response" and self._state == START:
            self._state = BETWEEN
            return at
        if self._state == SWITCHED:
            return self._read_switched(data, at)
        found = sniff(data[at:] if at else data, eof=self._ended)
        if isinstance(found, NeedMore):
            self._need = found.size
            return -1 - at
        self._need = 0
        if found is None:
            self._state = BETWEEN
        else:
            self._state = _REST
            self._rest_role = found.role
            events.append(Foreign(base + at, found.protocol, found.sentence, found))
        return at

    def _read_switched(self, data: bytes, at: int) -> int:
        """What follows a request to upgrade: another request if the offer was ignored, else the new protocol.

        Only a whole request line counts as a request, and the preface of HTTP/2 is none (RFC 9113 §3.4).
        """
        size = len(data) - at
        again = _REQUEST_AGAIN.match(data, at, at + _SWITCH_WINDOW)
        if again is None and size < _SWITCH_WINDOW and not self._ended and _MAYBE_AGAIN.match(data, at):
            self._scan = size
            return -1 - at
        self._scan = 0
        if again is not None and not data.startswith(HTTP2_PREFACE[:16], at):
            self._state = BETWEEN
        else:
            self._state = _REST
            self._rest_role = Role.TUNNEL
            self._late = bytearray()
        return at

    def _read_between(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        """Blank lines before a head: skipped, as RFC 9112 §2.2 asks, and any number of them."""
        if data[at] <= _SPACE:
            at, found = self._skip_blank(data, at, base)
            if found is _ENDLESS:
                return self._too_large("head", data, at, base, events)
            if found is _WAIT:
                return -1 - at if at < len(data) else at
        self._state = _HEAD
        self._line_seen = False
        self._scan = 0
        return at

    def _read_closed(self, data: bytes, at: int, base: int) -> int:
        """After the last message: blank lines are harmless, anything else should not be there."""
        blank_end, found = self._skip_blank(data, at, base)
        if found is _WAIT:
            return -1 - blank_end if blank_end < len(data) else blank_end
        self._state = _REST
        self._rest_role = Role.UNFRAMED
        return blank_end

    def _skip_blank(self, data: bytes, at: int, base: int) -> tuple[int, _Blank]:
        """Pass lines of nothing but white space: where they end, and what stands there.

        A line of white space is bounded like a head, because it is held back until its end is there.
        """
        size = len(data)
        word = _NOT_BLANK.search(data, at)
        stop = word.start() if word else size
        blank_end = max(at, data.rfind(b"\n", at, stop) + 1)
        found: _Blank = _WORD if word else _WAIT
        if stop - at > self.max_head:
            line = at
            while line < stop:
                line_feed = data.find(b"\n", line, stop)
                line_end = stop if line_feed < 0 else line_feed
                if line_end - line > self.max_head:
                    blank_end, found = line, _ENDLESS
                    break
                line = line_end + 1
        if self._trace is not None and blank_end > at:
            self._trace.blank(data[at:blank_end], base + at)
        self._scan = size - blank_end
        return blank_end, found

    def _read_head(self, data: bytes, at: int, base: int, events: list[Event]) -> int:
        raise NotImplementedError

    def _wait_for_head(self, data: bytes, at: int, base: int, line_feed: int, events: list[Event]) -> int:
        """The head at `at` has not ended: keep its bytes, unless they are more than a head may have."""
        size = len(data) - at
        cut = "request-line" if line_feed < 0 and size > self.max_request_line + 1 else ""
        if not cut and size > self.max_head:
            cut = "head"
        if cut:
            return self._too_large(cut, data, at, base, events)
        self._line_seen = line_feed >= 0
        self._scan = max(size - 2, 0) if self._line_seen else size
        return -1 - at

    def _too_large(self, what: str, data: bytes, at: int, base: int, events: list[Event]) -> int:
        cap = self.max_request_line if what == "request-line" else self.max_head
        self._glimpsed = data[at : at + _GLIMPSE]
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
        self._state = (SWITCHED if self._upgrade else BETWEEN) if self._last_kept else CLOSED
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
                if line_feed < 0 and size - at <= self.max_head:
                    self._scan = size - at
                    wait = True
                    break
                line = data[at : line_feed + 1]
                length = chunk_size(line) if 0 < len(line) <= self.max_head else None
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
                found = _TRAILER_AT_ONCE.match(data, at) or HEAD_END.search(data, at)
                if found is None and size - at <= self.max_head:
                    self._scan = max(size - at - 2, 0)
                    wait = True
                    break
                if found is None or found.end() - at > self.max_head:
                    lost = True  # held back like a head, and so bounded like one
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
