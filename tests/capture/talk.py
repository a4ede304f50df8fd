"""An exchange that goes on after its heads, written the way the engine writes it while it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.model import INCOMING
from inspectd.capture.reader import Capture
from tests.capture.traffic import ANSWERED, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.capture.records import ConnectionRecord, ExchangeRecord
    from inspectd.capture.writer import CaptureWriter

HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"
COMPRESSING = SWITCH[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"


class Talk:
    """One exchange whose connection goes on, written as the engine writes it, and the capture open beside it."""

    def __init__(self, path: Path, answer: bytes, request: bytes = HANDSHAKE) -> None:
        self.writer: CaptureWriter = new_writer(path)
        self.connection: ConnectionRecord = open_connection(self.writer)
        self.now = 1000
        self.connection.received(request, self.now)
        self.exchange: ExchangeRecord = self.connection.begin(0, self.now)
        self.connection.end(self.exchange, len(request))
        self.connection.settle(None)
        self.exchange.method, self.exchange.req_head = "GET", len(request)
        self.exchange.res_head = len(answer)
        self.exchange.status = answer[9:12].decode()
        self.answer(answer)
        self.exchange.state |= ANSWERED
        self.writer.flush(self.now)
        self.capture = Capture.open(path)

    def answer(self, data: bytes) -> None:
        """Bytes of the response."""
        self.now += 10
        self.connection.sent(self.exchange, data, self.now)

    def say(self, direction: int, data: bytes) -> int:
        """Bytes behind the heads; when they came."""
        self.now += 10
        if direction == INCOMING:
            self.connection.received(data, self.now)
            self.connection.settle(None)
        else:
            self.connection.sent(None, data, self.now)
        return self.now

    def end(self) -> None:
        self.connection.closed_ns, self.connection.closed_by, self.connection.how = (
            self.now + 10,
            "client",
            "fin",
        )
        self.connection.save()
        self.flush()

    def flush(self) -> None:
        self.connection.touch(self.exchange)
        self.writer.flush(self.now)
