"""The state of one direction of a WebSocket: where each frame begins and ends, as the bytes arrive.

RFC 6455 §5. The reader never raises on a peer's bytes: what is wrong with a frame is told with it, and the next one
is looked for where the header says this one ends. It holds at most one unfinished header, whatever the lengths
claim; the frames don't depend on how the bytes were split.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.wire.websocket.frame import (
    CONTROL,
    KNOWN,
    LONGEST_HEADER,
    AnySpan,
    Frame,
    Opcode,
    frame_spans,
    header_size,
)
from inspectd.wire.websocket.oddities import oddity

if TYPE_CHECKING:
    from inspectd.wire.oddity import Oddity
    from inspectd.wire.websocket.deflate import Deflate


_DATA: Final = frozenset({Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY})
_COMPRESSIBLE: Final = frozenset({Opcode.TEXT, Opcode.BINARY})


class Sink(Protocol):
    """Who wants the payloads, in pieces and as they came (masked)."""

    def frame_begins(self, frame: Frame) -> None:
        """The header is there; `frame.end` is its end, or the frame's when that has come with it."""

    def payload(self, frame: Frame, data: bytes, at: int) -> None:
        """Bytes of the payload, from its byte `at` on."""

    def frame_ends(self, frame: Frame) -> None:
        """The last byte has come; or none will, and the frame isn't complete."""


class FrameReader:
    """Reads the frames of one direction, from the first byte after the handshake's head on.

    `client` says that the client sends them: its frames have to be masked, a server's must not be. `deflate` is the
    extension that the handshake agreed upon, which gives RSV1 a meaning.

    >>> [frame.name for frame in FrameReader(client=False).feed(b"\\x81\\x02hi\\x89\\x00")]
    ['text', 'ping']
    """

    def __init__(self, *, client: bool, deflate: Deflate | None = None, sink: Sink | None = None) -> None:
        self.client = client
        self.deflate = deflate
        self.offset = 0
        """Bytes fed so far."""
        self.ending: tuple[Oddity, ...] = ()
        """What is wrong with the stream's end, after `eof`."""
        self._sink = sink
        self._pending = bytearray()  # of a header
        self._frame: Frame | None = None  # whose payload is arriving
        self._left = 0  # bytes of it that are still to come
        self._fragmented = False  # a message is under way
        self._closed = False  # a close frame has begun

    @property
    def closed(self) -> bool:
        """Whether a close frame has been begun, behind which nothing may come."""
        return self._closed

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes and return the frames that they complete."""
        frames: list[Frame] = []
        base = self.offset
        self.offset += len(data)
        at, size = 0, len(data)
        while at < size:
            if self._frame is None:
                at = self._header(data, at, base)
            if self._frame is not None:
                at = self._payload(self._frame, data, at, base, frames)
        return frames

    def unfinished(self) -> Frame | None:
        """The frame that is still arriving, as far as it has come; None between frames."""
        if self._frame is not None:
            return replace(self._frame, end=self.offset)
        if self._pending:
            start = self.offset - len(self._pending)
            return self._read_header(bytes(self._pending), start, room=0)
        return None

    def eof(self) -> list[Frame]:
        """The peer has sent its last byte: return the frame that it broke off, and fill `ending`. Call it once."""
        cut = self.unfinished()
        ending = []
        if not self._closed:
            ending.append(oddity("ws-no-close", self.offset, self.offset))
        frames = []
        if cut is not None:
            began = self._frame is not None
            cut = replace(cut, oddities=(*cut.oddities, oddity("ws-cut-off", cut.start, cut.end)))
            if self._sink is not None:
                if not began:
                    self._sink.frame_begins(cut)
                self._sink.frame_ends(cut)
            frames.append(cut)
        if self._fragmented:
            ending.append(oddity("ws-message-unfinished", self.offset, self.offset))
        self._frame, self._left = None, 0
        self._pending.clear()
        self.ending = tuple(ending)
        return frames

    @staticmethod
    def spans(frame: Frame) -> list[AnySpan]:
        """Spans that tile the frame's bytes, bit by bit where a byte holds several parts."""
        return frame_spans(frame)

    def _header(self, data: bytes, at: int, base: int) -> int:
        """Read a header, or keep as much of it as there is; return where it ends in `data`."""
        pending = self._pending
        if not pending:
            header = data[at : at + LONGEST_HEADER]
            size = header_size(header)
            if size > len(header):
                pending += header
                return len(data)
            header = header[:size]
            start = base + at
            at += size
        else:
            start = base + at - len(pending)
            while (missing := header_size(pending) - len(pending)) > 0:
                piece = data[at : at + missing]
                if not piece:
                    return at
                pending += piece
                at += len(piece)
            header = bytes(pending)
            pending.clear()
        frame = self._read_header(header, start, room=len(data) - at)
        self._left = frame.length
        self._frame = frame
        if frame.opcode == Opcode.CLOSE:
            self._closed = True
        if frame.opcode in _DATA:
            self._fragmented = not frame.fin
        if self._sink is not None:
            self._sink.frame_begins(frame)
        return at

    def _payload(self, frame: Frame, data: bytes, at: int, base: int, frames: list[Frame]) -> int:
        """Pass the payload by; return where what belongs to the frame ends in `data`."""
        size = min(self._left, len(data) - at)
        if size and self._sink is not None:
            self._sink.payload(frame, data[at : at + size], frame.length - self._left)
        at += size
        self._left -= size
        if not self._left:
            if not frame.complete:
                frame = replace(frame, end=base + at, complete=True)
            self._frame = None
            frames.append(frame)
            if self._sink is not None:
                self._sink.frame_ends(frame)
        return at

    def _read_header(self, header: bytes, start: int, *, room: int) -> Frame:
        """The frame that a header describes, or the part of one; `room` bytes have come behind it."""
        have = len(header)
        first, second = header[0], header[1] if have > 1 else 0
        masked = second & 0x80 != 0
        size = header_size(header)
        key = size - 4 if masked else size
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(header[2:key], "big") if have >= key else 0
        found = self._first_byte(first, start) + self._second_byte(second, start, have)
        if have >= key:
            found += _length_oddities(first, length, start, key)
        payload_start = start + have
        complete = have == size and length <= room
        return Frame(
            start,
            payload_start + length if complete else payload_start,
            payload_start,
            first & 0x80 != 0,
            first & 0x40 != 0,
            first & 0x20 != 0,
            first & 0x10 != 0,
            first & 0x0F,
            masked,
            header[key:] if masked else b"",
            length,
            complete,
            tuple(found),
        )

    def _first_byte(self, byte: int, start: int) -> list[Oddity]:
        end = start + 1
        opcode = byte & 0x0F
        found = []
        if self._closed:
            found.append(oddity("ws-after-close", start, end))
        if byte & (0x30 if self.deflate else 0x70):
            found.append(oddity("ws-reserved-bit", start, end))
        elif byte & 0x40 and opcode not in _COMPRESSIBLE:
            found.append(oddity("ws-misplaced-rsv1", start, end))
        if opcode not in KNOWN:
            found.append(oddity("ws-reserved-opcode", start, end, opcode))
        elif opcode == Opcode.CONTINUATION:
            if not self._fragmented:
                found.append(oddity("ws-continuation-without-start", start, end))
        elif opcode < CONTROL and self._fragmented:
            found.append(oddity("ws-message-interrupted", start, end))
        if opcode >= CONTROL and not byte & 0x80:
            found.append(oddity("ws-control-fragmented", start, end))
        return found

    def _second_byte(self, byte: int, start: int, have: int) -> list[Oddity]:
        masked = byte & 0x80 != 0
        if have < 2 or masked is self.client:
            return []
        name = "ws-unmasked-client" if self.client else "ws-masked-server"
        return [oddity(name, start + 1, start + 2)]


def _length_oddities(first: int, length: int, start: int, key: int) -> list[Oddity]:
    """What is wrong with a length that ends at byte `key` of its header."""
    found = []
    bits = (key - 2) * 8
    if bits and length < (126 if bits == 16 else 1 << 16):
        found.append(oddity("ws-length-not-shortest", start + 1, start + key, length, bits))
    if length >> 63:
        found.append(oddity("ws-length-highest-bit", start + 2, start + 3, length))
    if first & CONTROL and length > 125:
        found.append(oddity("ws-control-too-long", start + 1, start + key, length))
    return found
