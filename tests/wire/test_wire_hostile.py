"""Sizes and shapes that are meant to hurt. Each must be done in seconds; a quadratic reader needs hours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from inspectd.wire import ContentData, Kind, RequestReader, StreamReader, read
from tests.wire.tiling import check_tiling

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_S = 20.0
"""Far above what a linear reader takes on a slow machine, far below what a quadratic one does."""

GET = b"GET / HTTP/1.1\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

SHAPES: dict[str, Callable[[], bytes]] = {
    "a field of 10 MB": lambda: GET + b"A: " + b"x" * 10_000_000 + b"\r\n\r\n",
    "10 MB of white space in a value": lambda: GET + b"A: x" + b" " * 10_000_000 + b"x\r\n\r\n",
    "10 MB of white space before a colon": lambda: GET + b"A" + b" " * 10_000_000 + b": x\r\n\r\n",
    "a target of 10 MB": lambda: b"GET /" + b"x" * 10_000_000 + b" HTTP/1.1\r\n\r\n",
    "10 MB of words in a request line": lambda: b"GET /" + b" HTTP/" * 1_500_000 + b" HTTP/1.1\r\n\r\n",
    "10 MB of white space in a request line": lambda: b"GET" + b" " * 10_000_000 + b"/ HTTP/1.1\r\n\r\n",
    "10 MB after HTTP/": lambda: b"GET / HTTP/" + b" " * 10_000_000 + b"x\r\n\r\n",
    "100,000 fields": lambda: GET + b"A: b\r\n" * 100_000 + b"\r\n",
    "100,000 folds": lambda: GET + b"A: b\r\n" + b" c\r\n" * 100_000 + b"\r\n",
    "100,000 blank folds": lambda: GET + b"A: b\r\n" + b" \r\n" * 100_000 + b"\r\n",
    "100,000 lines without a colon": lambda: GET + b"AAAA\r\n" * 100_000 + b"\r\n",
    "100,000 Content-Length fields": lambda: GET + b"Content-Length: 1\r\n" * 100_000 + b"\r\n",
    "100,000 transfer codings": lambda: GET + b"Transfer-Encoding: " + b"chunked," * 100_000 + b"\r\n\r\n",
    "100,000 chunks": lambda: CHUNKED + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n",
    "a chunk size of 5 MB": lambda: CHUNKED + b"0" * 5_000_000 + b"\r\n\r\n",
    "100,000 chunk extensions": lambda: CHUNKED + b"0" + b';a="b"' * 100_000 + b"\r\n\r\n",
    "a quoted string that never closes": lambda: CHUNKED + b'0;a="' + b'\\"' * 1_000_000 + b"\r\n\r\n",
    "100,000 trailer fields": lambda: CHUNKED + b"0\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
    "50,000 requests": lambda: b"GET / HTTP/1.1\r\nA: b\r\n\r\n" * 50_000,
    "50,000 LF-only requests": lambda: b"GET / HTTP/1.1\nA: b\n\n" * 50_000,
    "100,000 blank lines": lambda: b"\r\n" * 100_000 + GET + b"\r\n",
    "5 MB of white space": lambda: b" " * 5_000_000,
    "5 MB of CR": lambda: b"\r" * 5_000_000,
    "5 MB of NUL": lambda: b"\x00" * 5_000_000,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["request", "response"])
def test_reading_takes_linear_time(shape: str, kind: Kind) -> None:
    data = SHAPES[shape]()
    if kind == "response":
        data = (
            data.replace(b" HTTP/1.1\r\n", b"\r\n")
            .replace(b"GET /", b"HTTP/1.1 200 ")
            .replace(b"POST /", b"HTTP/1.1 200 ")
        )
    started = time.process_time()
    stream = read(data, kind)
    assert time.process_time() - started < BUDGET_S
    check_tiling(stream)


ONE_BYTE_SHAPES: dict[str, bytes] = {
    "a long value": GET + b"A: " + b"x" * 300_000 + b"\r\n\r\n",
    "a long request line": b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\n\r\n",
    "line ends that almost close the head": GET + b"\r" * 300_000 + b"\r\n\r\n",
    "many fields": GET + b"A: b\r\n" * 50_000 + b"\r\n",
    "a long chunk extension": CHUNKED + b"0;" + b"x" * 300_000 + b"\r\n\r\n",
    "a long trailer section": CHUNKED + b"0\r\n" + b"A: b\r\n" * 50_000 + b"\r\n",
    "many small chunks": CHUNKED + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n",
    "content": b"POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000,
    "white space before a head": b" " * 300_000,
    "binary": b"\x00" * 300_000,
    "what follows an upgrade": GET + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n" + b"x" * 300_000,
}


@pytest.mark.parametrize("shape", ONE_BYTE_SHAPES)
def test_one_byte_at_a_time_takes_linear_time(shape: str) -> None:
    data = ONE_BYTE_SHAPES[shape]
    reader = StreamReader("request")
    started = time.process_time()
    for at in range(len(data)):
        reader.feed(data[at : at + 1])
    assert time.process_time() - started < BUDGET_S
    check_tiling(reader.finish())


def test_content_is_passed_on_and_not_kept() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
    piece = bytes(65536)
    for _ in range(1000):
        (event,) = reader.feed(piece)
        assert isinstance(event, ContentData)
        assert event.data is piece
    assert reader.pending == 0
