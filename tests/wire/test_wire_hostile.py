"""Sizes and shapes that are meant to hurt. Each must be done in seconds; a quadratic reader needs hours."""

from __future__ import annotations

import time
from typing import Final

import pytest

from inspectd.wire import ContentData, Kind, RequestReader, StreamReader, read
from tests.wire.shapes import GET, SHAPES, as_response
from tests.wire.tiling import check_tiling

BUDGET_S: Final = 20.0
"""Far above what a linear reader takes on a slow machine, far below what a quadratic one does."""
WHOLE: Final = 400_000
PIECEMEAL: Final = 60_000


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["request", "response"])
def test_a_hostile_stream_is_read_in_no_time(shape: str, kind: Kind) -> None:
    data = SHAPES[shape](WHOLE)
    if kind == "response":
        data = as_response(data)
    started = time.process_time()
    stream = read(data, kind)
    assert time.process_time() - started < BUDGET_S
    check_tiling(stream)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_byte_at_a_time_reads_the_same_in_no_time(shape: str) -> None:
    data = SHAPES[shape](PIECEMEAL)
    reader = StreamReader("request")
    started = time.process_time()
    for at in range(len(data)):
        reader.feed(data[at : at + 1])
    stream = reader.finish()
    assert time.process_time() - started < BUDGET_S
    assert stream.spans == read(data, "request").spans


def test_a_field_of_10_mb_and_100_000_fields_are_read_whole() -> None:
    stream = read(GET + b"A: " + b"x" * 10_000_000 + b"\r\n" + b"B: c\r\n" * 100_000 + b"\r\n", "request")
    check_tiling(stream)
    fields = stream.messages[0].head.fields
    assert (len(fields), len(fields[0].value_bytes)) == (100_001, 10_000_000)


def test_content_is_passed_on_and_not_kept() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
    piece = bytes(65536)
    for _ in range(1000):
        (event,) = reader.feed(piece)
        assert isinstance(event, ContentData)
        assert event.data is piece
    assert reader.pending == 0
