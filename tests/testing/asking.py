"""Clients for the tests of test servers: a raw socket, which shows exactly what was sent."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.testing import Inspectd

DEADLINE = 30.0


def ask(server: Inspectd, request: bytes | str = "GET / HTTP/1.1") -> bytes:
    """Everything the server sends for one request on a connection of its own, up to its FIN.

    A text is the head without the empty line.
    """
    data = request if isinstance(request, bytes) else request.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return rest(client)


def rest(client: socket.socket) -> bytes:
    """Everything up to the server's FIN. A RST is a ConnectionResetError."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def until(client: socket.socket, end: bytes) -> bytes:
    """What comes up to and with `end`."""
    data = b""
    while not data.endswith(end):
        part = client.recv(1)
        assert part, data
        data += part
    return data


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread while the block runs; at its end both are done."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it is raised in the test's own thread
            failed.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(DEADLINE)
    assert not thread.is_alive()
    if failed:
        raise failed[0]
