"""The half of a connection that speaks: what leaves it, and how this side ends it.

Everything that is to be sent goes through the turn, so that it leaves after the commit, and in order. `Connection`
adds the half that listens. RFC 9112 §9.6 is the section on closing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from inspectd.engine import tcp
from inspectd.engine.sent import begun

if TYPE_CHECKING:
    from inspectd.capture.records import ConnectionRecord, ExchangeRecord
    from inspectd.engine.evidence import Witness
    from inspectd.engine.pending import Pending
    from inspectd.engine.site import Site

UNSENT_LIMIT: Final = 1024 * 1024
"""Bytes of answers that may wait for the commit; later requests of the connection wait for their turn."""
PATIENCE: Final = 1.0
"""Seconds that a client's system gets to acknowledge the last bytes of a crafted answer."""

_LOOK_AGAIN: Final = 0.005
_OPENING: Final = 64 * 1024  # bytes of an answer in which its head is looked for while it is sent


class Outgoing(asyncio.Protocol):
    """What a player does to its connection, and everything else that sends bytes, FIN or RST."""

    __slots__ = (
        "_closing",
        "_closing_ns",
        "_deaf",
        "_gone",
        "_half_closed",
        "_opening",
        "_parting",
        "_playing",
        "_reading",
        "_record",
        "_see_until",
        "_silent",
        "_site",
        "_stalled",
        "_transport",
        "_unsent",
        "_witness",
    )

    _transport: asyncio.Transport
    _record: ConnectionRecord

    def __init__(self, site: Site) -> None:
        self._site = site
        self._reading: Pending | None = None  # the request whose content is arriving
        self._playing: ExchangeRecord | None = None  # what is being answered, when that takes time
        self._opening = bytearray()  # of what is being answered, until its head is complete
        self._deaf = False  # bytes are recorded, but no request is read from them any more
        self._closing: str | None = None  # how this side ends the connection: "fin", "rst", "timeout"
        self._closing_ns = 0
        self._half_closed = False  # this side's FIN follows what was sent: nothing more can be
        self._silent = False  # the answer under way stalls, and is meant to
        self._parting = False  # the client said that its last request is the last
        self._gone = False
        self._unsent = 0  # bytes that wait for the commit
        self._stalled = False  # nothing is read from the client for now
        self._witness: Witness | None = None  # looks at what the client does with crafted answers
        self._see_until = 0.0  # how long the socket stays open, after FIN, for the client's acknowledgements

    # -- what a player asks for

    def send(self, data: bytes) -> None:
        """Record a piece of the answer under way, and send it, while this side may still send."""
        if self._half_closed or self._closing is not None:
            return
        exchange = self._playing
        head = None
        if exchange is not None and exchange.res_len is None:
            self._opening.clear()
        if exchange is not None and exchange.res_head is None and len(self._opening) < _OPENING:
            before = len(self._opening)
            self._opening += data
            facts = begun(bytes(self._opening))
            if facts.head is not None:
                head = facts.head - before
            if facts.status is not None:
                exchange.status, exchange.reason = facts.status, facts.reason
        self._send(exchange, data, head=head)

    def half_close(self) -> None:
        """Send FIN and go on reading. Nothing can be sent after it: later requests are recorded only."""
        self._half_closed = True
        self._site.turn.then(self._write_eof)

    def close(self, how: str) -> None:
        """End the connection once all that was sent before has left: "fin", "rst" or "timeout"."""
        if self._closing is None:
            self._closing = how
            self._closing_ns = time.time_ns()
            self._stop_reading()
            self._site.turn.then(self._close_now)

    def stall(self) -> None:
        """Send nothing more. The client's next FIN, its RST or the engine's stop ends the connection."""
        self._silent = True
        if self._stalled:  # what would be read next waits for an answer that never comes: only record it
            self._stop_reading()
            self._go_on_reading()

    def under_way(self) -> bool:
        """Whether bytes have been sent that the client's system has not acknowledged yet, as far as is known."""
        transport = self._transport
        if self._gone or transport.is_closing():
            return False
        if self._unsent or transport.get_write_buffer_size():
            return True
        sock = transport.get_extra_info("socket")
        return tcp.is_tcp(sock) and tcp.unacknowledged(sock) > 0

    # -- what the listening half does

    def _stop_reading(self) -> None:
        self._deaf = True

    def _go_on_reading(self) -> None:
        """Read again after a stall."""
        self._stalled = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _answer_next(self) -> None:
        """Answer what waits, as far as there is room."""

    def _rest(self) -> None:
        """Nothing is left to answer for now."""

    # -- what leaves

    def _send(self, exchange: ExchangeRecord | None, data: bytes, *, head: int | None = None) -> None:
        now = time.time_ns()
        self._record.sent(exchange, data, now)
        if exchange is not None and head is not None:
            assert exchange.res_len is not None
            exchange.res_head = exchange.res_len - len(data) + head
        self._unsent += len(data)
        self._site.turn.then(self._write, data)

    def _write(self, data: bytes) -> None:
        full = self._unsent >= UNSENT_LIMIT
        self._unsent -= len(data)
        if not self._transport.is_closing():
            self._transport.write(data)
        if full:  # only then did answers wait for this, and only then may they follow from here
            self._answer_next()
        if self._deaf or self._reading is not None or self._site.stopping:
            self._rest()

    def _write_eof(self) -> None:
        if self._record.fin_out_ns is not None or self._transport.is_closing():
            return
        self._record.fin_out_ns = time.time_ns()
        with contextlib.suppress(OSError):  # the client's RST is here, and asyncio has not seen it yet
            self._transport.write_eof()

    def _end_of_answers(self) -> None:
        """The last answer is on its way. A client that may be sending is heard out: a RST would eat the answer."""
        heard_out = self._parting and self._reading is None and not self._deaf
        if self._record.fin_in_ns is not None or heard_out:
            self.close("fin")
        elif self._closing is None:
            self._closing = "fin"
            self._closing_ns = time.time_ns()
            self._stop_reading()
            if self._stalled:
                self._go_on_reading()
            self._site.turn.then(self._write_eof)

    def _reset(self) -> None:
        tcp.reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()

    def _close_now(self) -> None:
        if self._gone:
            return
        if self._closing == "rst":
            self._reset()
            return
        if self._see_until:
            return  # it is on its way
        if self._witness is not None and self._witness.waiting:
            self._see_until = time.monotonic() + PATIENCE
            self._write_eof()
            self._close_seen()
            return
        if self._record.fin_out_ns is None:
            self._record.fin_out_ns = time.time_ns()
        self._transport.close()

    def _close_seen(self) -> None:
        """Close when the client's system has acknowledged everything: who closes earlier never learns what it took."""
        if self.under_way() and time.monotonic() < self._see_until:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN, self._close_seen)
        elif not self._gone:
            self._transport.close()
