"""A client and a server that are plain sockets, and the ways through a proxy between them.

A dialogue is a list of lines: who speaks, and what. Each line has to arrive at the other side, whole and unchanged,
before the next one is spoken, so nothing of it can have waited for what comes later. `FIN` and `RST` are lines too.
Nothing here knows the code of what is tested.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.capture.reader import Capture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from inspectd.capture.model import ConnectionRow
    from tests.live_engine import LiveEngine

SECONDS: Final = 20.0
BASE: Final = b"{base}"
"""In a line: `http://HOST:PORT` of the server where a proxy is to be told, nothing elsewhere."""
HOST: Final = b"{host}"
"""In a line: `HOST:PORT` of the server."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

FIN: Final = "fin"
RST: Final = "rst"
Said: TypeAlias = bytes | Literal["fin", "rst"]
Way: TypeAlias = Literal["reverse", "absolute", "connect", "socks5", "tls"]
WAYS: Final[tuple[Way, ...]] = ("reverse", "absolute", "connect", "socks5", "tls")


class Line(NamedTuple):
    """Who speaks, what it sends, and what has to arrive when that isn't the same."""

    client: bool
    said: Said
    arrives: bytes | None = None


def client(said: Said, arrives: bytes | None = None) -> Line:
    """A line of the client's."""
    return Line(client=True, said=said, arrives=arrives)


def server(said: Said) -> Line:
    """A line of the server's."""
    return Line(client=False, said=said)


class Side:
    """One of the two sockets, with all that it sent and got."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sent = self.got = b""
        self.ended = False
        """It said that it has ended, or was reset."""
        self.name = "{}:{}".format(*sock.getsockname()[:2])
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, said: Said) -> None:
        """Send it."""
        if isinstance(said, bytes):
            self.sock.sendall(said)
            self.sent += said
        elif said == RST:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.sock.close()
        elif isinstance(self.sock, ssl.SSLSocket):
            self.sock = _goodbye(self.sock)
        else:
            with contextlib.suppress(OSError):  # the other side has gone already
                self.sock.shutdown(socket.SHUT_WR)

    def hear(self, length: int) -> bytes:
        """Exactly so many bytes, or less before a FIN."""
        data = b""
        while len(data) < length:
            try:
                piece = self.sock.recv(length - len(data))
            except TimeoutError:
                raise AssertionError(f"after {data[-200:]!r} came nothing more, of {length} bytes") from None
            if not piece:
                break
            data += piece
        self.got += data
        return data

    def end(self) -> tuple[bytes, str]:
        """What comes until the other side's end, and how that ends."""
        data = b""
        try:
            while piece := self._next():
                data += piece
        except ConnectionError:
            return data, RST
        except TimeoutError:
            raise AssertionError(f"neither FIN nor RST came, but {data!r}") from None
        finally:
            self.got += data
        return data, FIN

    def _next(self) -> bytes:
        if isinstance(self.sock, ssl.SSLSocket) and not self.sock.pending():
            # The TLS library doesn't tell RST from FIN: the socket itself does, while it hasn't been asked.
            socket.socket.recv(self.sock, 1, socket.MSG_PEEK)
        return self.sock.recv(65536)

    def close(self) -> None:
        """Be gone."""
        self.sock.close()


def _goodbye(sock: ssl.SSLSocket) -> socket.socket:
    """Send close_notify and FIN; what is left can tell whether the other side ends too."""
    with contextlib.suppress(OSError):
        sock.setblocking(False)
        sock.unwrap()
    plain = socket.socket(fileno=sock.detach())
    plain.settimeout(SECONDS)
    with contextlib.suppress(OSError):
        plain.shutdown(socket.SHUT_WR)
    return plain


class Stage:
    """One way from clients to a server: where clients connect, and where they arrive."""

    def __init__(self, way: Way, engine: LiveEngine, listener: socket.socket) -> None:
        self.way = way
        self.engine = engine
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}".encode()
        self.server_context: ssl.SSLContext | None = None
        self.client_context: ssl.SSLContext | None = None
        listener.settimeout(SECONDS)

    def enter(self) -> Side:
        """A client that is connected, and may send its first request."""
        raw = Side(self.engine.connect(seconds=SECONDS))
        name = raw.name
        if self.way in {"connect", "tls"}:
            raw.say(b"CONNECT " + self.host + b" HTTP/1.1\r\nHost: " + self.host + b"\r\n\r\n")
            assert raw.hear(len(ESTABLISHED)) == ESTABLISHED
        elif self.way == "socks5":
            raw.say(b"\x05\x01\x00")
            assert raw.hear(2) == b"\x05\x00"
            raw.say(b"\x05\x01\x00\x01" + bytes([127, 0, 0, 1]) + struct.pack("!H", self.port))
            assert raw.hear(10)[:2] == b"\x05\x00"
        if self.client_context is None:
            raw.sent = raw.got = b""
            return raw
        entered = Side(self.client_context.wrap_socket(raw.sock, server_hostname="127.0.0.1"))
        entered.name = name
        return entered

    def accept(self) -> Side:
        """The next connection at the server."""
        try:
            sock, _ = self.listener.accept()
        except TimeoutError:
            raise AssertionError("nothing came to the server") from None
        sock.settimeout(SECONDS)
        peer = "{}:{}".format(*sock.getpeername()[:2])
        accepted = Side(
            sock if self.server_context is None else self.server_context.wrap_socket(sock, server_side=True)
        )
        accepted.name = peer
        return accepted

    def fill(self, line: Line) -> tuple[Said, bytes]:
        """What is sent, and what has to arrive."""
        said = line.said
        if not isinstance(said, bytes):
            return said, b""
        arrives = (said if line.arrives is None else line.arrives).replace(HOST, self.host)
        base = b"http://" + self.host if self.way == "absolute" else b""
        return said.replace(HOST, self.host).replace(BASE, base), arrives.replace(BASE, b"")

    def play(self, lines: Sequence[Line]) -> tuple[Side, Side]:
        """Speak all lines, look at what arrives, and end what is left open; both sides as they ended."""
        with contextlib.ExitStack() as life:
            here = self.enter()
            life.callback(here.close)
            there: Side | None = None
            for line in lines:
                said, arrives = self.fill(line)
                speaker = here if line.client else there
                assert speaker is not None
                speaker.say(said)
                if there is None:
                    there = self.accept()
                    life.callback(there.close)
                hearer = there if line.client else here
                if isinstance(said, bytes):
                    assert hearer.hear(len(arrives)) == arrives
                    continue
                assert hearer.end() == (b"", said)
                speaker.ended = True
                hearer.ended |= said == RST
            assert there is not None
            if here.ended:  # it may still be told something
                there.close()
                if not there.ended:
                    here.end()
            else:
                here.close()
                if not there.ended:
                    assert there.end()[0] == b""
            return here, there


ESTABLISHED: Final = b"HTTP/1.1 200 Connection Established\r\n\r\n"


class Recorded(NamedTuple):
    """The rows of one client's connection."""

    outer: ConnectionRow
    carried: ConnectionRow
    """The one that was read in the tunnel, or the same."""
    upstreams: list[ConnectionRow]


def every_connection(capture: Capture) -> list[ConnectionRow]:
    """The rows of all connections, those to servers as well; ids have no holes."""
    rows: list[ConnectionRow] = []
    while found := capture.connections(range(len(rows) + 1, len(rows) + 501)):
        rows += found
    return rows


def _rows(capture: Capture, peer: str) -> Recorded | None:
    rows = every_connection(capture)
    outer = next(
        (row for row in reversed(rows) if row.peer == peer and row.listener and row.inside is None), None
    )
    if outer is None:
        return None
    carried = next((row for row in rows if row.inside == outer.id), outer)
    upstreams = []
    for row in rows:
        upstream = capture.upstream(row.id)
        if upstream is not None and upstream.client in {outer.id, carried.id}:
            upstreams.append(row)
    every = [outer, carried, *upstreams]
    return Recorded(outer, carried, upstreams) if all(row.closed_ns is not None for row in every) else None


def recorded(capture: Capture, peer: str) -> Recorded:
    """The rows of the connection of this client, once all of them have ended."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = _rows(capture, peer)
        if found is not None:
            return found
        assert time.monotonic() < deadline, f"the connection of {peer} has not ended in the capture"
        time.sleep(0.01)


def check(path: Path, here: Side, there: Side, *, tunnelled: bool) -> tuple[Capture, Recorded]:
    """Both sides of the record are what both sides saw."""
    capture = Capture.open(path)
    rows = recorded(capture, here.name)
    came, went = (capture.stream_bytes(rows.carried.id, way) for way in (INCOMING, OUTGOING))
    if tunnelled and rows.carried is rows.outer:  # carried as bytes, behind what opened the tunnel
        came, went = came[len(came) - len(here.sent) :], went[len(went) - len(here.got) :]
    assert came == here.sent
    assert went == here.got
    upstream = next(row for row in rows.upstreams if row.peer == there.name)
    assert capture.stream_bytes(upstream.id, INCOMING) == there.got
    assert capture.stream_bytes(upstream.id, OUTGOING) == there.sent
    return capture, rows
