"""Clients that write down what they were answered: the other half of the evidence about a killed engine.

An exchange counts as answered when its client holds the last byte of the response. Requests carry an id in
their target, and differ in shape: small, pipelined, with content, chunked.
"""

from __future__ import annotations

import random
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Load:
    """Clients on keep-alive connections that ask as fast as they are answered, until the server is gone."""

    def __init__(self, address: tuple[str, int], *, clients: int, seed: int) -> None:
        self._address = address
        self._seed = seed
        self._enough = threading.Event()
        self._wanted = 1 << 62
        self._lock = threading.Lock()
        self.answered: dict[str, tuple[bytes, bytes]] = {}
        """Target of each answered request: its bytes, and those of its response."""
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    def run_until(self, answered: int, then: Callable[[], None]) -> None:
        """Start, call `then` in the middle of the load once so many are answered, wait for the clients."""
        self._wanted = answered
        for thread in self._threads:
            thread.start()
        reached = self._enough.wait(30)
        then()
        for thread in self._threads:
            thread.join(30)
        assert reached, f"only {len(self.answered)} of {answered} were answered in 30 s"

    def _run(self, client: int) -> None:
        shapes = random.Random(f"{self._seed}/{client}")
        number = 0
        try:
            with socket.create_connection(self._address, timeout=20) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                responses = _Responses(connection)
                while True:
                    batch = {}
                    for _ in range(shapes.choice((1, 1, 1, 2, 8))):
                        number += 1
                        target = f"/{self._seed}/{client}/{number}"
                        batch[target] = _request(target, shapes)
                    connection.sendall(b"".join(batch.values()))
                    for target, request in batch.items():
                        response = responses.next()
                        if response is None:
                            return
                        self._note(target, request, response)
        except OSError:
            return

    def _note(self, target: str, request: bytes, response: bytes) -> None:
        with self._lock:
            self.answered[target] = (request, response)
            if len(self.answered) >= self._wanted:
                self._enough.set()


def _request(target: str, shapes: random.Random) -> bytes:
    method = shapes.choice(("GET", "POST", "PUT"))
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-Id: {target}\r\n".encode()
    shape = shapes.randrange(10)
    if shape < 6:
        return head + b"\r\n"
    content = shapes.randbytes(shapes.choice((1, 100, 5_000, 70_000)))
    if shape < 9:
        return head + b"Content-Length: %d\r\n\r\n" % len(content) + content
    return head + b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n0\r\nX-T: 1\r\n\r\n" % (
        len(content),
        content,
    )


class _Responses:
    """Cuts whole responses with a Content-Length out of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def next(self) -> bytes | None:
        """The next response, or None when the connection ended before its last byte."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return None
        _, _, rest = self._buffer[:end].lower().partition(b"\r\ncontent-length:")
        whole = end + 4 + int(rest.partition(b"\r\n")[0])
        while len(self._buffer) < whole:
            if not self._more():
                return None
        response, self._buffer = self._buffer[:whole], self._buffer[whole:]
        return response

    def _more(self) -> bool:
        piece = self._connection.recv(65536)
        self._buffer += piece
        return bool(piece)
