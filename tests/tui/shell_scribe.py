"""Writes captures for the shell's tests and benchmarks with the engine's own writer, row by row."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from inspectd.capture.model import State
from inspectd.capture.writer import CaptureWriter
from inspectd.text.client import client_name
from inspectd.wire import read

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.capture.records import ConnectionRecord, ExchangeRecord

SECOND = 1_000_000_000
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CLEAN = (
    b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 20:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 2\r\n\r\nhi"
)
"""An answer in which nothing is found."""


class Scribe:
    """Writes one capture. `now` is its clock, in ns since the epoch; it moves a millisecond a message."""

    def __init__(self, path: Path, *, now: int | None = None) -> None:
        self.path = path
        self.now = time.time_ns() if now is None else now
        self.writer = CaptureWriter(path)
        self.listener = self.writer.listener(
            "127.0.0.1:8080", "127.0.0.1:8080", self.now, 128, [(self.now, "bind", "127.0.0.1:8080")]
        )
        self._port = 50_000
        self.writer.flush(self.now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.writer.flush(self.now)
        self.writer.close(self.now)

    def connection(self) -> ConnectionRecord:
        """A new connection."""
        self._port += 1
        return self.writer.connection(self.listener, f"127.0.0.1:{self._port}", "127.0.0.1:8080", self.now)

    def request(self, request: bytes, *, connection: ConnectionRecord | None = None) -> Open:
        """A request arrives whole."""
        on = connection or self.connection()
        start = on.bytes_in
        self.now += 300_000
        on.received(request, self.now)
        exchange = on.begin(start, self.now)
        message = read(request, "request").messages[0]
        head = message.head

        def value(name: str) -> str | None:
            values = head.get(name)
            return values[0].decode("utf-8", "replace") if values else None

        exchange.method = head.text(head.method).decode("utf-8", "replace")
        exchange.target = head.text(head.target).decode("utf-8", "replace")
        exchange.version = head.text(head.version).decode("utf-8", "replace")
        exchange.client = client_name((value("user-agent") or "").encode())
        exchange.host = value("host")
        exchange.dest, exchange.mode = value("sec-fetch-dest"), value("sec-fetch-mode")
        exchange.site = value("sec-fetch-site")
        exchange.req_head = message.head_end
        exchange.state = (State.HEAD_COMPLETE | State.PLAIN | State.REQUEST_COMPLETE).value
        on.end(exchange, on.bytes_in)
        on.settle(None)
        on.save()
        return Open(self, on, exchange)

    def exchange(self, request: bytes, response: bytes = PAGE) -> ExchangeRecord:
        """A request, and its answer."""
        return self.request(request).answer(response)

    def lonely(self, kind: str, sentence: str, data: bytes = b"", *, closed: bool = True) -> ConnectionRecord:
        """A connection that never sent a request."""
        on = self.connection()
        if data:
            on.received(data, self.now)
            on.settle(None)
        on.describe(kind, sentence)
        if closed:
            on.closed_ns = self.now + SECOND
            on.closed_by, on.how = "client", "fin"
            on.save()
        return on

    def flush(self) -> None:
        """Commit what was written."""
        self.writer.flush(self.now)


class Open:
    """An exchange that has no answer yet."""

    def __init__(self, scribe: Scribe, connection: ConnectionRecord, exchange: ExchangeRecord) -> None:
        self.scribe = scribe
        self.connection = connection
        self.exchange = exchange

    def answer(self, response: bytes) -> ExchangeRecord:
        """It is answered."""
        scribe, exchange = self.scribe, self.exchange
        scribe.now += 700_000
        line = response.split(b"\r\n", 1)[0].decode().split(" ", 2)
        exchange.status, exchange.reason = line[1], line[2] if len(line) > 2 else ""
        exchange.label = "test"
        exchange.res_head = response.find(b"\r\n\r\n") + 4
        self.connection.sent(exchange, response, scribe.now)
        exchange.finished_ns = scribe.now
        exchange.state |= (State.RESPONSE_STARTED | State.RESPONSE_COMPLETE).value
        self.connection.touch(exchange)
        self.connection.save()
        return exchange


def get(target: str, *fields: str, method: str = "GET", agent: str = "curl/8.14.1") -> bytes:
    """A plain request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost:8080", f"User-Agent: {agent}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def browse(target: str, dest: str, mode: str, method: str = "GET") -> bytes:
    """A request as Chromium sends it."""
    return get(
        target,
        "Accept: */*",
        "Sec-Fetch-Site: same-origin",
        f"Sec-Fetch-Mode: {mode}",
        f"Sec-Fetch-Dest: {dest}",
        method=method,
        agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    )


def lively(scribe: Scribe) -> Open:
    """The traffic of the drawing; the last exchange is left open."""
    scribe.exchange(browse("/", "document", "navigate"))
    scribe.exchange(browse("/style.css", "style", "no-cors"))
    scribe.exchange(browse("/logo.svg", "image", "no-cors"))
    scribe.lonely("preconnect", "opened, closed by the client 4.2 s later, not a byte sent")
    scribe.exchange(
        get("/pay", "Content-Length: 0", method="POST"), b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    )
    scribe.exchange(browse("/api/user", "empty", "cors", "OPTIONS"), b"HTTP/1.1 204 No Content\r\n\r\n")
    scribe.lonely(
        "tls", "TLS hello on the clear port (SNI localhost): open https:// instead", b"\x16\x03\x01\x02\x00"
    )
    open_one = scribe.request(browse("/api/user", "empty", "cors", "PUT"))
    scribe.flush()
    return open_one
