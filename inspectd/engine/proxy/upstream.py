"""A connection to a server: requests are written to it, its bytes go back to the connection it serves.

One is made for a client's connection when the first request is forwarded, and serves later ones while both sides keep
it open. Nothing is buffered here: bytes are handed over as they come, and whoever reads slowly slows the other down.
Warning: nothing a server sends may raise out of a callback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Final, Protocol, cast

from inspectd.engine import tcp
from inspectd.engine.listener import render
from inspectd.wire import ResponseReader

if TYPE_CHECKING:
    from inspectd.capture.records import ConnectionRecord
    from inspectd.capture.writer import CaptureWriter
    from inspectd.engine.proxy.dial import Dial
    from inspectd.engine.proxy.forward import Forward
    from inspectd.engine.proxy.routes import Failure, Origin
    from inspectd.engine.proxy.secure import Secure

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
        "_first",
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
        "secure",
        "served",
        "socket_names",
        "spent",
        "via",
    )

    _transport: asyncio.Transport

    def __init__(
        self, owner: Owner, origin: Origin, dial: Dial, *, via: str | None = None, first: bytes = b""
    ) -> None:
        """`via` is the URL of the proxy that it goes through, `first` what came from there already."""
        self.owner = owner
        self._dial = dial
        self._first = first
        self.via = via
        self.secure: Secure | None = None
        """Its TLS."""
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
        self.socket_names = "", ""
        """Its own address, and the server's or the proxy's."""

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server can be spoken to."""
        if self.secure is None:
            self.began(cast("asyncio.Transport", transport))
        self._dial.made(self)
        if self._first:
            self.data_received(self._first)

    def began(self, transport: asyncio.Transport) -> None:
        """There is a connection, over which TLS may still have to be agreed upon."""
        self._transport = transport
        self.opened_ns = time.time_ns()
        own, peer = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        self.socket_names = render(own), str(self.origin) if peer is None else render(peer)

    def data_received(self, data: bytes) -> None:
        """The server sent bytes."""
        if not self.gone:
            self.owner.server_said(self, data, time.time_ns())

    def eof_received(self) -> bool:
        """The server sent FIN. Returns True: whoever is served decides when this side closes."""
        record, before = self.record, self.fin
        self.fin = True
        if record is not None and not (self.gone or before):  # after close_notify comes FIN
            record.fin_out_ns = time.time_ns()  # in this row the server is the one that answers
            self.owner.server_finished(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self.gone or self.record is None:
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

    # -- what TLS says

    def broke(self, reason: str) -> None:
        """Nothing that comes can be understood any more."""
        self.noted()
        if not self.gone:
            self.over("server", "rst")
            self._transport.abort()
            self.owner.server_lost(self, reason)

    def noted(self) -> None:
        """More is known about its encryption."""
        if self.record is not None and self.secure is not None:
            self.record.save_tls(self.secure.record)

    # -- what its owner does

    def enter(self, writer: CaptureWriter, client: ConnectionRecord) -> ConnectionRecord:
        """Give it its row, as a connection that was made for `client`."""
        own, server = self.socket_names
        self.record = record = writer.upstream(
            client, str(self.origin), own, server, self.opened_ns, via=self.via
        )
        if self.secure is not None:
            tls = self.secure.record
            tls.connection = record.id
            record.save_tls(tls)
            if tls.shaken_ns is None and tls.sentence is not None:
                record.describe("tls-failed", tls.sentence)
        if self.gone:
            self.over("client", "fin")
        return record

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
        if self.secure is not None and how == "fin" and not self._transport.get_write_buffer_size():
            self._transport.close()  # close_notify goes before FIN
        else:
            self._transport.abort()

    def over(self, closed_by: str, how: str) -> None:
        """It has ended, and this is how."""
        self.gone = True
        record = self.record
        if record is not None and record.closed_ns is None:
            record.closed_ns = time.time_ns()
            record.closed_by, record.how = closed_by, how
            record.save()
