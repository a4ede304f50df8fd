"""What the numbers in WebSocket frames mean, and what a handshake agreed upon, from `data/websocket.toml`.

Every function has an answer for every number; what no registry knows is said to be unknown.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.explain.model import Explanation
from inspectd.explain.names import role
from inspectd.explain.registry import explanation, table
from inspectd.wire.span import BitSpan, Role

if TYPE_CHECKING:
    from inspectd.wire.span import Span
    from inspectd.wire.websocket import Deflate

_RANGES: Final = (
    (range(1000), "unused"),
    (range(1000, 3000), "protocol"),
    (range(3000, 4000), "registered"),
    (range(4000, 5000), "application"),
)


@lru_cache(maxsize=32)
def opcode(number: int) -> Explanation:
    """Explain what kind of frame an opcode makes; titled `text`, or `reserved 3`."""
    entry = table("websocket")["opcodes"].get(str(number))
    if entry is None:
        return explanation(f"reserved {number}", table("websocket")["ranges"]["opcode"])
    return explanation(str(number), entry)


@lru_cache(maxsize=256)
def close_code(number: int) -> Explanation:
    """Explain why a connection was closed; titled `1000 Normal Closure`, or the number alone."""
    entry = table("websocket")["close"].get(str(number))
    if entry is not None:
        return explanation(str(number), entry, source="RFC 6455 §7.4.1")
    name = next((name for codes, name in _RANGES if number in codes), "beyond")
    return explanation(str(number), table("websocket")["ranges"][name])


def part(span: Span | BitSpan, data: bytes) -> Explanation:
    """Explain a part of a frame by its value; `data` are the span's bytes, of bits the byte that they are in.

    A close code's bytes have to be unmasked.
    What a value alone says nothing about is explained by its role.
    """
    about = role(span.role)
    if isinstance(span, BitSpan) and data:
        value = span.value(data[0])
        if span.role is Role.WS_OPCODE:
            return opcode(value)
        if span.role is Role.WS_PAYLOAD_LENGTH:
            sentence = table("websocket")["lengths"].get(str(value), f"{_bytes(value)} of payload.")
            return replace(about, title=str(value), sentence=sentence)
        sentence = table("websocket")["bits"][str(span.role)][str(value)]
        return replace(about, title=str(value), sentence=sentence)
    if span.role is Role.WS_CLOSE_CODE and len(data) == 2:
        return close_code(int.from_bytes(data, "big"))
    if span.role is Role.WS_PAYLOAD_LENGTH and len(data) in (2, 8):
        return replace(about, title=f"{int.from_bytes(data, 'big'):,}")
    return about


def agreement(deflate: Deflate | None) -> Explanation:
    """Explain what a handshake agreed upon about compression; problems of it are not repeated here."""
    if deflate is None:
        return Explanation(
            "no compression",
            "Messages are sent as they are: no extension was agreed upon.",
            "",
            "RFC 6455 §9.1",
        )
    client = _habit(deflate.client_max_window_bits, alone=deflate.client_no_context_takeover)
    server = _habit(deflate.server_max_window_bits, alone=deflate.server_no_context_takeover)
    if client == server:
        paragraph = f"Both compress their messages {client}."
    else:
        paragraph = (
            f"The client compresses its messages {client}. The server compresses its messages {server}."
        )
    return Explanation(
        "permessage-deflate",
        "Messages may be compressed by deflate; RSV1 in the first frame says of each whether it is.",
        paragraph,
        "RFC 7692 §7",
    )


def _habit(bits: int, *, alone: bool) -> str:
    how = "each on its own" if alone else "leaning on those before them"
    window = _bytes(1 << bits) if bits < 10 else f"{1 << bits - 10} KiB"
    return f"{how}, with a window of {window} at most"


def _bytes(count: int) -> str:
    return f"{count:,} {'byte' if count == 1 else 'bytes'}"
