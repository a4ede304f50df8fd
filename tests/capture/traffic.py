"""Traffic that never crossed a socket, written the way the engine writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.model import State
from inspectd.capture.writer import CaptureWriter

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.capture.records import ConnectionRecord, ExchangeRecord

ANSWERED = (
    State.HEAD_COMPLETE
    | State.PLAIN
    | State.REQUEST_COMPLETE
    | State.RESPONSE_STARTED
    | State.RESPONSE_COMPLETE
).value
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def new_writer(path: Path) -> CaptureWriter:
    """A writer with one listener."""
    writer = CaptureWriter(path)
    writer.listener("127.0.0.1:8080", "127.0.0.1:8080", 1, 128, [(1, "socket", "AF_INET")])
    return writer


def get(
    writer: CaptureWriter,
    connection: ConnectionRecord,
    target: str = "/",
    *,
    now: int = 1000,
    body: bytes = b"",
) -> tuple[bytes, ExchangeRecord]:
    """One answered exchange whose request came in one read; its bytes and its record. Nothing is flushed."""
    head = f"GET {target} HTTP/1.1\r\nHost: example.test\r\n\r\n".encode()
    data = head + body
    start = connection.bytes_in
    connection.received(data, now)
    exchange = connection.begin(start, now)
    connection.end(exchange, start + len(data))
    connection.settle(None)
    exchange.method, exchange.target, exchange.version, exchange.host = (
        "GET",
        target,
        "HTTP/1.1",
        "example.test",
    )
    exchange.req_head = len(head)
    connection.sent(exchange, OK, now + 1)
    exchange.res_head = len(OK)
    exchange.status, exchange.reason = "200", "OK"
    exchange.state |= ANSWERED
    return data, exchange


def open_connection(writer: CaptureWriter, *, now: int = 1000) -> ConnectionRecord:
    """An accepted connection."""
    return writer.connection(1, "127.0.0.1:50000", "127.0.0.1:8080", now)


def finished_capture(path: Path, exchanges: int = 3) -> list[bytes]:
    """A capture whose engine has ended, and the bytes of its requests."""
    writer = new_writer(path)
    connection = open_connection(writer)
    requests = [get(writer, connection, f"/{n}", now=1000 + n)[0] for n in range(exchanges)]
    writer.flush(2000)
    writer.close(3000)
    return requests
