"""Frames (RFC 6455 §5.2): what a header says, where it stands, and a span for each of its bits.

    0                   1                   2                   3
    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
   +-+-+-+-+-------+-+-------------+-------------------------------+
   |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
   |I|S|S|S|  (4)  |A|     (7)     |            (16/64)            |
   |N|V|V|V|       |S|             |   (if payload len==126/127)   |
   | |1|2|3|       |K|             |                               |
   +-+-+-+-+-------+-+-------------+-------------------------------+

No payload is kept here, so a frame costs the same whatever length it claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.wire.span import BitSpan, Role, Span

if TYPE_CHECKING:
    from inspectd.wire.oddity import Oddity

LONGEST_HEADER: Final = 14
_EXTENDED: Final = {126: 2, 127: 8}
_SLICE: Final = 65536


class Opcode(IntEnum):
    """What a frame is (RFC 6455 §11.8). The numbers that are missing are reserved."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


CONTROL: Final = 8
"""Opcodes from here on are those of control frames."""
KNOWN: Final = frozenset(Opcode)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. Offsets count from the first byte after the handshake's head.

    `length` is what the header says the payload has; `payload_start` to `end` are the bytes of it that came, all of
    them when the frame is `complete`. `mask` is the masking key, empty when the frame isn't `masked`. Of a header
    that is cut off, what didn't come is False, 0 or empty.
    """

    start: int
    end: int
    payload_start: int
    fin: bool
    rsv1: bool
    rsv2: bool
    rsv3: bool
    opcode: int
    masked: bool
    mask: bytes
    length: int
    complete: bool
    oddities: tuple[Oddity, ...] = ()

    @property
    def control(self) -> bool:
        """Whether this is a control frame, which may stand between the frames of a message."""
        return self.opcode >= CONTROL

    @property
    def name(self) -> str:
        """`text`, `close`; `reserved 3` for an opcode that has no meaning."""
        return opcode_name(self.opcode)


AnySpan: TypeAlias = Span | BitSpan


def opcode_name(opcode: int) -> str:
    """`text`, `close`; `reserved 3` for an opcode that has no meaning."""
    return Opcode(opcode).name.lower() if opcode in KNOWN else f"reserved {opcode}"


def header_size(start: bytes | bytearray) -> int:
    """How many bytes the header has that begins so: 2 as long as only one of them is known."""
    if len(start) < 2:
        return 2
    second = start[1]
    return 2 + _EXTENDED.get(second & 0x7F, 0) + (4 if second & 0x80 else 0)


_FIRST: Final = (
    (Role.WS_FIN, 0, 1),
    (Role.WS_RSV1, 1, 1),
    (Role.WS_RSV2, 2, 1),
    (Role.WS_RSV3, 3, 1),
    (Role.WS_OPCODE, 4, 4),
)
_SECOND: Final = ((Role.WS_MASK, 0, 1), (Role.WS_PAYLOAD_LENGTH, 1, 7))


def frame_spans(frame: Frame) -> list[AnySpan]:
    """Spans that tile the frame's bytes, those of its first two bytes by their bits.

    The length stands in the seven bits, and behind them when they are 126 or 127; both have the same role.
    """
    start, header_end = frame.start, frame.payload_start
    spans: list[AnySpan] = []
    for byte, parts in enumerate((_FIRST, _SECOND)):
        at = start + byte
        if at < header_end:
            spans += [BitSpan(at, at + 1, role, bit, bits) for role, bit, bits in parts]
    at = start + 2
    key = header_end - len(frame.mask)
    if key > at:
        spans.append(Span(at, key, Role.WS_PAYLOAD_LENGTH))
    if frame.mask:
        spans.append(Span(key, header_end, Role.WS_MASKING_KEY))
    if frame.end > header_end:
        _payload_spans(frame, spans)
    return spans


def _payload_spans(frame: Frame, spans: list[AnySpan]) -> None:
    start, end = frame.payload_start, frame.end
    if frame.opcode == Opcode.CLOSE and frame.length >= 2:
        code = min(start + 2, end)
        spans.append(Span(start, code, Role.WS_CLOSE_CODE))
        if end > code:
            spans.append(Span(code, end, Role.WS_CLOSE_REASON))
    else:
        spans.append(Span(start, end, Role.WS_PAYLOAD))


def unmask(data: bytes, mask: bytes, at: int = 0) -> bytes:
    """Bytes of a payload from its byte `at` on, with the mask taken off or put on (RFC 6455 §5.3)."""
    if not mask or not data:
        return data
    turned = at & 3
    key = mask[turned:] + mask[:turned]
    if len(data) <= _SLICE:
        return _combine(data, key)
    # Slices are multiples of four bytes, so the key begins anew in each.
    return b"".join([_combine(data[i : i + _SLICE], key) for i in range(0, len(data), _SLICE)])


def _combine(data: bytes, key: bytes) -> bytes:
    size = len(data)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")
