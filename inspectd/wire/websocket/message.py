"""Messages of a WebSocket: frames joined, unmasked and inflated, as the bytes of one direction arrive.

RFC 6455 §5.4 to §5.6, RFC 7692 §6. Control frames may stand between the frames of a message and are messages of their
own here, as are frames that mean nothing. Of a payload at most a limit is kept and the rest is counted; nothing that a
peer sends raises, and time is linear in the bytes that come in and come out of compressed ones, which are bounded.
"""

from __future__ import annotations

import codecs
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from inspectd.wire.websocket.frame import Frame, Opcode, unmask
from inspectd.wire.websocket.oddities import oddity
from inspectd.wire.websocket.reader import FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.wire.oddity import Oddity
    from inspectd.wire.websocket.deflate import Deflate, Inflater

PAYLOAD_LIMIT: Final = 1 << 20
"""Bytes of a message's payload that are kept unless the caller names a limit."""
INFLATED_LIMIT: Final = 64 << 20
"""Bytes that are let come out of one compressed message."""
FRAMES_KEPT: Final = 1000
"""Frames of one message that are kept unless the caller names a limit; the others are counted."""
ODDITIES_KEPT: Final = 50
"""Oddities of one message that are kept."""

WsKind: TypeAlias = Literal["text", "binary", "close", "ping", "pong", "continuation", "reserved"]
"""What a message is: its opcode's name. A continuation of nothing and reserved opcodes are told apart as well."""

_KINDS: Final[dict[int, WsKind]] = {
    Opcode.CONTINUATION: "continuation",
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary",
    Opcode.CLOSE: "close",
    Opcode.PING: "ping",
    Opcode.PONG: "pong",
}
_LASTING: Final = frozenset({Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY})
# What an endpoint may send (RFC 6455 §7.4 and the IANA registry): 1004 means nothing; 1005, 1006 and 1015 are never
# on the wire.
_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


def allowed_close_code(code: int) -> bool:
    """Whether this code may stand in a close frame (RFC 6455 §7.4)."""
    return code in _CODES


@dataclass(frozen=True, slots=True)
class WsMessage:
    """One message. Offsets count from the first byte after the handshake's head.

    `start` is that of its first frame and `end` that of its last one; control frames may lie between them. `frames`
    are the first ones of its `fragments`, as many as the reader keeps. `payload` is unmasked and inflated, its first
    bytes as far as the reader's limit goes; `size` is the length of all of it, and `wire_size` that of the frames'
    payloads as they came. `complete` is false for a message that was broken off. `oddities` holds those of its frames
    as well.
    """

    start: int
    end: int
    kind: WsKind
    opcode: int
    frames: tuple[Frame, ...]
    fragments: int
    payload: bytes
    size: int
    wire_size: int
    compressed: bool
    complete: bool
    close_code: int | None = None
    close_reason: str | None = None
    """The reason as text, where bytes that aren't UTF-8 are shown as `\\xff`."""
    oddities: tuple[Oddity, ...] = ()

    @property
    def masked(self) -> bool:
        """Whether its frames are masked; the first one tells."""
        return self.frames[0].masked

    @property
    def truncated(self) -> bool:
        """Whether `payload` is only the beginning of it."""
        return self.size > len(self.payload)


class _Building:
    """A message that is arriving."""

    __slots__ = (
        "_decoder",
        "_frames_kept",
        "_limit",
        "_places",
        "_utf8",
        "compressed",
        "end",
        "fragments",
        "frames",
        "kind",
        "oddities",
        "opcode",
        "payload",
        "size",
        "start",
        "stopped",
        "wire_size",
    )

    def __init__(self, frame: Frame, *, compressed: bool, limit: int, frames: int) -> None:
        self.start = frame.start
        self.end = frame.end
        self.opcode = frame.opcode
        self.kind: WsKind = _KINDS.get(frame.opcode, "reserved")
        self.frames: list[Frame] = []
        self.fragments = 0
        self.payload = bytearray()
        self.size = 0
        self.wire_size = 0
        self.compressed = compressed
        self.stopped = False  # no more of it is inflated
        self.oddities: list[Oddity] = []
        self._limit = limit
        self._frames_kept = frames
        self._decoder = codecs.getincrementaldecoder("utf-8")() if self.kind == "text" else None
        # Where the last pieces of the payload lie: a character may be divided between four frames.
        self._places: deque[tuple[int, int]] = deque(maxlen=8)
        self._utf8 = False  # text that isn't UTF-8 came out of compressed bytes

    def came(self, data: bytes, wire: int) -> None:
        """Take bytes of the payload as they are: they stand at offset `wire` of the stream."""
        self._places.append((self.size, wire))
        self.take(data)

    def take(self, data: bytes) -> None:
        """Take bytes of the payload."""
        room = self._limit - len(self.payload)
        if room > 0:
            self.payload += data[:room]
        self._check(data)
        self.size += len(data)

    def _check(self, data: bytes, *, final: bool = False) -> None:
        """RFC 6455 §8.1: a text message has to be UTF-8 as a whole, whatever its frames are cut like."""
        decoder = self._decoder
        if decoder is None:
            return
        held, _ = decoder.getstate()
        try:
            decoder.decode(data, final)
        except UnicodeDecodeError as error:
            self._decoder = None
            if self.compressed:
                self._utf8 = True
            else:
                first = self.size - len(held) + error.start
                last = self.size - len(held) + error.end - 1
                self.say(oddity("ws-invalid-utf8", self._place(first), self._place(last) + 1))

    def _place(self, at: int) -> int:
        """Where byte `at` of the payload, one of the last few, stands in the stream."""
        return next(wire + at - start for start, wire in reversed(self._places) if start <= at)

    def add(self, frame: Frame) -> None:
        """Take a frame that has ended."""
        self.fragments += 1
        self.end = frame.end
        if len(self.frames) < self._frames_kept:
            self.frames.append(frame)
        for each in frame.oddities:
            self.say(each)

    def say(self, found: Oddity) -> None:
        if len(self.oddities) < ODDITIES_KEPT:
            self.oddities.append(found)

    def finish(self, *, complete: bool) -> WsMessage:
        """The message as it is now that nothing more of it comes."""
        code = reason = None
        if complete:
            if not self.stopped:
                self._check(b"", final=True)
        elif self.opcode in _LASTING:
            self.say(oddity("ws-message-unfinished", self.start, self.end))
        if self._utf8:
            self.say(oddity("ws-invalid-utf8", self.start, self.end))
        if self.kind == "close" and complete:
            code, reason = self._close()
        return self.message(complete=complete, code=code, reason=reason)

    def message(self, *, complete: bool, code: int | None = None, reason: str | None = None) -> WsMessage:
        """The message as far as it has come."""
        return WsMessage(
            self.start,
            self.end,
            self.kind,
            self.opcode,
            tuple(self.frames),
            self.fragments,
            bytes(self.payload),
            self.size,
            self.wire_size,
            self.compressed,
            complete,
            code,
            reason,
            tuple(self.oddities),
        )

    def _close(self) -> tuple[int | None, str | None]:
        """Read the payload of a close frame (RFC 6455 §5.5.1)."""
        payload = bytes(self.payload)
        start = self.frames[0].payload_start
        if len(payload) < 2:
            if self.size == 1:
                self.say(oddity("ws-close-one-byte", start, start + 1))
            return None, None
        code = int.from_bytes(payload[:2], "big")
        if code not in _CODES:
            self.say(oddity("ws-close-code", start, start + 2, code))
        try:
            codecs.getincrementaldecoder("utf-8")().decode(payload[2:], self.size == len(payload))
        except UnicodeDecodeError as error:
            at = start + 2 + error.start
            self.say(oddity("ws-close-reason-utf8", at, start + 2 + error.end))
        return code, payload[2:].decode("utf-8", "backslashreplace")


class MessageReader:
    """Reads the messages of one direction, from the first byte after the handshake's head on.

    `client` says that the client sends them, `deflate` what the handshake agreed upon; `limit` is how many bytes of a
    payload are kept, and `frames` how many frames of a message, at least one.

    >>> [(each.kind, each.payload) for each in MessageReader(client=False).feed(b"\\x01\\x01h\\x89\\x00\\x80\\x01i")]
    [('ping', b''), ('text', b'hi')]
    """

    def __init__(
        self,
        *,
        client: bool,
        deflate: Deflate | None = None,
        limit: int = PAYLOAD_LIMIT,
        frames: int = FRAMES_KEPT,
    ) -> None:
        self._frames = FrameReader(client=client, deflate=deflate, sink=self)
        self._inflater: Inflater | None = None if deflate is None else deflate.inflater(client=client)
        self._limit = limit
        self._frames_kept = frames
        self._lasting: _Building | None = None  # the message under way
        self._building: _Building | None = None  # what the frame under way belongs to
        self._out: list[WsMessage] = []

    @property
    def offset(self) -> int:
        """Bytes fed so far."""
        return self._frames.offset

    @property
    def closed(self) -> bool:
        """Whether a close frame has been begun, behind which nothing may come."""
        return self._frames.closed

    @property
    def ending(self) -> tuple[Oddity, ...]:
        """What is wrong with the stream's end, after `eof`."""
        return self._frames.ending

    def feed(self, data: bytes) -> list[WsMessage]:
        """Take the next bytes and return the messages that they complete, or that are broken off by what follows."""
        self._out = []
        self._frames.feed(data)
        return self._out

    def unfinished(self) -> WsMessage | None:
        """The message that is under way, as far as it has come; None between messages, and before a first frame."""
        building = self._lasting
        if building is None:
            building = self._building
        frame = self._frames.unfinished()
        if building is None:
            return None
        message = building.message(complete=False)
        if building is self._building and frame is not None:
            frames = (*message.frames, frame)[: self._frames_kept]
            message = replace(message, frames=frames, end=frame.end)
        return message

    def eof(self) -> list[WsMessage]:
        """The peer has sent its last byte: return what it broke off, and fill `ending`. Call it once."""
        self._out = []
        self._frames.eof()
        if self._lasting is not None:
            self._end(self._lasting, complete=False)
        return self._out

    # -- what the reader of frames tells

    def frame_begins(self, frame: Frame) -> None:
        """Find the message that the frame belongs to."""
        lasting = self._lasting
        if frame.opcode == Opcode.CONTINUATION and lasting is not None:
            self._building = lasting
            return
        if frame.opcode in _LASTING:
            if lasting is not None:
                self._end(lasting, complete=False)
            compressed = frame.rsv1 and self._inflater is not None and frame.opcode != Opcode.CONTINUATION
            self._lasting = self._building = self._build(frame, compressed=compressed)
        else:
            self._building = self._build(frame, compressed=False)

    def _build(self, frame: Frame, *, compressed: bool) -> _Building:
        return _Building(frame, compressed=compressed, limit=self._limit, frames=self._frames_kept)

    def payload(self, frame: Frame, data: bytes, at: int) -> None:
        """Take bytes of a payload."""
        building = self._building
        assert building is not None
        building.wire_size += len(data)
        plain = unmask(data, frame.mask, at)
        if building.compressed:
            assert self._inflater is not None
            self._inflate(building, self._inflater.feed(plain))
        else:
            building.came(plain, frame.payload_start + at)

    def _inflate(self, building: _Building, pieces: Iterable[bytes]) -> None:
        if building.stopped:
            return
        for piece in pieces:
            room = INFLATED_LIMIT - building.size
            building.take(piece[:room])
            if len(piece) > room:
                building.stopped = True
                return

    def frame_ends(self, frame: Frame) -> None:
        """The frame has ended, and perhaps its message."""
        building, self._building = self._building, None
        assert building is not None
        building.add(frame)
        if building is not self._lasting:
            self._out.append(building.finish(complete=frame.complete))
        elif frame.fin and frame.complete:
            self._end(building, complete=True)

    def _end(self, building: _Building, *, complete: bool) -> None:
        self._lasting = None
        if building.compressed and self._inflater is not None:
            self._end_inflating(building, self._inflater, complete=complete)
        self._out.append(building.finish(complete=complete))

    def _end_inflating(self, building: _Building, inflater: Inflater, *, complete: bool) -> None:
        """What comes out at the end of a compressed message, and what that means for those that lean on it."""
        if complete:
            self._inflate(building, inflater.tail())
        if building.stopped:
            building.say(oddity("ws-inflate-limit", building.start, building.end, INFLATED_LIMIT))
        elif inflater.failed:
            building.stopped = True  # what is missing says nothing about its encoding
            building.say(oddity("ws-inflate-error", building.start, building.end, inflater.failed))
        whole = complete and not building.stopped
        inflater.end("" if whole else "a message before it was not inflated to its end")
