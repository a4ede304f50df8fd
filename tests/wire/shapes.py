"""Streams that are meant to hurt, in any size: for the test that they are read at all, and for the timing proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

GET: Final = b"GET / HTTP/1.1\r\n"
CHUNKED: Final = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE: Final = GET + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n"

SHAPES: Final[dict[str, Callable[[int], bytes]]] = {
    # Each makes a request stream of about `size` bytes.
    "a long value": lambda size: GET + b"A: " + b"x" * size + b"\r\n\r\n",
    "white space inside a value": lambda size: GET + b"A: x" + b" " * size + b"x\r\n\r\n",
    "white space before a colon": lambda size: GET + b"A" + b" " * size + b": x\r\n\r\n",
    "a line without its colon": lambda size: GET + b"A" * size + b"\r\n\r\n",
    "a long target": lambda size: b"GET /" + b"x" * size + b" HTTP/1.1\r\n\r\n",
    "a target of separators": lambda size: b"GET /" + b"?#:" * (size // 3) + b" HTTP/1.1\r\n\r\n",
    "versions in the request line": lambda size: b"GET /" + b" HTTP/" * (size // 6) + b" HTTP/1.1\r\n\r\n",
    "white space in the request line": lambda size: b"GET" + b" " * size + b"/ HTTP/1.1\r\n\r\n",
    "white space after HTTP/": lambda size: b"GET / HTTP/" + b" " * size + b"x\r\n\r\n",
    "many fields": lambda size: GET + b"A: b\r\n" * (size // 6) + b"\r\n",
    "many folds": lambda size: GET + b"A: b\r\n" + b" c\r\n" * (size // 4) + b"\r\n",
    "many blank folds": lambda size: GET + b"A: b\r\n" + b" \r\n" * (size // 3) + b"\r\n",
    "many lines without a colon": lambda size: GET + b"AAAA\r\n" * (size // 6) + b"\r\n",
    "many Content-Length fields": lambda size: GET + b"Content-Length: 1\r\n" * (size // 19) + b"\r\n",
    "a list of lengths": lambda size: GET + b"Content-Length: " + b"1," * (size // 2) + b"\r\n\r\n",
    "a length of many digits": lambda size: GET + b"Content-Length: " + b"9" * size + b"\r\n\r\n",
    "many transfer codings": lambda size: (
        GET + b"Transfer-Encoding: " + b"chunked," * (size // 8) + b"\r\n\r\n"
    ),
    "many chunks": lambda size: CHUNKED + b"1\r\nx\r\n" * (size // 6) + b"0\r\n\r\n",
    "a long chunk size": lambda size: CHUNKED + b"0" * size + b"\r\n\r\n",
    "white space in a chunk line": lambda size: CHUNKED + b"0" + b" " * size + b"x\r\n\r\n",
    "many chunk extensions": lambda size: CHUNKED + b"0" + b';a="b"' * (size // 6) + b"\r\n\r\n",
    "white space in a chunk extension": lambda size: CHUNKED + b"0;" + b" a " * (size // 3) + b"\r\n\r\n",
    "a quoted string that never closes": lambda size: CHUNKED + b'0;a="' + b'\\"' * (size // 2) + b"\r\n\r\n",
    "many trailer fields": lambda size: CHUNKED + b"0\r\n" + b"A: b\r\n" * (size // 6) + b"\r\n",
    "many requests": lambda size: b"GET / HTTP/1.1\r\nA: b\r\n\r\n" * (size // 24),
    "many LF-only requests": lambda size: b"GET / HTTP/1.1\nA: b\n\n" * (size // 21),
    "requests with an LF-only tail": lambda size: (
        b"GET / HTTP/1.1\r\nA:\xff\r\n\r\n" * (size // 24) + b"\n" * size
    ),
    "line ends that almost close the head": lambda size: GET + b"\r" * size + b"\r\n\r\n",
    "blank lines": lambda size: b"\r\n" * (size // 2) + GET + b"\r\n",
    "white space before a head": lambda size: b" " * size,
    "CR only": lambda size: b"\r" * size,
    "NUL only": lambda size: b"\x00" * size,
    "content": lambda size: b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size,
    "what follows an upgrade": lambda size: UPGRADE + b"x" * size,
}


def as_response(data: bytes) -> bytes:
    """The stream with status lines in place of its request lines."""
    for before, after in ((b" HTTP/1.1", b""), (b"GET /", b"HTTP/1.1 200 "), (b"POST /", b"HTTP/1.1 200 ")):
        data = data.replace(before, after)
    return data
