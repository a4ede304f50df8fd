"""A message of a WebSocket, or an event of a stream, in runs: a row for the list, and everything there is to say of it.

What a peer sent passes through `inspectd.text.safe` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd import explain
from inspectd.capture.messages import TimedMessage
from inspectd.capture.model import INCOMING
from inspectd.text import hexdump
from inspectd.text.pretty import pretty
from inspectd.text.safe import safe
from inspectd.tui.widgets.panes.prose import GAP, Block, Folded, Line, Paragraph, clipped
from inspectd.tui.widgets.panes.times import clock, count, since
from inspectd.tui.widgets.wireview import Run
from inspectd.wire.span import BitSpan, Role
from inspectd.wire.websocket import frame_spans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from inspectd.capture.messages import TimedEvent
    from inspectd.tui.conversation import Conversation, Entry
    from inspectd.wire.oddity import Oddity
    from inspectd.wire.span import Span
    from inspectd.wire.websocket import Frame, WsMessage

_PREVIEW: Final = 300
_HEADER_MOST: Final = 16
_HEX_MOST: Final = 4096
_HEX_BESIDE: Final = 14
"""Cells of a row of hexadecimal beside the four that each byte takes."""
_BYTES_SHOWN: Final = 4
_PARTS: Final = {
    Role.WS_FIN: "FIN",
    Role.WS_RSV1: "RSV1",
    Role.WS_RSV2: "RSV2",
    Role.WS_RSV3: "RSV3",
    Role.WS_OPCODE: "opcode",
    Role.WS_MASK: "MASK",
    Role.WS_PAYLOAD_LENGTH: "length",
    Role.WS_MASKING_KEY: "masking key",
    Role.WS_PAYLOAD: "payload",
    Role.WS_CLOSE_CODE: "close code",
    Role.WS_CLOSE_REASON: "close reason",
}
_TITLED: Final = frozenset({Role.WS_OPCODE, Role.WS_PAYLOAD_LENGTH, Role.WS_CLOSE_CODE})
"""Parts whose value has a name, or is a number to be read."""
_KIND_STYLES: Final = {"text": "strong", "binary": "value", "close": "warning", "ping": "dim", "pong": "dim"}


class HexLines:
    """Bytes in hexadecimal with their characters: sixteen a row, or eight or four where there is less room."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def height(self, width: int) -> int:
        """Rows it takes at this width."""
        return -(-len(self._data) // self._per_row(width))

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """Those rows."""
        count = self._per_row(width)
        return [
            clipped([Run(row.line(count), "value")], width) for row in hexdump.rows(self._data, width=count)
        ]

    @staticmethod
    def _per_row(width: int) -> int:
        return next((count for count in (16, 8) if _HEX_BESIDE + 4 * count <= width), 4)


def describe(entry: Entry, start: int) -> list[Run]:
    """One row of the list."""
    when = Run(f"{since(entry.ns, start):>10}  ", "dim")
    return [when, *(_message_row(entry) if isinstance(entry, TimedMessage) else _event_row(entry))]


def named_payload(entry: Entry) -> tuple[str, bytes]:
    """What would be copied: a name for it, and its bytes."""
    if isinstance(entry, TimedMessage):
        return f"payload of the {entry.message.kind} message", entry.message.payload
    return "data of the event", entry.event.data


def explain_message(entry: Entry, conversation: Conversation) -> list[Block]:
    """All of it: what it is, what is wrong with it, its payload, and the bits of its frames."""
    if isinstance(entry, TimedMessage):
        return [*_message_head(entry), *_message_payload(entry.message), *_frames(entry, conversation)]
    return list(_event_page(entry))


# ------------------------------------------------------------------------------------------------------- WebSocket


def _message_row(entry: TimedMessage) -> list[Run]:
    message = entry.message
    arrow = Run("← ", "good") if entry.direction == INCOMING else Run("→ ", "target")
    kind = message.kind + ("…" if not message.complete else "")
    runs = [
        arrow,
        Run(f"{kind:<8}", _KIND_STYLES.get(message.kind, "odd")),
        Run(f"{message.size:>8,}  ", "dim"),
    ]
    if message.oddities:
        runs.append(Run("⚠ ", "warning"))
    if message.kind == "close":
        code = "no code" if message.close_code is None else str(message.close_code)
        return [*runs, Run(code, "warning"), Run(f" {safe(message.close_reason or '')}", "plain")]
    if message.kind == "text":
        return [*runs, Run(_preview(message.payload), "plain")]
    return [*runs, Run(message.payload[:32].hex(" "), "value")]


def _preview(data: bytes) -> str:
    return safe(data[:_PREVIEW].decode("utf-8", "backslashreplace"))


def _message_head(entry: TimedMessage) -> Iterator[Block]:
    message = entry.message
    who = "from the client" if entry.direction == INCOMING else "to the client"
    yield Line(Run(f"{message.kind} ", "strong"), Run(f"{who}, complete at {clock(entry.ns)}", "plain"))
    facts = [count(message.fragments, "frame"), "masked" if message.masked else "not masked"]
    if message.compressed:
        facts.append(f"compressed: {count(message.wire_size, 'byte')} on the wire")
    facts.append(f"payload of {count(message.size, 'byte')}")
    if not message.complete:
        facts.append("broken off")
    yield Paragraph(Run(", ".join(facts), "dim"))
    if message.close_code is not None:
        meaning = explain.close_code(message.close_code)
        yield GAP
        yield Paragraph(Run(f"{meaning.title}  ", "strong"), Run(meaning.sentence, "plain"))
        if meaning.paragraph:
            yield Paragraph(Run(meaning.paragraph, "dim"))
        yield Paragraph(Run(meaning.source, "faint"))
    yield from _oddities(message.oddities)


def _oddities(found: tuple[Oddity, ...]) -> Iterator[Block]:
    if found:
        yield GAP
    for oddity in found:
        yield Paragraph(
            Run("⚠ ", "warning"),
            Run(f"{oddity.id}  ", "warning"),
            Run(f"{oddity.sentence} ", "plain"),
            Run(oddity.section, "faint"),
        )


def _message_payload(message: WsMessage) -> Iterator[Block]:
    if message.kind == "close" or not message.payload:
        return
    yield GAP
    yield Line(
        Run("Payload", "heading"), Run("  unmasked" + (", inflated" if message.compressed else ""), "dim")
    )
    yield from _content(message.payload, text=message.kind == "text")
    if message.truncated:
        yield Line(Run(f"the first {len(message.payload):,} of {message.size:,} bytes", "warning"))


def _content(data: bytes, *, text: bool) -> Iterator[Block]:
    if text:
        media_type = b"application/json" if data[:1] in {b"{", b"["} else b"text/plain; charset=utf-8"
        for line in pretty(data, media_type).lines:
            yield Folded(line)
    else:
        yield HexLines(data[:_HEX_MOST])


def _frames(entry: TimedMessage, conversation: Conversation) -> Iterator[Block]:
    """Every bit of the headers (RFC 6455 §5.2)."""
    frames = entry.message.frames
    for number, frame in enumerate(frames, 1):
        yield GAP
        of = f" {number} of {entry.message.fragments:,}" if entry.message.fragments > 1 else ""
        yield Line(
            Run(f"Frame{of}", "heading"),
            Run(f"  {count(frame.end - frame.start, 'byte')} on the wire", "dim"),
        )
        yield from _bits(
            frame, conversation.frame_bytes(entry, frame.start, min(frame.end, frame.start + _HEADER_MOST))
        )
    if entry.message.fragments > len(frames):
        yield Line(Run(f"… {entry.message.fragments - len(frames):,} frames more", "dim"))


def _bits(frame: Frame, data: bytes) -> Iterator[Block]:
    """A line for each part: where, its bits or bytes, its name, and what its value says."""
    parts = []
    for span in frame_spans(frame):
        at = span.start - frame.start
        if at >= len(data):
            break
        parts.append((at, span, _shown(span, data[at : span.end - frame.start])))
    width = max((len(shown) for _, _, shown in parts), default=0)
    for at, span, shown in parts:
        raw = b"" if span.role is Role.WS_CLOSE_CODE and frame.masked else data[at : span.end - frame.start]
        meaning = explain.websocket.part(span, raw)
        value = f" {meaning.title}" if span.role in _TITLED and raw else ""
        yield Paragraph(
            Run(f"{at:04x}  ", "faint"),
            Run(f"{shown:<{width}}  ", "value"),
            Run(f"{_PARTS.get(span.role, str(span.role))}{value}  ", "name"),
            Run(meaning.sentence, "dim"),
            hang=8 + width,
        )


def _shown(span: Span | BitSpan, raw: bytes) -> str:
    """The bits where they stand in their byte, or bytes in hexadecimal: of a payload the first ones."""
    if isinstance(span, BitSpan):
        bits = f"{span.value(raw[0]):0{span.bits}b}"
        return "·" * span.bit + bits + "·" * (8 - span.bit - span.bits)
    if span.role is Role.WS_PAYLOAD_LENGTH or span.end - span.start <= _BYTES_SHOWN:
        return raw.hex(" ") if len(raw) <= _BYTES_SHOWN else raw.hex()
    return f"{raw[: _BYTES_SHOWN - 1].hex(' ')} …"


# ------------------------------------------------------------------------------------------------------- events


def _event_row(entry: TimedEvent) -> list[Run]:
    event = entry.event
    runs: list[Run] = []
    if event.oddities:
        runs.append(Run("⚠ ", "warning"))
    if event.dispatched or event.data_lines:
        name = "message" if event.event is None else safe(event.event[:80])
        runs += [
            Run(f"{name:<12} ", "strong"),
            Run(f"{event.size:>7,}  ", "dim"),
            Run(_preview(event.data), "plain"),
        ]
    elif event.comment is not None:
        runs += [Run(f"{'comment':<12} ", "dim"), Run(_preview(event.comment), "dim")]
    else:
        runs.append(Run("no data: no page is told of it", "dim"))
    return runs


def _event_page(entry: TimedEvent) -> Iterator[Block]:
    event = entry.event
    name = "message" if event.event is None else safe(event.event[:_PREVIEW])
    what = f"event {name} " if event.data_lines or event.event is not None else "no event "
    yield Line(Run(what, "strong"), Run(f"complete at {clock(entry.ns)}", "plain"))
    told = "a page that listens is told of it" if event.dispatched else "no page is told of it"
    yield Paragraph(
        Run(
            f"{count(event.end - event.start, 'byte')}, {count(event.data_lines, 'data line')}: {told}", "dim"
        )
    )
    if event.id is not None:
        yield Paragraph(Run("id  ", "name"), Run(safe(event.id[:_PREVIEW]), "value"))
    elif event.last_id:
        yield Paragraph(Run("last id  ", "name"), Run(safe(event.last_id[:_PREVIEW]), "dim"))
    if event.retry is not None:
        yield Paragraph(Run("retry  ", "name"), Run(f"after {event.retry:,} ms", "value"))
    if event.comment is not None:
        yield Paragraph(Run("comment  ", "name"), Run(_preview(event.comment), "dim"))
    yield from _oddities(event.oddities)
    if event.data:
        yield GAP
        yield Line(Run("Data", "heading"))
        yield from _content(event.data, text=True)
        if event.truncated:
            yield Line(Run(f"the first {len(event.data):,} of {event.size:,} bytes", "warning"))
