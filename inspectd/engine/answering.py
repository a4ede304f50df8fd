"""The part of a connection that answers: requests in their order, one after the other, each with what it is to get.

An ordinary answer is one piece of bytes and leaves in passing. One that takes time has a player, one that waits for a
person lies on the hold desk, and later requests wait behind it. RFC 9112 §9.3.2: pipelined requests are answered in
their order.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from inspectd.capture.answered import BY_HAND
from inspectd.capture.model import State
from inspectd.engine.evidence import Witness
from inspectd.engine.outgoing import UNSENT_LIMIT, Outgoing
from inspectd.engine.overheard import Overheard
from inspectd.engine.pending import Pending, Refused
from inspectd.engine.player import Player
from inspectd.engine.sent import as_json
from inspectd.rules.answer import compile_for
from inspectd.rules.passing import Pass
from inspectd.rules.program import LiveProgram, Program, Send
from inspectd.rules.request import Request

if TYPE_CHECKING:
    from inspectd.capture.records import ExchangeRecord
    from inspectd.engine.holds import Held
    from inspectd.engine.site import Site
    from inspectd.rules.answer import Answer
    from inspectd.rules.inbox import Inbox
    from inspectd.wire import RequestReader

QUEUE_LIMIT: Final = 64
"""Requests that may wait for an answer; then no more are read until some are answered."""

_TOO_OLD: Final = (
    "A rule leaves this request to a server, and this connection was opened when no rule did: "
    "ask on another one."
)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REQUEST_COMPLETE: Final = State.REQUEST_COMPLETE.value
_RESPONSE_COMPLETE: Final = State.RESPONSE_COMPLETE.value
_ABORTED: Final = State.ABORTED.value
_HELD: Final = State.HELD.value


class Answering(Outgoing):
    """Adds the answers to what leaves."""

    __slots__ = (
        "_choked",
        "_early",
        "_held",
        "_inbox",
        "_player",
        "_queue",
        "_reader",
    )

    encrypted: bool = False
    """What is read and sent here crosses the network under TLS."""
    _reader: RequestReader

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._queue: deque[Pending | Refused] = deque()  # what waits for earlier answers
        self._player: Player | None = None  # the answer under way, when it takes time
        self._held: Held | None = None  # the answer waits for a person
        self._early: Pending | None = (
            None  # the request that is arriving, if its answer did not wait for all of it
        )
        self._inbox: Inbox | None = None  # where what the client sends goes, once it is no HTTP any more
        self._choked = False  # the client reads slower than this side sends

    # -- whose turn it is

    @property
    def _answering(self) -> bool:
        return self._playing is not None or self._unsent > 0 or (bool(self._queue) and not self._half_closed)

    @property
    def _may_answer(self) -> bool:
        """Nothing is being answered, and the client takes what it is sent."""
        return (
            self._playing is None
            and self._closing is None
            and self._unsent < UNSENT_LIMIT
            and not self._choked
            and not self._half_closed
        )

    def _queue_up(self, pending: Pending) -> None:
        """Answer when those before it have been answered."""
        self._queue.append(pending)
        if len(self._queue) > QUEUE_LIMIT:
            if self._silent:
                self._stop_reading()
            else:
                self._stall()

    def _answer_next(self) -> None:
        queue = self._queue
        while queue and self._may_answer:
            pending = queue.popleft()
            if isinstance(pending, Refused):
                self._play(pending.exchange, pending.program)
            else:
                self._answer(pending)
        if self._stalled and not self._choked and len(queue) <= QUEUE_LIMIT:
            self._go_on_reading()

    def _stall(self) -> None:
        """Read no more for now: what the client sends waits in the kernel, and then in the client."""
        if not self._stalled and not self._transport.is_closing():
            self._stalled = True
            self._transport.pause_reading()

    def _answer(self, pending: Pending) -> None:
        """Ask the responder, and do as it says, unless somebody wants to decide first."""
        site = self._site
        exchange = pending.exchange
        complete = bool(exchange.state & _REQUEST_COMPLETE)
        request = self._request(pending, complete=complete)
        now = (self._record.last_in_ns or 0) / 1e9
        # RFC 9112 §6.3: after a request whose end others may see elsewhere, the connection must be closed.
        persist = (
            (complete or self._will_end(pending))
            and pending.head.keep_alive
            and not (pending.head.framing.ambiguous or site.stopping)
        )
        program = site.respond(request, now=now, persist=persist)
        if (program.hold is not None or site.holds.next_count != 0) and not site.stopping:
            self._hold(pending, request, program)
            return
        if program.rule:
            self._watch(pending, program, program.rule)
        self._play(exchange, program)

    def _will_end(self, pending: Pending) -> bool:
        """Whether the rest of a request that is answered early can be waited for. RFC 9110 §10.1.1: a client that has
        not been invited may never send it."""
        return pending is self._early and not (pending.head.expects_continue and not pending.content_length)

    def _request(self, pending: Pending, *, complete: bool) -> Request:
        record = self._record
        return Request(
            pending.head,
            bytes(pending.content) if pending.content_length else b"",
            pending.content_length,
            complete,
            record.id,
            pending.exchange.number,
            record.peer,
            record.local,
            self.encrypted,  # positional because this is built for every request
            record.bytes_out,
        )

    def _watch(self, pending: Pending, program: Program | LiveProgram, rule: str) -> None:
        """Keep evidence of what the client does with this answer."""
        site = self._site
        if self._witness is None and site.recorded:
            sock = self._transport.get_extra_info("socket")
            self._witness = Witness(self._record, sock, site.attempts)
        if self._witness is not None:
            self._witness.begin(pending, program, rule)

    def look(self) -> bool:
        """See what the client has taken of crafted answers by now; whether that is news for the capture."""
        return self._witness is not None and self._witness.look()

    def _hold(self, pending: Pending, request: Request, program: Program | LiveProgram) -> None:
        exchange = pending.exchange
        self._watch(pending, program, program.rule or BY_HAND)
        exchange.state |= _HELD
        exchange.label = program.label
        self._playing = exchange
        self._record.touch(exchange)
        self._held = self._site.holds.take(exchange.id, request, program, self._decided)
        if self._record.fin_in_ns is not None:
            self._site.holds.client_left(self._held)
        self._site.turn.soon()

    def _decided(self, program: Program | LiveProgram) -> None:
        """What was held is answered with this."""
        held, exchange = self._held, self._playing
        self._held = self._playing = None
        assert held is not None
        assert exchange is not None
        if self._witness is not None:
            self._witness.decide(program, program.rule or BY_HAND)
        self._play(exchange, program)
        self._unhold(exchange, held)
        self._go_on()
        self._site.turn.soon()

    def _go_on(self) -> None:
        """An answer is out that others waited for."""
        if self._playing is None and self._closing is None:
            self._answer_next()
            self._rest()

    def _unhold(self, exchange: ExchangeRecord, held: Held) -> None:
        exchange.state &= ~_HELD
        left = ", closed by the client meanwhile" if held.client_gone else ""
        exchange.label = f"{exchange.label}; held {held.seconds:.1f} s{left}"
        self._record.touch(exchange)

    def _play(self, exchange: ExchangeRecord, program: Program | LiveProgram) -> None:
        if isinstance(program, Pass):  # and a connection that can forward would have done it
            program = compile_for(
                self._site.refusal(503, _TOO_OLD),
                now=time.time(),
                method=(exchange.method or "").encode(),
                persist=False,
            )
        exchange.label = program.label
        if isinstance(program, Program):
            facts = self._site.answered(program)
            exchange.added = facts.added
            exchange.status, exchange.reason = facts.status, facts.reason
            if facts.status == "101":
                self._reader.switch()
            elif exchange.method == "CONNECT":
                if (facts.status or "").startswith("2"):
                    self._reader.switch()
                else:
                    self._stop_reading()  # what follows is meant for a tunnel that isn't there (RFC 9110 §9.3.6)
            if facts.simple is not None:
                self._send(exchange, facts.simple, head=facts.head)
                exchange.state |= _RESPONSE_COMPLETE
                if self._witness is not None:
                    self._witness.complete(exchange)
                if facts.closes:
                    self._end_of_answers()
                return
        else:
            exchange.added = as_json(program.added)
            if program.inbox is not None:
                self._converse(exchange, program.inbox)
        self._playing = exchange
        self._player = Player(program, self, self._site.gates, self._played)

    def _converse(self, exchange: ExchangeRecord, inbox: Inbox) -> None:
        """The answer leaves HTTP: what comes behind the request is for the program, and is read at its pace."""
        self._inbox = inbox
        inbox.drained = self._drained
        end = exchange.req_offset + (exchange.req_len or 0)
        self._reader = Overheard(self._reader, inbox, self._listen_slower, end)
        if self._deaf:
            inbox.end()

    @property
    def _cut_off(self) -> str:
        """What it means that the connection is gone while an answer is under way."""
        if self._inbox is None:
            return "the connection ended before the whole answer was sent"
        return self._inbox.outcome or "the connection ended without a Close frame"

    def _listen_slower(self) -> None:
        if not self._silent:
            self._stall()

    def _drained(self) -> None:
        """The program has heard what came."""
        if self._stalled and not self._choked:
            self._go_on_reading()

    def stall(self) -> None:
        """Send nothing more, and listen to nothing more."""
        if self._inbox is not None:
            self._inbox.mute()
        super().stall()

    def _played(self, problem: str | None) -> None:
        """The player has come to the end of its program."""
        exchange = self._playing
        self._player = self._playing = None
        if exchange is None:
            return
        if self._inbox is not None:
            self._inbox.drained = None
            if self._inbox.outcome:
                exchange.label = f"{exchange.label}; {self._inbox.outcome}"
        if problem is None:
            exchange.state |= _RESPONSE_COMPLETE
            self._record.touch(exchange)
            if self._witness is not None:
                self._witness.complete(exchange)
        else:
            self._abort(exchange, problem)
            self.close("rst")
        self._site.turn.soon()
        self._go_on()

    def _rest(self) -> None:
        """Nothing is left to answer for now: ask for content that waits to be asked for, or close if there is a
        reason to."""
        if self._answering or self._closing is not None:
            return
        if self._reading is not self._early and self._reading is not None:
            self._invite_content(self._reading)
        elif self._deaf or self._site.stopping:
            self._end_of_answers()

    def _refuse(self, status: int, sentence: str, exchange: ExchangeRecord | None) -> None:
        """Answer with a problem of this status and close; earlier answers go first."""
        self._refuse_with(self._site.refusal(status, sentence), exchange)

    def _refuse_with(self, answer: Answer, exchange: ExchangeRecord | None) -> None:
        """Answer with this and close; earlier answers go first."""
        self._reading = self._early = None
        self._stop_reading()
        method = (exchange.method or "").encode() if exchange is not None else b""
        program = compile_for(answer, now=time.time(), method=method, persist=False)
        if exchange is not None:
            if self._queue or not self._may_answer:
                self._queue.append(Refused(exchange, program))
            else:
                self._play(exchange, program)
        else:
            for op in program.ops:
                if isinstance(op, Send):
                    self._send(None, op.data)
            self._end_of_answers()

    def _abort(self, exchange: ExchangeRecord, why: str) -> None:
        if not exchange.state & _RESPONSE_COMPLETE:
            exchange.last_ns = time.time_ns()
        exchange.state |= _ABORTED
        exchange.label = f"{exchange.label}; {why}" if exchange.label else why
        self._record.touch(exchange)

    def _invite_content(self, reading: Pending) -> None:
        """Answer `Expect: 100-continue`, unless content is here already (RFC 9110 §10.1.1)."""
        if (
            reading.invited
            or not reading.head.expects_continue
            or self._answering
            or self._half_closed
            or self._closing
            or self._record.bytes_in > reading.head.end
        ):
            return
        reading.invited = True
        self._send(reading.exchange, _CONTINUE)
