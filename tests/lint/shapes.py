"""Streams that are meant to hurt checkers, in any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.wire.shapes import CHUNKED, GET

if TYPE_CHECKING:
    from collections.abc import Callable

MORE: Final[dict[str, Callable[[int], bytes]]] = {
    "vertical tabs in a value": lambda size: GET + b"A: " + b"\x0b" * size + b"x\r\n\r\n",
    "vertical tabs at the end of a value": lambda size: GET + b"A: x" + b"\x0b" * size + b"\r\n\r\n",
    "escapes in a target": lambda size: b"GET /" + b"%2e" * (size // 3) + b" HTTP/1.1\r\n\r\n",
    "dots in a target": lambda size: b"GET /" + b"." * size + b" HTTP/1.1\r\n\r\n",
    "slashes in a target": lambda size: b"GET " + b"/" * size + b"; HTTP/1.1\r\n\r\n",
    "odd names": lambda size: (
        GET + b"".join(b"%%%d: x\r\n" % number for number in range(size // 10)) + b"\r\n"
    ),
    "misspelled names": lambda size: (
        GET + b"".join(b"accept-%d: x\r\n" % number for number in range(size // 15)) + b"\r\n"
    ),
    "many ranges": lambda size: GET + b"Range: bytes=" + b"0-," * (size // 3) + b"\r\n\r\n",
    "many cookies": lambda size: GET + b"Cookie: " + b"a=b; " * (size // 5) + b"\r\n\r\n",
    "many entity tags": lambda size: GET + b"If-None-Match: " + b'"a", ' * (size // 5) + b"x\r\n\r\n",
    "commas in entity tags": lambda size: GET + b'If-None-Match: "a"' + b", " * (size // 2) + b"x\r\n\r\n",
    "weights": lambda size: GET + b"Accept: " + b"a;q=1," * (size // 6) + b"\r\n\r\n",
    "structured parameters": lambda size: GET + b"Priority: u" + b"; a" * (size // 3) + b"=\r\n\r\n",
    "structured members": lambda size: GET + b"Sec-CH-UA: " + b'"a";v="1", ' * (size // 10) + b"(\r\n\r\n",
    "hosts": lambda size: GET + b"Host: " + b"a" * size + b":\r\n\r\n",
    "Host lines": lambda size: GET + b"Host: a\r\n" * (size // 9) + b"\r\n",
    "brackets in JSON": lambda size: (
        b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
        + b"[" * size
    ),
    "names in JSON": lambda size: (
        b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (size // 7 * 7 + 8)
        + b'{"b":0'
        + b',"a":1' * (size // 6)
    ),
    "parameters of a media type": lambda size: (
        GET + b"Content-Type: a/b" + b"; a=b" * (size // 5) + b";\x01\r\n\r\n"
    ),
    "cookies of any size": lambda size: GET + b"Cookie: " + b";" * size + b"\r\n\r\n",
    "semicolons in a chunk line": lambda size: CHUNKED + b"0" + b";" * size + b"\r\n\r\n",
    "content that looks like requests": lambda size: CHUNKED + b"GET / HTTP/1.1\r\n" * (size // 16),
}
"""Each makes a request stream of about `size` bytes that tries one checker."""
