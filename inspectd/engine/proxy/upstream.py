"""A connection to a server: requests are written to it, its bytes go back to the connection it serves.

One is made for a client's connection when the first request is forwarded, and serves later ones while both sides keep
it open. Nothing is buffered here: bytes are handed over as they come, and whoever reads slowly slows the other down.
Warning: nothing a server sends may raise out of a callback.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import time
from typing import TYPE_CHECKING, Final, Protocol, cast

from inspectd.engine import tcp
from inspectd.engine.listener import render
from inspectd.engine.proxy.routes import Failure, Origin
from inspectd.wire import ResponseReader

if TYPE_CHECKING:
    from inspectd.capture.records import ConnectionRecord
    from inspectd.engine.proxy.forward import Forward
    from inspectd.engine.proxy.routes import Forwarder

_HEAD: Final = 1 << 20
"""Bytes that a response's head may have to be understood; a longer one is forwarded as bytes."""


class Owner(Protocol):
    """The client's connection that an upstream serves."""

    def connected(self, dial: Dial, upstream: Upstream) -> None: ...
    def not_connected(self, dial: Dial, failure: Failure) -> None: ...
    def server_said(self, upstream: Upstream, data: bytes, now: int) -> None: ...
    def server_finished(self, upstream: Upstream) -> None:
        """The server sent FIN."""

    def server_lost(self, upstream: Upstream, reason: str) -> None:
        """The server sent RST, or its network is gone; `reason` says so as the end of a sentence."""

    def server_is_slow(self) -> None: ...
    def server_has_room(self) -> None: ...


class Upstream(asyncio.Protocol):
    """The protocol object of a connection to a server."""

    __slots__ = (
        "_dial",
        "_transport",
        "fin",
        "forward",
        "full",
        "gone",
        "opened_ns",
        "origin",
        "owner",
        "reader",
        "record",
        "served",
        "spent",
    )

    _transport: asyncio.Transport

    def __init__(self, owner: Owner, origin: Origin, dial: Dial) -> None:
        self.owner = owner
        self._dial = dial
        self.origin = origin
        self.reader = ResponseReader(max_head=_HEAD)
        self.record: ConnectionRecord | None = None
        self.forward: Forward | None = None
        """What is being forwarded on it."""
        self.served = 0
        """How many exchanges it has carried before that."""
        self.spent = False
        """It must not carry another one."""
        self.fin = False
        """The server has sent FIN."""
        self.full = False
        """The server reads slower than it is sent."""
        self.gone = False
        self.opened_ns = 0

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is complete."""
        self._transport = cast("asyncio.Transport", transport)
        self.opened_ns = time.time_ns()
        self._dial.made(self)

    def data_received(self, data: bytes) -> None:
        """The server sent bytes."""
        if not self.gone:
            self.owner.server_said(self, data, time.time_ns())

    def eof_received(self) -> bool:
        """The server sent FIN. Returns True: whoever is served decides when this side closes."""
        self.fin = True
        record = self.record
        if record is not None and not self.gone:
            record.fin_out_ns = time.time_ns()  # in this row the server is the one that answers
            self.owner.server_finished(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self.gone:
            return
        reason = os.strerror(exc.errno or 0).lower() if isinstance(exc, OSError) else "it is closed"
        if isinstance(exc, ConnectionResetError | BrokenPipeError):
            reason = "it was reset by the server"
        self.over("server", "rst" if exc is not None else "fin")
        self.owner.server_lost(self, reason)

    def pause_writing(self) -> None:
        """The server reads slower than it is sent."""
        self.full = True
        self.owner.server_is_slow()

    def resume_writing(self) -> None:
        """The server has read some."""
        self.full = False
        if not self.gone:
            self.owner.server_has_room()

    # -- what its owner does

    @property
    def socket_names(self) -> tuple[str, str]:
        """Its own address and the server's."""
        own, peer = (self._transport.get_extra_info(name) for name in ("sockname", "peername"))
        return render(own), str(self.origin) if peer is None else render(peer)

    def write(self, data: bytes) -> None:
        """Send these bytes."""
        if not self.gone and not self._transport.is_closing():
            self._transport.write(data)

    def write_eof(self) -> None:
        """Send FIN, and go on reading."""
        record = self.record
        if self.gone or record is None or record.fin_in_ns is not None or self._transport.is_closing():
            return
        record.fin_in_ns = time.time_ns()
        with contextlib.suppress(OSError):  # the server's RST is here, and asyncio has not seen it yet
            self._transport.write_eof()

    def pause(self) -> None:
        """Read nothing for now: the client takes no more."""
        if not self.gone and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if not self.gone and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self, how: str = "fin") -> None:
        """End it: "fin", or "rst". What it has not sent yet is lost."""
        if self.gone:
            return
        by = "server" if self.fin and how == "fin" else "client"
        if how == "rst" and not self._transport.is_closing():
            tcp.reset_on_close(self._transport.get_extra_info("socket"))
        self.over(by, how)
        self._transport.abort()

    def over(self, closed_by: str, how: str) -> None:
        """It has ended, and this is how."""
        self.gone = True
        record = self.record
        if record is not None and record.closed_ns is None:
            record.closed_ns = time.time_ns()
            record.closed_by, record.how = closed_by, how
            record.save()


class Dial:
    """On the way to a connection: addresses are looked up and tried in turn. `cancel` ends it."""

    __slots__ = ("_began", "_forwarder", "_owner", "_task", "connect_ns", "origin", "resolve_ns")

    def __init__(self, owner: Owner, origin: Origin, forwarder: Forwarder) -> None:
        self.origin = origin
        self.resolve_ns = self.connect_ns = 0
        self._began = time.monotonic_ns()
        self._owner = owner
        self._forwarder = forwarder
        self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._task.cancel()

    async def _run(self) -> None:
        seconds = self._forwarder.config.connect_timeout
        try:
            async with asyncio.timeout(seconds):
                result = await self._connect()
        except TimeoutError:
            result = Failure(504, f"{self.origin} did not accept a connection within {seconds:g} s.")
        except Exception as problem:  # noqa: BLE001  whatever goes wrong, the client gets an answer
            result = Failure(502, f"Connecting to {self.origin} failed: {type(problem).__name__}: {problem}.")
        if result is not None:
            self._owner.not_connected(self, result)

    def made(self, upstream: Upstream) -> None:
        """The connection is there."""
        self.connect_ns = time.monotonic_ns() - self._began - self.resolve_ns
        self._owner.connected(self, upstream)

    async def _connect(self) -> Failure | None:
        addresses = await self._addresses()
        if isinstance(addresses, Failure):
            return addresses
        self.resolve_ns = time.monotonic_ns() - self._began
        loop = asyncio.get_running_loop()
        problems: list[OSError] = []
        for address in addresses:
            if self._forwarder.is_own(address, self.origin.port):
                return Failure(
                    508,
                    f"{self.origin} is this proxy's own address: the request would go round in circles for ever.",
                )
            try:
                await loop.create_connection(
                    lambda: Upstream(self._owner, self.origin, self), address, self.origin.port
                )
            except OSError as problem:
                problems.append(problem)
            else:
                return None
        return _why_not(self.origin, problems)

    async def _addresses(self) -> list[str] | Failure:
        host = self.origin.host
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            pass
        else:
            return [host]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, self.origin.port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else str(problem)
            return Failure(502, f"No address is known for the name {host!r}: {why}.")
        return list(dict.fromkeys(str(place[0]) for *_, place in found))


def _why_not(origin: Origin, problems: list[OSError]) -> Failure:
    if any(_number(problem) == errno.ECONNREFUSED for problem in problems):
        return Failure(502, f"{origin} refused the connection: nothing listens there.")
    why = "; ".join(dict.fromkeys(os.strerror(_number(problem)) for problem in problems)) or "no address"
    return Failure(502, f"{origin} can't be reached: {why}.")


def _number(problem: OSError) -> int:
    """The error number, also where a loop puts a sentence of its own around it."""
    return problem.errno or 0
