"""Sizes and shapes that are meant to hurt: each must be done in seconds; a quadratic checker needs hours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from inspectd.lint import findings
from inspectd.lint.run import MOST
from inspectd.lint.two_readings import readings
from tests.wire.shapes import CHUNKED, GET, SHAPES, as_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.wire import Kind

BUDGET_S: Final = 8.0
"""Far above what linear checkers take on a slow machine, far below what a quadratic one does."""
SIZE: Final = 100_000

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
    "semicolons in a chunk line": lambda size: CHUNKED + b"0" + b";" * size + b"\r\n\r\n",
    "content that looks like requests": lambda size: CHUNKED + b"GET / HTTP/1.1\r\n" * (size // 16),
}


@pytest.mark.parametrize("shape", [*SHAPES, *MORE])
@pytest.mark.parametrize("kind", ["request", "response"])
def test_findings_of_a_hostile_stream_are_there_in_no_time(shape: str, kind: Kind) -> None:
    data = (SHAPES.get(shape) or MORE[shape])(SIZE)
    if kind == "response":
        data = as_response(data)
    started = time.process_time()
    found = findings(data, kind)
    readings(data, kind)
    assert time.process_time() - started < BUDGET_S
    assert len(found) <= MOST
