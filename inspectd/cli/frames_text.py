"""The frames of a WebSocket in one direction, bit by bit, for `inspectd anatomy`; their messages below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inspectd.cli.conversation_text import (
    facts_of_message,
    frame_facts,
    oddity_facts,
    payload_facts,
    payload_lines,
)
from inspectd.cli.message_text import is_text
from inspectd.cli.output import draws_glyphs
from inspectd.explain import websocket as explain
from inspectd.text.safe import ASCII, UNICODE, pad, safe
from inspectd.wire.framing import has_option
from inspectd.wire.span import BitSpan, Role
from inspectd.wire.websocket import (
    Deflate,
    Frame,
    FrameReader,
    MessageReader,
    WsMessage,
    extensions,
    frame_spans,
    negotiated,
    unmask,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.wire import Span, Stream
    from inspectd.wire.oddity import Oddity
    from inspectd.wire.websocket.frame import AnySpan

SHOWN_BYTES: Final = 256
"""Bytes of a payload that are drawn unless all are asked for."""
_ROLE_WIDTH: Final = 19
_VALUE_WIDTH: Final = 12
_ROW: Final = 16
_PAYLOAD_SHOWN: Final = 4096
_DEFLATE: Final = b"permessage-deflate"


class Direction(NamedTuple):
    """Bytes of one direction after the handshake: where they begin, who sent them, what was agreed upon."""

    data: bytes
    start: int
    client: bool
    deflate: Deflate | None


def after_the_switch(stream: Stream) -> Direction | None:
    """What follows the head of a WebSocket's handshake in a stream; None when it has none, or nothing follows.

    One direction alone shows what the server agreed to, or what the client offered: that counts as agreed.
    """
    if not stream.messages or not stream.spans or stream.spans[-1].role is not Role.TUNNEL:
        return None
    last, start = stream.messages[-1], stream.spans[-1].start
    if not has_option(last.head.get(b"upgrade"), b"websocket"):
        return None
    fields = [(field.name_bytes, field.value_bytes) for field in last.head.fields]
    client = last.kind == "request"
    if client:
        deflate = Deflate() if any(each.name == _DEFLATE for each in extensions(fields)) else None
    else:
        deflate = negotiated(fields, fields)
    return Direction(stream.data[start:], start, client, deflate)


class _Frames(NamedTuple):
    frames: list[Frame]
    messages: list[WsMessage]
    ending: tuple[Oddity, ...]


def _read(direction: Direction, *, limit: int, eof: bool) -> _Frames:
    reader = FrameReader(client=direction.client, deflate=direction.deflate)
    frames = reader.feed(direction.data)
    joined = MessageReader(client=direction.client, deflate=direction.deflate, limit=limit)
    messages = joined.feed(direction.data)
    if eof:
        frames += reader.eof()
        messages += joined.eof()
    else:
        cut = reader.unfinished()
        arriving = joined.unfinished()
        frames += [] if cut is None else [cut]
        messages += [] if arriving is None else [arriving]
    return _Frames(frames, messages, reader.ending)


# ------------------------------------------------------------------------------------------------------- text


def frame_lines(
    direction: Direction, paint: Callable[[str, str], str], *, full: bool, eof: bool = True
) -> Iterator[str]:
    """Every frame, a line for each of its parts, with what is wrong with it; the message below its last frame."""
    found = _read(direction, limit=_PAYLOAD_SHOWN, eof=eof)
    drawing = _Drawing(direction, paint, full=full)
    ended: dict[int, list[WsMessage]] = {}
    for message in found.messages:
        ended.setdefault(message.end, []).append(message)
    for number, frame in enumerate(found.frames, 1):
        yield from drawing.frame(number, frame)
        for message in ended.get(frame.end, ()):
            yield from drawing.message(message)
        yield ""
    if not found.frames:
        yield "no frames"
    for oddity in found.ending:
        yield drawing.note("but", f"{oddity.sentence} ({oddity.section})", "red")


class _Drawing:
    """Frames as lines of text."""

    def __init__(self, direction: Direction, paint: Callable[[str, str], str], *, full: bool) -> None:
        self._direction = direction
        self._paint = paint
        self._full = full
        self._digits = max(4, len(f"{direction.start + len(direction.data):x}"))
        self._dash = "·" if draws_glyphs() else "-"
        self._glyphs = UNICODE if draws_glyphs() else ASCII

    def frame(self, number: int, frame: Frame) -> Iterator[str]:
        size = frame.end - frame.start
        who = "client" if self._direction.client else "server"
        state = "complete" if frame.complete else "not complete"
        words = (f"{frame.name} frame {number} from the {who}", _bytes(size), state)
        yield self._paint(f" {self._dash} ".join(words), "bold")
        for span in frame_spans(frame):
            yield from self._rows(span, frame)
        for oddity in frame.oddities:
            yield self.note("but", f"{oddity.sentence} ({oddity.section})", "red")

    def _rows(self, span: AnySpan, frame: Frame) -> Iterator[str]:
        data = self._direction.data[span.start : span.end]
        role = self._paint(pad(span.role.value, _ROLE_WIDTH), _COLOURS.get(span.role, "dim"))
        at = self._direction.start + span.start
        masked = frame.mask if span.role is Role.WS_CLOSE_CODE else b""
        about = explain.part(span, unmask(data, masked))
        if isinstance(span, BitSpan):
            yield f"{at:0{self._digits}x} {role}{pad(_bits(span, data[0]), _VALUE_WIDTH)}{self._plain(about.sentence)}"
            return
        if span.role is Role.WS_PAYLOAD or span.role is Role.WS_CLOSE_REASON:
            yield from self._payload(span, role)
            return
        shown = pad(f"{data.hex(' ')} ", _VALUE_WIDTH)
        title = f"{about.title}. " if span.role in _NUMBERS else ""
        yield f"{at:0{self._digits}x} {role}{shown}{self._plain(title + about.sentence)}"

    def _payload(self, span: Span | BitSpan, role: str) -> Iterator[str]:
        stop = span.end if self._full else min(span.end, span.start + SHOWN_BYTES)
        for at in range(span.start, stop, _ROW):
            data = self._direction.data[at : min(at + _ROW, stop)]
            yield f"{self._direction.start + at:0{self._digits}x} {role}{data.hex(' ')}"
            role = " " * _ROLE_WIDTH
        if stop < span.end:
            left = self._paint(f"({span.end - stop:,} more bytes)", "dim")
            yield f"{self._direction.start + stop:0{self._digits}x} {role}{left}"

    def message(self, message: WsMessage) -> Iterator[str]:
        """What the frames up to here say together."""
        yield self.note("message", facts_of_message(message), "dim")
        if message.close_code is not None:
            about = explain.close_code(message.close_code)
            yield self.note("", f"{about.title}: {about.sentence}", "dim")
        if message.close_code is not None:
            lines = [safe(message.close_reason)] if message.close_reason else []
        elif message.masked or message.compressed or message.kind == "text" or is_text(message.payload):
            lines = payload_lines(message)
        else:
            lines = []  # they stand above as they are
        for line in lines:
            yield f"{' ' * (self._digits + 1 + _ROLE_WIDTH)}{line}"
        if message.truncated:
            yield self.note("", f"({message.size - len(message.payload):,} more bytes)", "dim")
        told = {oddity for frame in message.frames for oddity in frame.oddities}
        for oddity in message.oddities:
            if oddity not in told:
                yield self.note("but", f"{oddity.sentence} ({oddity.section})", "red")

    def note(self, label: str, words: str, colour: str) -> str:
        text = self._paint(pad(label, _ROLE_WIDTH) + self._plain(safe(words)), colour)
        return f"{' ' * self._digits} {text}"

    def _plain(self, words: str) -> str:
        return words if self._glyphs is UNICODE else words.replace("§", "section ")


_NUMBERS: Final = frozenset({Role.WS_PAYLOAD_LENGTH, Role.WS_CLOSE_CODE})
_COLOURS: Final = {
    Role.WS_OPCODE: "green",
    Role.WS_PAYLOAD_LENGTH: "magenta",
    Role.WS_MASKING_KEY: "yellow",
    Role.WS_CLOSE_CODE: "green",
    Role.WS_PAYLOAD: "cyan",
    Role.WS_CLOSE_REASON: "cyan",
}


def _bits(span: BitSpan, byte: int) -> str:
    """The bits where they stand in their byte: `.101 ....`."""
    value = f"{span.value(byte):0{span.bits}b}"
    whole = "." * span.bit + value + "." * (8 - span.bit - span.bits)
    return f"{whole[:4]} {whole[4:]}"


def _bytes(count: int) -> str:
    return f"{count:,} {'byte' if count == 1 else 'bytes'}"


# ------------------------------------------------------------------------------------------------------- JSON


def span_facts(direction: Direction) -> Iterator[dict[str, Any]]:
    """The spans of all frames, those of bits with `bit` and `bits`; offsets count from the stream's first byte."""
    for frame in _read(direction, limit=0, eof=True).frames:
        for span in frame_spans(frame):
            at = {"start": direction.start + span.start, "end": direction.start + span.end}
            yield span._asdict() | at


def direction_facts(direction: Direction, *, eof: bool = True) -> dict[str, Any]:
    """Frames with their oddities, messages, and what is wrong with the end."""
    found = _read(direction, limit=1 << 20, eof=eof)
    start = direction.start
    return {
        "from": "client" if direction.client else "server",
        "frames": [
            frame_facts(frame, start) | {"oddities": [oddity_facts(each, start) for each in frame.oddities]}
            for frame in found.frames
        ],
        "messages": [payload_facts(message, start) for message in found.messages],
        "oddities": [oddity_facts(each, start) for each in found.ending],
    }
