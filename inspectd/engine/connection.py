"""One accepted connection: reads are recorded and understood, requests answered in order, the end accounted for.

Strategy: `data_received` records the bytes, lets the wire reader find the requests in them, and starts the answer of
each request that is complete. Everything that is to be sent goes through the turn, so that it leaves after the commit.
Goal: an ordinary request and its answer take one pass through here: no task, no timer, no copy of the bytes.
Warning: nothing a peer sends may raise out of a callback. What can't be understood is recorded and described.
RFC 9112 §9 is the section on connections.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

from inspectd.capture.model import State
from inspectd.engine import ending, tcp
from inspectd.engine.answering import Answering
from inspectd.engine.foreign import farewell
from inspectd.engine.pending import Pending
from inspectd.engine.summary import TARGET_KEPT, shown
from inspectd.wire import ArrivedHead, ContentData, Foreign, MessageEnd, RequestReader, TooLarge
from inspectd.wire.strict import refusal

if TYPE_CHECKING:
    from inspectd.capture.records import ExchangeRecord
    from inspectd.engine.site import Site
    from inspectd.rules.answer import Answer
    from inspectd.wire import Event

LINGER_NS: Final = 2_000_000_000
"""How long to go on reading after the last answer to a client that is still sending (RFC 9112 §9.6)."""
QUIET_NS: Final = 200_000_000
"""Silence after which a connection without a byte, or half a head, is shown as such."""

LEFT_SECONDS: Final = 0.05
"""How long a private connection is kept open that its client has closed."""

_REQUEST_COMPLETE: Final = State.REQUEST_COMPLETE.value

_TOO_LARGE: Final = {"head": 431, "request-line": 414}


class Connection(Answering):
    """The protocol object of one connection."""

    __slots__ = (
        "_answer_at",
        "_behind",
        "_half_head",
        "_head_ns",
        "_listener",
        "_listening_ns",
        "_taken_ns",
        "_unread",
    )

    _pending = Pending
    """What is made of a request that has arrived."""
    _inside: int | None = None
    """The connection in whose tunnel this one is read."""

    def __init__(self, site: Site, listener: int) -> None:
        super().__init__(site)
        self._listener = listener
        self._reader = RequestReader(max_head=site.limits.head, max_request_line=site.limits.request_line)
        # a head that is late and is shown before it is complete
        self._half_head: ExchangeRecord | None = None
        self._head_ns = 0
        self._answer_at: int | None = None  # octets of the arriving content to wait for before answering
        self._listening_ns = 0  # when reading went on after a stall
        self._behind = b""  # the first bytes behind the last request that is read
        self._unread = 0  # bytes that this side has sent and the client has not taken
        self._taken_ns = 0  # when that number changed

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection was accepted."""
        now = time.time_ns()
        site = self._site
        self._transport = transport = cast("asyncio.Transport", transport)
        self._record = record = site.welcome(self, transport, self._listener, now)
        if self._inside is not None:
            record.inside = self._inside
            return  # whoever carries it was let in
        if site.recorded:
            sock = transport.get_extra_info("socket")
            record.rtt_us = tcp.round_trip_us(sock)
            queue = site.accept_queue(self._listener)
            if queue is not None:
                record.queue_len, record.queue_max = queue
            site.turn.soon()
        if site.admit is not None and (turned_away := site.admit()) is not None:
            record.describe(turned_away.kind, turned_away.sentence)
            if turned_away.how == "reset":
                self.close("rst")
            else:
                self._end_of_answers()
        elif len(site.connections) > site.limits.connections:
            sentence = f"{site.limits.connections} connections are open already, as many as allowed."
            record.describe("over-limit", sentence)
            self._refuse(503, sentence, None)
        elif site.stopping:  # it was accepted in the last moment
            self.close("fin")

    def data_received(self, data: bytes) -> None:
        """A read brought bytes."""
        now = time.time_ns()
        record = self._record
        reader = self._reader
        if record.bytes_in == 0 and record.kind == "preconnect":
            waited = (now - record.opened_ns) / 1e9
            record.describe("preconnect", f"opened ahead of need: the first byte came {waited:.1f} s later")
        record.received(data, now)
        if not self._deaf:
            for event in reader.feed(data):
                self._on_event(event)
            start = reader.head_start
            if start is not None and start >= record.bytes_in - len(data):
                self._head_ns = now
        reading = self._reading
        record.settle(reading.exchange if reading is not None else self._half_head)
        if not self._behind and (self._deaf or self._reader.adrift):
            self._behind = ending.behind(record, data)
        if reading is not None and reading.head.expects_continue:
            self._invite_content(reading)
        self._site.turn.soon()

    def eof_received(self) -> bool:
        """The client sent FIN: it will send no more, but may still read. Returns True: this side closes in its time."""
        if self._record.fin_in_ns is None:  # reading goes on after a stall, and finds the same FIN again
            self._record.fin_in_ns = time.time_ns()
        self._finish_reading("the client sent FIN")
        self._deaf = True
        if self._closing is not None:
            self._site.turn.then(self._close_now)  # it was heard out
        elif not self._site.recorded and tcp.peer_has_left(self._transport.get_extra_info("socket")):
            # Nobody waits for the answer. What was asked for just now has begun before this happens.
            asyncio.get_running_loop().call_later(LEFT_SECONDS, self._transport.abort)
        elif self._silent or not self._answering:
            self.close("fin")  # a client that leaves a stalled answer has seen what there is to see
        elif self._held is not None:
            self._site.holds.client_left(self._held)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        now = time.time_ns()
        site = self._site
        record = self._record
        if self._player is not None:
            self._player.stop()
        self._gone = True
        reset = exc is not None
        self._finish_reading("the client sent RST" if reset else "the connection was closed")
        for pending in self._queue:
            self._abort(pending.exchange, "the connection ended before the answer")
        if self._held is not None and self._playing is not None:
            self._site.holds.lose(self._held)
            self._unhold(self._playing, self._held)
            self._abort(self._playing, "the connection ended before anybody decided")
        elif self._playing is not None:
            self._abort(self._playing, self._cut_off)
        record.closed_ns = now
        record.closed_by, record.how = ending.who_ended_it(record, self._closing, reset=reset)
        ending.describe(record, now, self._behind)
        record.save()
        if self._witness is not None:
            self._witness.end(now)
        site.forget(self)
        site.turn.soon()

    def pause_writing(self) -> None:
        """The client reads slower than this side sends: no further answers, and no further requests, until it does."""
        self._choked = True
        self._stall()
        if self._player is not None:
            self._player.pause()

    def resume_writing(self) -> None:
        """The client has read some."""
        self._choked = False
        if self._player is not None:
            self._player.resume()
        self._answer_next()

    # -- reading requests

    def _on_event(self, event: Event) -> None:
        if self._deaf:
            return
        match event:
            case ArrivedHead():
                self._on_head(event)
            case MessageEnd():
                self._on_end(event)
            case ContentData():
                self._on_content(event)
            case TooLarge():
                self._on_too_large(event)
            case Foreign():
                self._on_foreign(event)

    def _on_head(self, head: ArrivedHead) -> None:
        if self._witness is not None:
            self._witness.look()
        exchange = self._half_head
        if exchange is None:
            exchange = self._record.begin(head.start, self._head_ns)
        self._half_head = None
        self._site.summaries.describe(exchange, head)
        self._reading = pending = self._pending(exchange, head)
        self._parting = not head.keep_alive
        objection = self._objection(head)
        if objection is not None:
            exchange.req_len = self._record.bytes_in - exchange.req_offset
            self._refuse_with(objection, exchange)
            return
        if head.length != 0:
            self._plan(pending)

    def _objection(self, head: ArrivedHead) -> Answer | None:
        """What a request is answered that nobody is to see: no rule, no person, no server."""
        why = refusal(head) if self._site.strict else None
        return None if why is None else self._site.refusal(400, why)

    def _plan(self, pending: Pending) -> None:
        """Ask whether the request is to be answered before its content is there, or never invited to send it."""
        self._answer_at = None
        if self._site.planner is None or pending.head.method == b"CONNECT":
            return
        plan = self._site.plan(self._request(pending, complete=False))
        pending.invited = not plan.invite
        self._answer_at = plan.answer_at
        if plan.answer_at is not None and plan.answer_at <= 0:
            self._answer_early(pending)

    def _answer_early(self, pending: Pending) -> None:
        self._answer_at = None
        self._early = pending
        pending.invited = True  # the answer says it all
        if self._queue or not self._may_answer:
            self._queue_up(pending)
        else:
            self._answer(pending)

    def _on_content(self, event: ContentData) -> None:
        reading = self._reading
        if reading is not None:
            reading.take(event.data, self._site.content_kept)
            if self._answer_at is not None and reading.content_length >= self._answer_at:
                self._answer_early(reading)

    def _on_end(self, event: MessageEnd) -> None:
        pending = self._reading
        if pending is None:
            return
        self._reading = None
        self._record.end(pending.exchange, event.end)
        if not event.complete:
            self._stop_reading()  # where the next message begins can't be known: answer this one, and close
        else:
            pending.exchange.state |= _REQUEST_COMPLETE
        if pending is self._early:
            self._early = None
            self._rest()
        elif self._queue or not self._may_answer:
            self._queue_up(pending)
        else:
            self._answer(pending)

    def _on_too_large(self, event: TooLarge) -> None:
        exchange = self._half_head or self._record.begin(event.start, self._head_ns)
        self._half_head = None
        self._glimpse(exchange)
        exchange.req_len = self._record.bytes_in - exchange.req_offset
        limits = self._site.limits
        status = _TOO_LARGE[event.what]
        limit = limits.head if status == 431 else limits.request_line
        named = "head" if status == 431 else "request line"
        self._refuse(
            status, f"The {named} is longer than the {limit} bytes that inspectd is set to read.", exchange
        )

    def _on_foreign(self, event: Foreign) -> None:
        self._record.describe(event.protocol, event.sentence)
        words = farewell(event.protocol)
        if self._gone:
            return
        if words:
            self._stop_reading()
            self._send(None, words)
            self._end_of_answers()
        else:
            self._refuse(400, event.sentence, None)

    def _finish_reading(self, why: str) -> None:
        """No more bytes will come: account for what is unfinished."""
        if not self._deaf:
            for event in self._reader.eof():
                if not isinstance(event, MessageEnd) or event.complete:
                    self._on_event(event)
            self._show_half_head()
            self._deaf = True
        if self._half_head is not None:
            arrived = self._record.bytes_in - self._half_head.req_offset
            self._abort(self._half_head, f"half a head: {arrived} bytes, then {why}")
            self._half_head = None
        if self._reading is not None:
            self._abort(self._reading.exchange, f"cut off: {why} before the request was complete")
            self._reading = self._early = None

    def _show_half_head(self) -> None:
        """Make a head that is not complete yet an exchange that can be seen."""
        start = self._reader.head_start
        if start is None or self._reading is not None or self._half_head is not None:
            return
        self._half_head = exchange = self._record.begin_late(start, self._head_ns)
        self._glimpse(exchange)

    def _glimpse(self, exchange: ExchangeRecord) -> None:
        """Name an exchange after the words of a request line that may never be complete."""
        method, target = self._reader.glimpse()
        if target is not None:
            exchange.method, exchange.target = shown(method or b""), shown(target[:TARGET_KEPT])

    # -- time

    def _go_on_reading(self) -> None:
        self._listening_ns = time.time_ns()
        super()._go_on_reading()

    def tick(self, now: int) -> None:
        """Look after a connection on which nothing may have happened for a while; called a few times a second."""
        record = self._record
        site = self._site
        limits = site.limits
        self._see_what_is_taken(now)
        if self.look():
            site.turn.soon()
        idle_ns = int(limits.idle_timeout * 1e9)
        if self._closing is not None:
            if not self._transport.is_closing():
                if now - self._closing_ns > LINGER_NS:
                    self._close_now()
            elif now - max(self._closing_ns, self._taken_ns) > idle_ns:
                self._reset()  # the client has taken nothing of the last bytes in all this time
            return
        quiet = now - max(record.opened_ns, record.last_in_ns or 0, record.last_out_ns or 0, self._taken_ns)
        if record.bytes_in == 0 and record.kind is None and quiet > QUIET_NS:
            record.describe(
                "preconnect", "open, no byte yet: a browser's connection ahead of need, or a port check"
            )
            site.turn.soon()
        half_head = self._reader.head_start is not None and self._reading is None and not self._deaf
        if half_head and quiet > QUIET_NS and self._half_head is None:
            self._show_half_head()
            site.turn.soon()
        waiting = half_head and not self._stalled  # else the rest may be there, and this side doesn't read it
        if waiting and now - max(self._head_ns, self._listening_ns) > limits.head_timeout * 1e9:
            self._time_out("The rest of the head did not arrive in time.")
        elif quiet > idle_ns:
            if self._silent:
                if (
                    record.fin_in_ns is not None
                ):  # it won't say that it leaves: it has said so before the stall
                    self.close("timeout")
            elif self._choked:
                self._closing, self._closing_ns = "timeout", now
                self._reset()  # the client asked, and takes nothing of the answer
            elif self._answering:
                pass
            elif self._reading is not None and self._reading is not self._early:
                self._time_out("The rest of the content did not arrive in time.")
            else:
                self.close("timeout")
        if record.changed:
            record.save()
            site.turn.soon()

    def _see_what_is_taken(self, now: int) -> None:
        """Notice that a slow client goes on reading: bytes leave this side's buffer, or the kernel's."""
        waiting = self._transport.get_write_buffer_size()
        if waiting or self._unread:
            unread = waiting + tcp.unacknowledged(self._transport.get_extra_info("socket"))
            if unread != self._unread:
                self._unread, self._taken_ns = unread, now

    def _time_out(self, sentence: str) -> None:
        """408 and a close: harmless to a client that will use the connection for another request."""
        self._show_half_head()
        exchange = self._reading.exchange if self._reading is not None else self._half_head
        self._half_head = None
        self._refuse(408, sentence, exchange)

    def stop(self) -> None:
        """The engine stops: finish what is in flight, then close."""
        if self._silent:
            self.close("rst")  # a FIN would say that the answer was whole
        elif self._inbox is not None:
            self._inbox.stop()
        elif self._closing is None and not self._answering and self._reading is self._early:
            self.close("fin")

    def abort(self) -> None:
        """The engine stops now."""
        if self._playing is not None or self._transport.get_write_buffer_size():
            self._closing = self._closing or "rst"
            self._reset()  # a FIN would say that the answer was whole
        else:
            self._closing = self._closing or "fin"
            if self._record.fin_out_ns is None:
                self._record.fin_out_ns = time.time_ns()
            self._transport.abort()
