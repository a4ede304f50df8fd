"""Hostile by size: a field of 10 MB, 100,000 fields, a head that never ends. Answered, recorded, still readable."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import INCOMING
from inspectd.capture.reader import Capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live_engine import LiveEngine

BIG_FIELD = b"GET /big HTTP/1.1\r\nX-Big: " + b"a" * 10_000_000 + b"\r\nConnection: close\r\n\r\n"
MANY_FIELDS = (
    b"GET /many HTTP/1.1\r\n"
    + b"".join(b"X-%d: v\r\n" % n for n in range(100_000))
    + b"Connection: close\r\n\r\n"
)
LONG_TARGET = b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nConnection: close\r\n\r\n"


def _ask(address: tuple[str, int], data: bytes) -> bytes:
    """Send all and read to the end; a server that stops reading may reset, its answer counts all the same."""
    with socket.create_connection(address, timeout=60) as client:
        received = b""
        with contextlib.suppress(ConnectionError):
            client.sendall(data)
        with contextlib.suppress(ConnectionError):
            while piece := client.recv(65536):
                received += piece
        return received


@pytest.mark.parametrize(
    ("data", "status"),
    [(BIG_FIELD, b"431"), (MANY_FIELDS, b"431"), (LONG_TARGET, b"414")],
    ids=["field", "fields", "target"],
)
def test_beyond_the_caps_the_answer_says_so_and_the_bytes_are_kept(
    live_engine: Callable[..., LiveEngine], data: bytes, status: bytes
) -> None:
    engine = live_engine()
    answer = _ask(engine.address, data)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert engine.stop() == 0
    with Capture.open(engine.capture) as capture:
        kept = capture.stream_bytes(1, INCOMING)
        assert data.startswith(kept)
        assert len(kept) > 8000
        rows = capture.exchanges_after(0, 10)
        assert [row.status for row in rows] == [status.decode()]


@pytest.mark.parametrize("data", [BIG_FIELD, MANY_FIELDS], ids=["field", "fields"])
def test_with_larger_caps_the_whole_head_is_read_answered_and_kept(
    live_engine: Callable[..., LiveEngine], data: bytes
) -> None:
    engine = live_engine("--max-head", "16MiB", "--answer", "200 OK")
    started = time.monotonic()
    assert _ask(engine.address, data).startswith(b"HTTP/1.1 200 OK\r\n")
    assert time.monotonic() - started < 30
    assert engine.stop() == 0
    with Capture.open(engine.capture) as capture:
        [row] = capture.exchanges_after(0, 10)
        assert capture.request_bytes(row) == data


def test_a_head_sent_a_byte_at_a_time_is_one_request(live_engine: Callable[..., LiveEngine]) -> None:
    engine = live_engine("--answer", "200 OK")
    data = b"GET /slow HTTP/1.1\r\nX-A: 1\r\n folded\r\nConnection: close\r\n\r\n"
    with engine.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(data)):
            client.sendall(data[number : number + 1])
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert engine.stop() == 0
    with Capture.open(engine.capture) as capture:
        [row] = capture.exchanges_after(0, 10)
        assert capture.request_bytes(row) == data
