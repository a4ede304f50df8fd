"""Frames as the WebSocket tests write them down, and every way in which one can be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hypothesis import strategies as st

from inspectd.wire.websocket import Deflate, unmask

if TYPE_CHECKING:
    from collections.abc import Sequence

MASK: Final = b"\x37\xfa\x21\x3d"


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"",
    bits: int | None = None,
    length: int | None = None,
) -> bytes:
    """A frame; `bits` chooses the form of its length (7, 16, 64), `length` what it claims."""
    size = len(payload) if length is None else length
    if bits is None:
        bits = 7 if size < 126 else 16 if size < 1 << 16 else 64
    short = {7: size, 16: 126, 64: 127}[bits]
    extended = size.to_bytes(bits // 8, "big") if bits > 7 else b""
    head = bytes((fin << 7 | rsv << 4 | opcode, bool(mask) << 7 | short))
    return head + extended + mask + unmask(payload, mask)


class Case(NamedTuple):
    """Bytes with oddities: those of the frames and messages, and of the stream's end."""

    data: bytes
    ids: Sequence[str]
    ending: Sequence[str] = ("ws-no-close",)
    client: bool = False
    deflate: Deflate | None = None


ODD: Final[dict[str, Case]] = {
    "an unmasked frame of a client": Case(frame(1, b"a"), ["ws-unmasked-client"], client=True),
    "a masked frame of a server": Case(frame(1, b"a", mask=MASK), ["ws-masked-server"]),
    "RSV1 without compression": Case(frame(1, b"a", rsv=4), ["ws-reserved-bit"]),
    "RSV2 with compression": Case(frame(1, b"a", rsv=2), ["ws-reserved-bit"], deflate=Deflate()),
    "RSV3": Case(frame(9, b"a", rsv=1), ["ws-reserved-bit"]),
    "RSV1 in a ping": Case(frame(9, b"a", rsv=4), ["ws-misplaced-rsv1"], deflate=Deflate()),
    "RSV1 in a continuation": Case(
        frame(1, b"a", fin=False) + frame(0, b"b", rsv=4), ["ws-misplaced-rsv1"], deflate=Deflate()
    ),
    "a reserved opcode": Case(frame(3, b"a"), ["ws-reserved-opcode"]),
    "a reserved control opcode": Case(frame(11), ["ws-reserved-opcode"]),
    "a ping in pieces": Case(frame(9, b"a", fin=False), ["ws-control-fragmented"]),
    "a long ping": Case(frame(9, bytes(126)), ["ws-control-too-long"]),
    "a length in 16 bits": Case(frame(2, b"a" * 125, bits=16), ["ws-length-not-shortest"]),
    "a length in 64 bits": Case(frame(2, b"a" * 65535, bits=64), ["ws-length-not-shortest"]),
    "a length beyond 63 bits": Case(
        frame(2, b"a", length=1 << 63), ["ws-length-highest-bit", "ws-cut-off", "ws-message-unfinished"]
    ),
    "a continuation of nothing": Case(frame(0, b"a"), ["ws-continuation-without-start"]),
    "a message within a message": Case(
        frame(1, b"a", fin=False) + frame(2, b"b"), ["ws-message-unfinished", "ws-message-interrupted"]
    ),
    "a frame after close": Case(frame(8) + frame(9), ["ws-after-close"], []),
    "a payload that is cut off": Case(frame(1, b"a", length=3), ["ws-cut-off", "ws-message-unfinished"]),
    "a header that is cut off": Case(frame(9, mask=MASK)[:4], ["ws-masked-server", "ws-cut-off"]),
    "a message without its end": Case(
        frame(1, b"a", fin=False), ["ws-message-unfinished"], ["ws-no-close", "ws-message-unfinished"]
    ),
    "text that isn't UTF-8": Case(frame(1, b"a\xffb"), ["ws-invalid-utf8"]),
    "text that ends within a character": Case(frame(1, b"a\xe2\x82"), ["ws-invalid-utf8"]),
    "compressed text that isn't UTF-8": Case(
        frame(1, b"\xfa\x0f\x00", rsv=4), ["ws-invalid-utf8"], deflate=Deflate()
    ),
    "what can't be inflated": Case(frame(2, b"\x07", rsv=4), ["ws-inflate-error"], deflate=Deflate()),
    "close with one byte": Case(frame(8, b"\x03"), ["ws-close-one-byte"], []),
    "close with a code that is never sent": Case(frame(8, b"\x03\xed"), ["ws-close-code"], []),
    "close with a reason that isn't UTF-8": Case(frame(8, b"\x03\xe8\xff"), ["ws-close-reason-utf8"], []),
}

DEFLATES: Final = st.one_of(
    st.none(),
    st.builds(
        Deflate,
        server_no_context_takeover=st.booleans(),
        client_no_context_takeover=st.booleans(),
        server_max_window_bits=st.integers(8, 15),
        client_max_window_bits=st.integers(8, 15),
    ),
)
_PAYLOADS: Final = st.one_of(
    st.binary(max_size=140),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00", b"\x03\xe8bye", b"\x03\xed"]),
)
FRAMES: Final = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, 3, 15]),
    _PAYLOADS,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 4, 1, 7]),
    mask=st.one_of(st.just(b""), st.binary(min_size=4, max_size=4)),
    bits=st.sampled_from([None, 16, 64]),
)
"""Frames that are mostly right, so that what stands behind the headers is reached as well."""
STREAMS: Final = st.one_of(
    st.binary(max_size=300),
    st.lists(FRAMES, max_size=8).map(b"".join),
    st.tuples(st.lists(FRAMES, max_size=4).map(b"".join), st.binary(max_size=20)).map(b"".join),
)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The data cut at some places, some of its pieces empty."""
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
