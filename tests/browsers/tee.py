"""A dumb TCP relay between a browser and an engine that keeps its own copy of every byte, both ways.

It is the independent witness of the byte-for-byte tests: blocking sockets and two threads a connection, no
parsing, no code shared with what it is a witness against. It passes FIN and RST on as they come.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Self

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Relayed:
    """One connection. `peer` is the address by which its target knows it, `client` the one of who connected."""

    peer: str
    client: str = ""
    to_engine: bytearray = field(default_factory=bytearray)
    to_browser: bytearray = field(default_factory=bytearray)


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)


def _pump(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
    try:
        while piece := source.recv(65536):
            record += piece
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        _reset(sink)
        _reset(source)


class Tee:
    """Listens on 127.0.0.1 and [::1], one port, and relays each connection to `target`."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listeners = _both_loopbacks()
        self.port: int = self._listeners[0].getsockname()[1]
        self.connections: list[Relayed] = []
        self._lock = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads = [
            threading.Thread(target=self._accept, args=(s,), daemon=True) for s in self._listeners
        ]
        for thread in self._threads:
            thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                browser, client = listener.accept()
            except OSError:
                return
            engine = socket.create_connection(self._target)
            for sock in (browser, engine):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host, port = engine.getsockname()[:2]
            relayed = Relayed(f"{host}:{port}", "{}:{}".format(*client[:2]))
            thread = threading.Thread(target=self._relay, args=(browser, engine, relayed), daemon=True)
            with self._lock:
                self.connections.append(relayed)
                self._open |= {browser, engine}
                self._threads.append(thread)
                self._lock.notify_all()
            thread.start()

    def _relay(self, browser: socket.socket, engine: socket.socket, relayed: Relayed) -> None:
        back = threading.Thread(target=_pump, args=(engine, browser, relayed.to_browser), daemon=True)
        back.start()
        _pump(browser, engine, relayed.to_engine)
        back.join()
        with self._lock:
            self._open -= {browser, engine}
            self._lock.notify_all()
        browser.close()
        engine.close()

    def wait_for_connections(self, count: int, *, seconds: float = 10.0) -> None:
        """Wait until so many connections were accepted."""
        with self._lock:
            arrived = self._lock.wait_for(lambda: len(self.connections) >= count, seconds)
        assert arrived, f"{len(self.connections)} connections after {seconds} s, not {count}"

    def wait_until_idle(self, *, seconds: float = 10.0) -> None:
        """Wait until every connection has ended, so that the records of all are whole."""
        with self._lock:
            over = self._lock.wait_for(lambda: not self._open, seconds)
        assert over, f"connections are still open after {seconds} s"

    def close(self) -> None:
        """Stop listening, end what is still open, and wait until every record is whole."""
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _both_loopbacks() -> list[socket.socket]:
    for _ in range(50):
        four = socket.create_server(("127.0.0.1", 0), backlog=128)
        try:
            six = socket.create_server(("::1", four.getsockname()[1]), family=socket.AF_INET6, backlog=128)
        except OSError:
            four.close()
            continue
        return [four, six]
    raise AssertionError("no port is free on both 127.0.0.1 and [::1]")
