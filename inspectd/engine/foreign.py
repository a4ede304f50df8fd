"""The last words to a client that speaks another protocol: bytes that *it* can understand.

TLS gets an alert (RFC 8446 §6), HTTP/2 a GOAWAY (RFC 9113 §6.8), SOCKS its refusal (RFC 1928 §3). Whatever is not
recognised gets nothing here: the engine answers it like a request that can't be read.
"""

from __future__ import annotations

from typing import Final

_HANDSHAKE_FAILURE: Final = 40
_HTTP_1_1_REQUIRED: Final = 0x0D

_TLS_ALERT: Final = bytes(
    (21, 3, 1, 0, 2, 2, _HANDSHAKE_FAILURE)
)  # record type alert, TLS 1.0 framing, fatal


def _goaway(debug: bytes) -> bytes:
    settings = bytes((0, 0, 0, 4, 0)) + bytes(4)  # an empty SETTINGS frame must come first (RFC 9113 §3.4)
    payload = bytes(4) + _HTTP_1_1_REQUIRED.to_bytes(4, "big") + debug
    return settings + len(payload).to_bytes(3, "big") + bytes((7, 0)) + bytes(4) + payload


_ANSWERS: Final = {
    "tls": _TLS_ALERT,
    "http2": _goaway(b"only HTTP/1.1 is spoken here"),
    "socks5": b"\x05\xff",  # no acceptable methods
    "socks4": b"\x00\x5b" + bytes(6),  # request rejected
}


def farewell(protocol: str) -> bytes:
    """The bytes that end a connection of this protocol politely; empty when there are none."""
    return _ANSWERS.get(protocol, b"")
