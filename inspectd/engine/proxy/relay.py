"""A client's connection whose requests a real server answers, unless a rule does.

Strategy: bytes are recorded and understood as on every connection, and handed on as they came: the readers only say
where messages begin and end. One connection to the server belongs to one of a client and is used again while both
sides leave it open; requests that a client sends ahead wait until those before them are answered.
Goal: no task, no timer and no copy of the bytes for an exchange, memory that doesn't grow with it, and everything that
a client could notice of the server's behaviour (interim responses, early answers, FIN, RST, slowness) passed on.
Warning: nothing a peer sends may raise out of a callback. RFC 9112 §9 and RFC 9110 §7.6 are the sections on this.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from inspectd.capture.beside import ForwardRecord
from inspectd.capture.model import State
from inspectd.engine.proxy.arriving import WAITING_LIMIT
from inspectd.engine.proxy.dial import Dial
from inspectd.engine.proxy.forward import Forward, Piece, split
from inspectd.engine.proxy.routes import Change, Failure, Route, as_json
from inspectd.engine.proxy.ruling import Ruling
from inspectd.engine.summary import VALUE_KEPT, shown
from inspectd.rules.answer import compile_for
from inspectd.rules.passing import Pass
from inspectd.wire import ArrivedResponseHead, MessageEnd

if TYPE_CHECKING:
    from inspectd.capture.records import ConnectionRecord, ExchangeRecord
    from inspectd.engine.pending import Pending
    from inspectd.engine.proxy.routes import Forwarder, Origin
    from inspectd.engine.proxy.upstream import Upstream
    from inspectd.engine.site import Site
    from inspectd.rules.answer import Answer
    from inspectd.rules.program import LiveProgram, Program

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Methods whose requests may be sent again by themselves (RFC 9110 §9.2.2)."""

_RESPONSE_COMPLETE: Final = State.RESPONSE_COMPLETE.value


class Relay(Ruling):
    """The protocol object of a connection that is forwarded."""

    __slots__ = ("_asked", "_before", "_inside", "_parted")

    def __init__(
        self, site: Site, listener: int, forwarder: Forwarder, tunnel: tuple[int, int | None] | None = None
    ) -> None:
        """`tunnel` is the connection that this one is read in, and how many bytes that one's socket has carried."""
        super().__init__(site, listener, forwarder)
        self._inside: int | None = None if tunnel is None else tunnel[0]
        self._before: int | None = 0 if tunnel is None else tunnel[1]
        self._asked: Forward | None = None  # what the responder was asked about last
        self._parted = False  # an answer said that it is the connection's last one

    @property
    def record(self) -> ConnectionRecord:
        """Its row."""
        return self._record

    # -- what asyncio calls

    def eof_received(self) -> bool:
        """The client sent FIN: so does this side, to the server, behind all that came before."""
        if self._inner is not None:
            self._record.fin_in_ns = time.time_ns()
            return bool(self._inner.eof_received())
        forward, way = self._forward, self._way
        result = super().eof_received()
        if way is not None and self._way is way and self._closing is None:
            self._tunnel_ended(way)
        elif forward is not None and self._forward is forward:
            forward.whole = True
            upstream = self._upstream
            if upstream is not None and upstream.forward is forward:
                if not self._queue:
                    upstream.write_eof()
                if self._tunnel and upstream.fin:
                    self.close("fin")
                elif forward.answered and not self._tunnel:
                    self._finish(forward)
        return result

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        if self._inner is not None:
            self._inner.connection_lost(exc)
        super().connection_lost(exc)
        self._leave_tunnel()
        if self._forward is not None and self._forward.record is not None:
            self._record.save_forward(self._forward.record)
        self._forward = None
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self._upstream is not None:
            self._upstream.close("rst" if exc is not None or self._closing == "rst" else "fin")
            self._upstream = None

    def pause_writing(self) -> None:
        """The client reads slower than the server sends: the server is not read from until it does."""
        if self._inner is not None:
            self._inner.pause_writing()
            return
        if self._forward is None and self._way is None:
            super().pause_writing()
            return
        self._choked = True
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        """The client has read some."""
        if self._inner is not None:
            self._inner.resume_writing()
            return
        if self._upstream is not None:
            self._upstream.resume()
        super().resume_writing()

    def tick(self, now: int) -> None:
        """Look after a connection on which nothing may have happened for a while; called a few times a second."""
        upstream, forward = self._upstream, self._forward
        if upstream is not None and upstream.record is not None and upstream.record.changed:
            upstream.record.save()
            self._site.turn.soon()
        if forward is not None and forward.record is not None:
            size = forward.record.req_len + forward.record.res_len
            if size != forward.seen:
                forward.seen = size
                self._record.save_forward(forward.record)
                self._site.turn.soon()
        if self._closing is None and (self._tunnel or forward is not None):
            self._mind_silence(now)
        super().tick(now)

    # -- whose turn it is

    @property
    def _answering(self) -> bool:
        return (
            self._tunnel
            or self._playing is not None
            or self._unsent > 0
            or (bool(self._queue) and not self._half_closed)
        )

    def _go_on_reading(self) -> None:
        upstream = self._upstream
        if self._waiting < WAITING_LIMIT and (upstream is None or not upstream.full):
            super()._go_on_reading()

    # -- answering

    def _watch(self, pending: Pending, program: Program | LiveProgram, rule: str) -> None:
        super()._watch(pending, program, rule)
        if self._witness is not None:
            self._witness.before = self._before

    def _answer(self, pending: Pending) -> None:
        assert isinstance(pending, Forward)
        if pending.direct:
            self._begin(pending)
        else:
            self._asked = pending
            super()._answer(pending)

    def _play(self, exchange: ExchangeRecord, program: Program | LiveProgram) -> None:
        forward = self._asked
        if not isinstance(program, Pass) or forward is None or forward.exchange is not exchange:
            super()._play(exchange, program)
        elif forward.held > sum(len(piece.data) for piece in forward.outbox):
            reason = (
                "no rule answered in the end, and by then its content was too long to be kept for the server."
            )
            self._fail(forward, Failure(502, f"The request could not be forwarded: {reason}"))
        else:
            forward.direct = True
            forward.whole = forward.complete
            self._last = forward
            self._waiting += forward.held
            if forward is self._early:  # it is decided, and the rest of its content goes on to the server
                self._early = None
            forward.told_by = program
            if program.before:
                self._playing = exchange
                exchange.label = program.label
                asyncio.get_running_loop().call_later(program.before, self._go_now, forward)
            else:
                self._begin(forward)

    def _begin(self, forward: Forward) -> None:
        """It is this request's turn to be forwarded."""
        now = time.time_ns()
        exchange = forward.exchange
        self._forward, self._playing = forward, exchange
        route = self._route(forward)
        if not isinstance(route, Route):
            if isinstance(route, Failure):
                forward.record = ForwardRecord(exchange, "", now)
            # The end of the request may be in the same read: it is told after that.
            asyncio.get_running_loop().call_soon(self._go_nowhere, forward, route)
            return
        if route.tunnel:  # what follows in the same read belongs to it
            asyncio.get_running_loop().call_soon(self._connect, forward, route)
            return
        forward.route = route
        forward.record = record = ForwardRecord(exchange, str(route.origin), now)
        record.changes = as_json(route.changes)
        exchange.label = f"passed on to {record.origin}"
        if forward.told_by is not None and forward.told_by.patch is not None:
            exchange.label += ", patched"
        if route.head is not None:
            self._replace_head(forward, route.head, route.recorded or route.head)
        upstream = self._upstream
        alone = forward.head.framing.ambiguous
        if upstream is not None and (
            upstream.spent or upstream.fin or upstream.origin != route.origin or alone
        ):
            upstream.close()
            self._upstream = upstream = None
        if upstream is not None:
            self._send_on(upstream, forward)
        else:
            self._dial_to(route.origin)
            self._record.save_forward(record)
            self._site.turn.soon()

    def _dial_to(self, origin: Origin, *, tunnel: bool = False) -> None:
        self._dial = Dial(self, origin, self._forwarder, tunnel=tunnel)

    def _go_nowhere(self, forward: Forward, instead: Failure | Answer) -> None:
        if self._forward is not forward or self._gone:
            return
        if isinstance(instead, Failure):
            self._fail(forward, instead)
        else:
            self._let_go(forward)
            self._answer_here(forward, instead)
            self._go_on()
            self._site.turn.soon()

    def _replace_head(self, forward: Forward, head: bytes, recorded: bytes) -> None:
        """Send another head than the one that came; what came before and after it stays.

        A secret in it isn't recorded: `recorded` is as long, and has something else in its place.
        """
        before, after = split(forward.outbox, forward.lead)
        _, content = split(after, forward.exchange.req_head)
        forward.outbox = [*before, Piece(head, *self._record.put(recorded)), *content]
        longer = len(head) - forward.exchange.req_head
        forward.held += longer
        self._waiting += longer

    def _send_on(self, upstream: Upstream, forward: Forward) -> None:
        """Send all of the request that is there."""
        upstream.forward = forward
        outbox, forward.outbox = forward.outbox, []
        upstream.reader.expect(forward.head.method)
        if upstream.served and forward.head.length == 0 and forward.head.method in IDEMPOTENT:
            forward.again = outbox
        self._waiting -= forward.held
        forward.held = 0
        for piece in outbox:
            self._say(upstream, forward, piece)
        if self._record.fin_in_ns is not None and not self._queue:
            upstream.write_eof()
        assert upstream.record is not None
        upstream.record.exchanges += 1
        if self._stalled and not self._choked:
            self._go_on_reading()

    # -- what the server does (`upstream.Owner`)

    def connected(self, dial: Dial, upstream: Upstream) -> None:
        """There is a connection to the server."""
        forward, way = self._forward, self._way
        if self._dial is not dial or self._gone:
            upstream.close()
            return
        self._dial = None
        if way is not None:
            self._carried(way, dial, upstream)
            return
        if forward is None or forward.record is None:
            upstream.close()
            return
        self._upstream = upstream
        self._parted = False
        self._note_upstream(dial, upstream, forward.record)
        upstream.spent = forward.head.framing.ambiguous
        self._send_on(upstream, forward)
        if self._choked:
            upstream.pause()
        self._site.turn.soon()

    def _note_upstream(self, dial: Dial, upstream: Upstream, record: ForwardRecord | None) -> None:
        row = upstream.enter(self._forwarder.writer, self._record)
        if self._ignored:
            self._forwarder.writer.let_go(row)
        if record is not None:
            record.upstream = row.id
            record.resolve_ns, record.connect_ns, record.tls_ns = (
                dial.resolve_ns,
                dial.connect_ns,
                dial.tls_ns,
            )

    def not_connected(self, dial: Dial, failure: Failure) -> None:
        """There is none."""
        if self._dial is dial:
            self._dial = None
            if dial.failed is not None and not self._gone:
                whose = self._way.forward if self._way is not None else self._forward
                self._note_upstream(dial, dial.failed, None if whose is None else whose.record)
            if self._way is not None and not self._gone:
                self._not_carried(self._way, failure)
            elif self._forward is not None and not self._gone:
                self._fail(self._forward, failure)

    def server_said(self, upstream: Upstream, data: bytes, now: int) -> None:
        """Bytes came: they are the client's, whatever they are."""
        forward = upstream.forward
        record = upstream.record
        assert record is not None
        if self._closing is not None or self._half_closed or self._gone:
            record.returned(None, self._record.put(data), len(data), now)
            return
        if self._tunnel:
            self._pass_back(upstream, None, data, now)
            return
        base = upstream.reader.offset
        head: int | None = None
        end = len(data)
        events = upstream.reader.feed(data)
        for event in events:
            if isinstance(event, ArrivedResponseHead):
                if forward is None:
                    continue
                forward.interim = event.interim
                if not event.interim:
                    forward.head_of_answer = event
                    head = event.end - base
                    self._note_answer(forward, event)
            elif forward is None or forward.interim or forward.answered:
                continue
            elif isinstance(event, MessageEnd) and event.complete:
                forward.answered = True
                end = event.end - base
        if forward is None or forward.done:
            # More than the answer, or another protocol: the client shall see it, as it would without a proxy.
            upstream.spent = True
            self._parted = True  # if the server closes after it, so does this side
            self._pass_back(upstream, None, data, now)
            return
        forward.told += len(data)
        if forward.patching is not None:
            given = forward.patching.feed(data[:end], base, events)
            if not self._give(upstream, forward, data[:end], given, now):
                return
            if end < len(data):
                self._pass_back(upstream, None, data[end:], now)
                upstream.spent = self._parted = True
        elif end == len(data):
            self._pass_back(upstream, forward, data, now, head=head)
        else:
            self._pass_back(upstream, forward, data[:end], now, head=head)
            self._pass_back(upstream, None, data[end:], now)
            upstream.spent = self._parted = True
        if forward.answered:
            self._answered(upstream, forward, now)

    def _pass_back(
        self, upstream: Upstream, forward: Forward | None, data: bytes, now: int, *, head: int | None = None
    ) -> None:
        """Send the client what the server sent."""
        assert upstream.record is not None
        record = None
        if forward is not None:
            record = forward.record
            self._send(forward.exchange, data, head=head)
        else:
            self._send(None, data)
        upstream.record.returned(record, self._record.last_put(len(data)), len(data), now)

    def server_finished(self, upstream: Upstream) -> None:
        """The server sent FIN: what that means depends on what it has said before."""
        if upstream is not self._upstream:
            return
        forward = upstream.forward
        now = time.time_ns()
        if self._tunnel:
            self.half_close()
            if self._record.fin_in_ns is not None:
                self.close("fin")
        elif forward is None:
            self._drop(upstream)
            if self._parted:
                self._end_of_answers()
        elif forward.answered:
            self._finish(forward)
        else:
            head = forward.head_of_answer
            events = upstream.reader.eof()
            for event in events:
                if isinstance(event, ArrivedResponseHead):
                    forward.head_of_answer = head = event
                    self._note_answer(forward, event)
            if forward.patching is not None and not self._give(
                upstream, forward, b"", forward.patching.end(events), now
            ):
                self._site.turn.soon()
                return
            whole = head is not None and head.framing.until_close
            if whole:
                forward.answered = True
                self._answered(upstream, forward, now)
            elif not forward.told and self._parted:
                self._break_off(upstream, forward, "the server closed, as it had said before", "fin")
            elif not forward.told:
                self._drop(upstream)
                if forward.again:
                    self._try_again(upstream, forward)
                else:
                    self._fail(forward, Failure(502, self._silence(upstream, "closed the connection")))
            else:
                self._break_off(upstream, forward, "the server closed before its answer was whole", "fin")
        self._site.turn.soon()

    def server_lost(self, upstream: Upstream, reason: str) -> None:
        """The connection to the server broke."""
        if upstream is not self._upstream:
            return
        forward = upstream.forward
        self._upstream = None
        if forward is None or forward.answered:
            if self._tunnel:
                self.close("rst")
            elif forward is not None:
                self._finish(forward)
            elif self._parted:
                self._end_of_answers()
        elif not forward.told and self._parted:
            self._break_off(
                upstream, forward, f"the server's connection broke, after a last answer: {reason}", "rst"
            )
        elif not forward.told and forward.again:
            self._try_again(upstream, forward)
        elif not forward.told:
            self._fail(forward, Failure(502, self._silence(upstream, f"lost the connection ({reason})")))
        else:
            self._break_off(upstream, forward, f"the server's connection broke: {reason}", "rst")
        self._site.turn.soon()

    def server_is_slow(self) -> None:
        """The server reads slower than the client sends."""
        self._stall()

    def server_has_room(self) -> None:
        """The server has read some."""
        if self._stalled and not self._choked:
            self._go_on_reading()

    def _try_again(self, upstream: Upstream, forward: Forward) -> None:
        """The server closed a connection that was used before while the request was on its way (RFC 9112 §9.3.1)."""
        record = forward.record
        assert record is not None
        assert upstream.record is not None
        upstream.record.in_vain(record)
        why = f"c{upstream.record.id}, which the server had closed"
        changes: list[Change] = [{"what": "connection", "from": why, "to": "a new one"}]
        record.changes = as_json([*(forward.route.changes if forward.route is not None else ()), *changes])
        for piece in forward.again:
            forward.put(piece)
        self._waiting += forward.held
        forward.again = []
        self._dial_to(upstream.origin)

    # -- ends of an exchange

    def _silence(self, upstream: Upstream, what: str) -> str:
        on = " on a connection that had served before" if upstream.served else ""
        said = f"{upstream.origin} {what}{on} without a byte of an answer."
        origin = upstream.origin
        # So do servers to which TLS is all that they understand.
        return (
            said
            if origin.tls or on
            else f"{said} If it speaks TLS, {origin._replace(tls=True).url} is its URL."
        )

    def _note_answer(self, forward: Forward, head: ArrivedResponseHead) -> None:
        exchange, record = forward.exchange, forward.record
        if not head.raw and record is not None:
            record.failure = "The server's answer is not HTTP/1: it was passed on as it came."
        elif head.status == b"407" and record is not None and forward.route is not None:
            record.failure = self._forwarder.refused_on_the_way(forward.route)
        exchange.status = shown(head.status[:VALUE_KEPT]) or None
        exchange.reason = shown(head.reason[:VALUE_KEPT])

    @staticmethod
    def _switches(forward: Forward) -> bool:
        head = forward.head_of_answer
        return head is not None and head.framing.tunnel

    def _answered(self, upstream: Upstream, forward: Forward, now: int) -> None:
        """The last byte of the answer has come."""
        if forward.done:
            return
        forward.done = True
        forward.exchange.state |= _RESPONSE_COMPLETE
        self._record.touch(forward.exchange)
        if self._witness is not None:
            self._witness.complete(forward.exchange)
        record = forward.record
        assert record is not None
        record.done_ns = now
        self._record.save_forward(record)
        if self._switches(forward):
            self._tunnel = True
            self._playing = self._reading = None
            self._reader.switch()
            if self._kept_from < self._record.bytes_in:
                self._push(forward, self._take(self._record.bytes_in))
        elif forward.whole or upstream.fin:
            self._finish(forward)

    def _finish(self, forward: Forward) -> None:
        """The request and its answer have both come to their end."""
        upstream = self._upstream
        self._let_go(forward)
        head = forward.head_of_answer
        ambiguous = forward.head.framing.ambiguous or (head is not None and head.framing.ambiguous)
        last = not forward.whole or head is None or not head.keep_alive or not forward.head.keep_alive
        last = last or self._ignored  # the next request may be one to record: it comes on another connection
        if upstream is not None:
            upstream.forward = None
            upstream.served += 1
            if ambiguous or upstream.fin:
                self._drop(upstream)
        if last and self._upstream is not None:
            self._parted = True  # the server closes next, and so does this side then
        closes = forward.told_by is not None and forward.told_by.closes
        if (last and self._upstream is None) or ambiguous or closes or self._ignored:
            self._end_of_answers()
        else:
            self._go_on()

    def _let_go(self, forward: Forward) -> None:
        """Nothing more is forwarded for this request."""
        self._forward = self._playing = None
        forward.over = True
        self._waiting -= forward.held
        forward.held = 0
        forward.outbox.clear()
        if forward.record is not None:
            self._record.save_forward(forward.record)

    def _drop(self, upstream: Upstream) -> None:
        self._upstream = None
        upstream.close()

    def _break_off(self, upstream: Upstream, forward: Forward, why: str, how: str) -> None:
        """The answer ends in its middle, and for the client as it did for this side."""
        if forward.patching is not None and not self._give(
            upstream, forward, b"", forward.patching.broken(), time.time_ns()
        ):
            return
        if forward.record is not None:
            forward.record.failure = f"{why[0].upper()}{why[1:]}."
        self._let_go(forward)
        self._drop(upstream)
        self._abort(forward.exchange, why)
        self.close(how)

    def _fail(self, forward: Forward, failure: Failure) -> None:
        """There is no answer: say why, or reset."""
        if forward.record is None:
            forward.record = ForwardRecord(forward.exchange, "", time.time_ns())
        forward.record.failure = failure.sentence
        exchange = forward.exchange
        self._let_go(forward)
        if self._forwarder.config.on_error == "reset":
            self._abort(exchange, failure.sentence)
            self.close("rst")
        else:
            self._answer_here(forward, self._site.refusal(failure.status, failure.sentence))
            exchange.label = failure.sentence
            self._go_on()
        self._site.turn.soon()

    def _answer_here(self, forward: Forward, answer: Answer) -> None:
        """Answer in the place of a server, and close."""
        if self._reading is forward:
            self._reading = None
            self._stop_reading()
        program = compile_for(answer, now=time.time(), method=forward.head.method, persist=False)
        super()._play(forward.exchange, program)
