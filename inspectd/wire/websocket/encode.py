"""Frames as they are asked for, right or wrong: the bytes of a header that says anything at all (RFC 6455 §5.2).

Nothing is repaired: a length that lies, a mask that only clients may use or an opcode that doesn't exist is what is
sent. Whoever wants frames that are right leaves everything at its default.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
CONTINUATION: Final = 0

MASK: Final = b"\x37\xfa\x21\x3d"
"""The key that a frame of this side is masked with: that of the example in RFC 6455 §5.7."""

_SHORT: Final = 125  # the longest payload whose length fits into seven bits
_MEDIUM: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Shape:
    """What a header says beside its payload. `opcode` and `fin` of None stand for the right ones.

    `rsv` is the number that the three reserved bits make, RSV1 is 4. `form` is how many bits the length takes, and
    `length` what it claims instead of the truth. `fragment` cuts a message into frames of so many bytes.
    """

    opcode: int | None = None
    fin: bool | None = None
    rsv: int = 0
    masked: bool = False
    form: Literal[7, 16, 64] | None = None
    length: int | None = None
    fragment: int | None = None


PLAIN: Final = Shape()


def frame(payload: bytes, opcode: int, shape: Shape = PLAIN) -> bytes:
    """One frame. A length that its form has no room for is cut to the bits that there are."""
    length = len(payload) if shape.length is None else shape.length
    form = shape.form or (7 if length <= _SHORT else 16 if length <= _MEDIUM else 64)
    kind = opcode if shape.opcode is None else shape.opcode
    fin = shape.fin is not False
    head = bytearray([fin << 7 | (shape.rsv & 7) << 4 | kind & 15])
    mask = 0x80 if shape.masked else 0
    if form == 7:
        head.append(mask | length & 0x7F)
    elif form == 16:
        head.append(mask | 126)
        head += (length & _MEDIUM).to_bytes(2, "big")
    else:
        head.append(mask | 127)
        head += (length & (1 << 64) - 1).to_bytes(8, "big")
    if not shape.masked:
        return bytes(head) + payload
    return bytes(head) + MASK + masked(payload, MASK)


def message(payload: bytes, opcode: int, shape: Shape = PLAIN) -> list[bytes]:
    """The frames of a message. Reserved bits and an opcode of its own are those of the first, FIN that of the last."""
    size = shape.fragment
    if size is None or len(payload) <= size:
        return [frame(payload, opcode, shape)]
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(pieces) - 1
    frames = []
    for number, piece in enumerate(pieces):
        own = replace(shape, fin=shape.fin if number == last else False)
        if number:
            own = replace(own, opcode=CONTINUATION, rsv=0)
        frames.append(frame(piece, opcode, own))
    return frames


def closing(code: int | None = None, reason: bytes = b"") -> bytes:
    """The payload of a Close frame (RFC 6455 §5.5.1); without a code there is no payload but the reason."""
    return reason if code is None else (code & _MEDIUM).to_bytes(2, "big") + reason


def masked(payload: bytes, key: bytes) -> bytes:
    """The payload with the key of four bytes over it; twice is as it was (RFC 6455 §5.3)."""
    size = len(payload)
    if not size:
        return b""
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")
