"""What speaks when the first bytes of a connection are not an HTTP/1 request.

`sniff` looks at the start of a connection and names the protocol when the bytes settle it. It never waits for
more than a bounded number of bytes, and its answer does not depend on how they were split into reads.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspectd.wire.span import Role

if TYPE_CHECKING:
    from inspectd.wire.tls import ClientHello


@dataclass(frozen=True, slots=True)
class Sniff:
    """A protocol that is not HTTP/1: its short name, a plain sentence, and the role of its bytes.

    `server_name` is the host a TLS client asked for, as sent (RFC 6066 §3), when its hello says so.
    """

    protocol: str
    sentence: str
    role: Role = Role.OTHER_PROTOCOL
    server_name: bytes | None = None


@dataclass(frozen=True, slots=True)
class NeedMore:
    """The bytes so far fit several protocols: ask again when at least `size` bytes are there."""

    size: int


HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 §3.4
_HTTP2 = Sniff(
    "http2",
    "An HTTP/2 connection preface: the client speaks HTTP/2 without asking first (prior knowledge). "
    "This listener speaks HTTP/1; let the client use HTTP/1.1.",
    Role.HTTP2,
)
_TLS_ADVICE: Final = (
    "the client was told https:// (or upgraded to it by itself), but this listener speaks plain HTTP. "
    "Use http:// in the URL."
)
_GARBAGE = Sniff("garbage", "Binary bytes that open no protocol known here.", Role.GARBAGE)

_TLS_HANDSHAKE: Final = 0x16
_RECORD_HEADER: Final = 5
_TLS_WINDOW: Final = 32 * 1024
"""Bytes that a ClientHello gets to become whole; those of today's clients have 200 to 2,000."""
_TLS_RECORDS: Final = 16
"""Records that it may be cut into; each of them means looking at it again."""
_NAMES_SHOWN: Final = 5
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_GARBAGE_WINDOW: Final = 256
"""Bytes that a first line with a binary start gets to turn out a request line after all."""

# Whole openings, fixed bytes. RFC numbers where there is one.
_OPENINGS: Final[tuple[tuple[bytes, Sniff], ...]] = (
    (HTTP2_PREFACE, _HTTP2),
    (b"SSH-", Sniff("ssh", "An SSH client: it greets with its version (RFC 4253 §4.2).")),
    (
        b"\r\n\r\n\x00\r\nQUIT\n",
        Sniff(
            "proxy-v2", "A PROXY protocol version 2 header, which a load balancer puts before the request."
        ),
    ),
    (
        b"PROXY TCP",
        Sniff("proxy-v1", "A PROXY protocol header, which a load balancer puts before the request."),
    ),
    (b"PROXY UNKNOWN", Sniff("proxy-v1", "A PROXY protocol header without an address.")),
    (b"EHLO ", Sniff("smtp", "A mail client says hello (SMTP, RFC 5321).")),
    (b"HELO ", Sniff("smtp", "A mail client says hello (SMTP, RFC 5321).")),
    (b"AMQP\x00", Sniff("amqp", "An AMQP client opens its protocol header.")),
    (
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        Sniff("postgresql", "A PostgreSQL client asks whether TLS is spoken here."),
    ),
    (b"\x13BitTorrent protocol", Sniff("bittorrent", "A BitTorrent handshake.")),
    (b"\x03\x00\x00", Sniff("rdp", "A TPKT header: remote desktop, or a scanner that looks for it.")),
)

# Shapes in which some bytes vary: the shape of whole and cut-off openings, and what it is.
_SHAPES: Final[tuple[tuple[re.Pattern[bytes], re.Pattern[bytes], Sniff], ...]] = (
    (
        # VN CD DSTPORT DSTIP: version 4, command 1 or 2
        re.compile(rb"\x04[\x01\x02][\x00-\xff]{6}"),
        re.compile(rb"\x04(?:[\x01\x02][\x00-\xff]{0,5})?\Z"),
        Sniff("socks4", "A SOCKS4 client: it was told that this is a SOCKS proxy. It is an HTTP server."),
    ),
    (
        # VER NMETHODS METHODS                                           ; RFC 1928 §3
        re.compile(rb"\x05[\x01-\x10][\x00-\xff]"),
        re.compile(rb"\x05[\x01-\x10]?\Z"),
        Sniff("socks5", "A SOCKS5 client: it was told that this is a SOCKS proxy. It is an HTTP server."),
    ),
    (
        # an array of bulk strings: *2 CRLF $4 CRLF ...
        re.compile(rb"\*[0-9]{1,7}\r\n\$"),
        re.compile(rb"\*(?:[0-9]{1,7}(?:\r\n?)?)?\Z"),
        Sniff("redis", "A Redis client sends a command."),
    ),
    (
        # fixed header, remaining length, "MQTT" as a counted string
        re.compile(rb"\x10[\x00-\xff]\x00\x04MQTT"),
        re.compile(rb"\x10(?:[\x00-\xff](?:\x00(?:\x04(?:M(?:QT?)?)?)?)?)?\Z"),
        Sniff("mqtt", "An MQTT client connects."),
    ),
)
_FIRST_BYTES: Final = frozenset(
    {opening[0] for opening, _ in _OPENINGS} | {0x04, 0x05, 0x10, 0x16, 0x2A} | set(range(9)) | set(range(14, 32))
    | set(range(127, 256))
)  # fmt: skip

# A request line in spite of its binary start: " HTTP/1.1" closes it.
_REQUEST_LINE_END = re.compile(rb"[ \t]HTTP/[0-9.]{1,4}[ \t]*\r?\Z")


def sniff(data: bytes, *, eof: bool = False) -> Sniff | NeedMore | None:
    """Name the protocol that the first bytes of a connection open, or None when they may well be HTTP/1.

    `eof` says that no byte will follow, so that `NeedMore` is no answer.
    """
    if not data:
        return None if eof else NeedMore(1)
    first = data[0]
    if first not in _FIRST_BYTES:
        return None
    if first == _TLS_HANDSHAKE:
        found = _sniff_tls(data, eof=eof)
        if found is not None:
            return found
    more = 0
    for opening, answer in _OPENINGS:
        if data.startswith(opening):
            return answer
        if opening.startswith(data):
            more = len(data) + 1
    for whole, cut_off, answer in _SHAPES:
        if whole.match(data):
            return answer
        if cut_off.match(data):
            more = len(data) + 1
    if len(data) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(data):
        more = len(_BYTE_ORDER_MARK)
    if more and not eof:
        return NeedMore(more)
    if _is_binary(data):
        return _sniff_binary(data, eof=eof)
    return None


def _is_binary(data: bytes) -> bool:
    """Whether the first byte can start neither a method nor white space nor a UTF-8 byte order mark."""
    first = data[0]
    if data.startswith(_BYTE_ORDER_MARK):
        return False
    return first >= 0x7F or (first < 0x20 and first not in b"\t\n\x0b\x0c\r")


def _sniff_binary(data: bytes, *, eof: bool) -> Sniff | NeedMore | None:
    window = data[:_GARBAGE_WINDOW]
    line_feed = window.find(b"\n")
    if line_feed < 0 and len(window) < _GARBAGE_WINDOW and not eof:
        return NeedMore(len(data) + 1)
    if line_feed >= 0 and _REQUEST_LINE_END.search(window, 0, line_feed):
        return None
    return _GARBAGE


def _sniff_tls(data: bytes, *, eof: bool) -> Sniff | NeedMore | None:
    """TLSPlaintext: type 22, version 3.x, a 16-bit length, then the ClientHello (RFC 8446 §5.1)."""
    header = data[:_RECORD_HEADER]
    if len(header) > 1 and header[1] != 3:
        return None
    if len(header) < _RECORD_HEADER:
        if not eof:
            return NeedMore(_RECORD_HEADER)
        return _tls(None) if len(header) > 1 else None
    # Read when the first client speaks TLS: HTTP in clear text, which starts faster without it, never needs it.
    from inspectd.wire.tls import ClientHello, Incomplete, client_hello

    hello = client_hello(data, eof=eof or len(data) >= _TLS_WINDOW)
    if isinstance(hello, Incomplete):
        if hello.records <= _TLS_RECORDS:
            return NeedMore(min(hello.size, _TLS_WINDOW))
        hello = client_hello(data, eof=True)
    return _tls(hello if isinstance(hello, ClientHello) else None)


def _tls(hello: ClientHello | None) -> Sniff:
    from inspectd.wire.tls import ja4

    if hello is None:
        return Sniff("tls", f"TLS: {_TLS_ADVICE}", Role.TLS)
    name = hello.server_name
    shown = "" if name is None else f" for {_short(name, 255)}"
    protocols = [_short(each, 32) for each in hello.protocols[:_NAMES_SHOWN]]
    if len(hello.protocols) > _NAMES_SHOWN:
        protocols.append("…")
    offers = f" from a client that offers {', '.join(protocols)}" if protocols else ""
    fingerprint = f" (JA4 {ja4(hello)})" if hello.complete else ", cut short"
    return Sniff("tls", f"TLS ClientHello{shown}{offers}{fingerprint}: {_TLS_ADVICE}", Role.TLS, name)


def _short(name: bytes, length: int) -> str:
    """A name in printable ASCII."""
    text = ascii(name[:length].decode("latin-1"))[1:-1]
    return text if len(name) <= length else f"{text}…"
