"""Tunnels that clients open with CONNECT or SOCKS, and what is read in them.

A tunnel that may be looked into is granted at once, and the client's first bytes say what it carries. TLS is
decrypted, with a certificate for the name that the client asks for, and requests in clear text are read: what is
inside is a connection of its own, with a row of its own, that has this one's transport for its socket. Anything else
is carried to the server as it is, and so is a tunnel in which the client waits for the server to speak first.
RFC 9110 §9.3.6 (CONNECT), RFC 1928 (SOCKS). Nothing a peer sends may raise out of a callback.
"""

from __future__ import annotations

import asyncio
import enum
import re
import time
from typing import TYPE_CHECKING, Final

from inspectd.capture.beside import ForwardRecord
from inspectd.capture.model import State
from inspectd.engine.proxy.arriving import WAITING_LIMIT, Arriving
from inspectd.engine.proxy.chosen import Treatment
from inspectd.engine.proxy.forward import Piece, split
from inspectd.engine.proxy.routes import Failure, as_json
from inspectd.engine.proxy.socks import Asked, Refused, Say, Socks
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.engine.proxy.dial import Dial
    from inspectd.engine.proxy.forward import Forward
    from inspectd.engine.proxy.relay import Relay
    from inspectd.engine.proxy.routes import Forwarder, Origin, Route
    from inspectd.engine.proxy.upstream import Upstream
    from inspectd.engine.site import Site
    from inspectd.rules.answer import Answer
    from inspectd.wire import ArrivedHead, Foreign

ESTABLISHED: Final = b"HTTP/1.1 200 Connection Established\r\n\r\n"
"""What CONNECT is answered."""

_PLAIN_PROXY: Final = (
    "As a proxy it is http://HOST:PORT, for https as well; --listen https://... opens a port to which clients speak"
    " TLS."
)
_RESPONSE_COMPLETE: Final = State.RESPONSE_COMPLETE.value
_LINE_LIMIT: Final = 8000
"""Bytes that a first line gets to turn out a request line."""
_HELLO: Final = b"\x16\x03"  # a handshake record of TLS 1.x, or SSL 3 (RFC 8446 §5.1)
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}(?: |\Z)")
_REQUEST_LINE: Final = re.compile(rb"[^ ]{1,40} [^\n]{0,8000} HTTP/1\.[0-9][ \t]*\r?\n")
_LINE_ENDS: Final = re.compile(rb"[\r\n]*")


class Speech(enum.Enum):
    """What the first bytes in a tunnel are."""

    UNCLEAR = "unclear"
    TLS = "TLS"
    HTTP = "HTTP in clear text"
    OTHER = "bytes as they are"


def speech(data: bytes | bytearray) -> Speech:
    """What speaks like this."""
    if data[:2] == _HELLO:
        return Speech.TLS
    if not data or data == _HELLO[:1]:
        return Speech.UNCLEAR
    blank = _LINE_ENDS.match(data)
    start = blank.end() if blank is not None else 0
    if len(data) == start:
        return Speech.UNCLEAR if start < 8 else Speech.OTHER
    if _METHOD.match(data, start) is None:
        return Speech.OTHER
    if data.find(b"\n", start) < 0 and len(data) - start < _LINE_LIMIT:
        return Speech.UNCLEAR
    return Speech.HTTP if _REQUEST_LINE.match(data, start) else Speech.OTHER


class Tunnel:
    """One tunnel, until something is read inside it."""

    __slots__ = ("first", "forward", "held", "looking", "opened", "origin", "pieces", "socks", "timer")

    def __init__(self, origin: Origin | None, *, forward: Forward | None, socks: Socks | None) -> None:
        self.origin = origin
        """Where it leads; None while the client has not said it."""
        self.forward = forward
        """The CONNECT."""
        self.socks = socks
        """Or the conversation about it."""
        self.opened = False
        """The client was told that it is there."""
        self.looking = False
        """It is not known what it carries."""
        self.first = bytearray()
        """What the client sent until then."""
        self.pieces: list[Piece] = []
        """What can't be sent on yet."""
        self.held = 0
        """How many bytes those are."""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """What it is, for people."""
        kind = "tunnel" if self.socks is None else f"{self.socks.version} tunnel"
        return kind if self.origin is None else f"{kind} to {safe(str(self.origin))}"

    def look_no_more(self) -> None:
        """It is decided what it carries."""
        self.looking = False
        self.first.clear()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Tunnelling(Arriving):
    """Adds tunnels to what arrives."""

    __slots__ = ("_dial", "_forwarder", "_ignored", "_inner", "_innermost")

    def __init__(self, site: Site, listener: int, forwarder: Forwarder) -> None:
        super().__init__(site, listener)
        self._forwarder = forwarder
        self._dial: Dial | None = None
        self._ignored = False  # nothing is recorded of it
        self._inner: asyncio.Protocol | None = None  # what is read in the tunnel has the connection now:
        self._innermost: Relay | None = None  # this, perhaps with TLS between

    # -- what a relay does

    def _fail(self, forward: Forward, failure: Failure) -> None:
        """There is no answer: say why, or reset."""

    def _dial_to(self, origin: Origin, *, tunnel: bool) -> None:
        """Be on the way to a connection to this server."""

    def _drop(self, upstream: Upstream) -> None:
        """This connection to a server has served its time."""

    def _note_upstream(self, dial: Dial, upstream: Upstream, record: ForwardRecord | None) -> None:
        """Give a new connection to a server its row."""

    def _break_off(self, upstream: Upstream, forward: Forward, why: str, how: str) -> None:
        """The answer ends in its middle, and for the client as it did for this side."""

    # -- how long they may be silent

    def _mind_silence(self, now: int) -> None:
        """End what nobody can be waiting for any more: not a byte either way in a very long time."""
        record, upstream, forward = self._record, self._upstream, self._forward
        limits = self._site.limits
        if self._tunnel:
            short = record.fin_in_ns is not None or (upstream is not None and upstream.fin)
        else:  # the client owes the rest of its request
            short = forward is not None and forward is self._reading and not (forward.told or self._stalled)
        seconds = limits.idle_timeout if short else limits.silence_timeout
        begun = forward.record.begun_ns if forward is not None and forward.record is not None else 0
        last = max(record.opened_ns, record.last_in_ns or 0, record.last_out_ns or 0, self._taken_ns, begun)
        if now - last < seconds * 1e9:
            return
        if self._tunnel:
            self.close("timeout")
        elif upstream is None or forward is None:
            pass  # the way to the server has a limit of its own
        elif forward.told:
            self._break_off(upstream, forward, f"the server said nothing more for {seconds:g} s", "rst")
        else:
            self._drop(upstream)
            said = f"{upstream.origin} said nothing for {seconds:g} s."
            failure = (
                Failure(408, "The rest of the content did not arrive in time.")
                if short
                else Failure(504, said)
            )
            self._fail(forward, failure)

    # -- how they begin

    def _connect(self, forward: Forward, route: Route) -> None:
        """CONNECT has come, and it is its turn."""
        if self._forward is not forward or self._gone:
            return
        self._forward = None
        self._waiting -= forward.held
        _, rest = split(forward.outbox, forward.lead + forward.exchange.req_head)
        forward.outbox, forward.held, forward.route = [], 0, route
        self._enter(Tunnel(route.origin, forward=forward, socks=None), rest)

    def _on_foreign(self, event: Foreign) -> None:
        if event.protocol not in {"socks4", "socks5"} or not self._forwarder.names_servers:
            if event.protocol == "tls" and self._forwarder.names_servers:
                event = event._replace(sentence=f"{event.sentence} {_PLAIN_PROXY}")
            super()._on_foreign(event)
            return
        password = self._forwarder.password
        self._way = Tunnel(None, forward=None, socks=Socks(None if password is None else password.fits))
        for piece in self._take(self._record.bytes_in):
            self._carry(piece)

    def _negotiate(self, way: Tunnel, socks: Socks, piece: Piece) -> None:
        """A SOCKS client has said more of what it wants."""
        for step in socks.feed(piece.data):
            match step:
                case Say(data):
                    self._send(None, data)
                case Refused(data, sentence):
                    self._record.describe(socks.version.lower(), f"{socks.version}: {sentence}")
                    self._turn_away(data)
                case Asked(origin, rest):
                    way.origin = origin
                    before = len(piece.data) - len(rest)
                    self._enter(way, [Piece(rest, piece.page, piece.at + before)] if rest else [])

    def _turn_away(self, data: bytes) -> None:
        self._way = None
        self._tunnel = False
        self._stop_reading()
        self._send(None, data)
        self._end_of_answers()

    def _enter(self, way: Tunnel, rest: list[Piece]) -> None:
        """The client wants to be connected; `rest` is what it has sent for the server already."""
        origin = way.origin
        assert origin is not None
        self._way = way
        if way.forward is None:
            self._tunnel = True
        if self._upstream is not None:
            self._drop(self._upstream)
        treatment = self._forwarder.treatment(origin)
        if treatment is Treatment.IGNORE and not self._ignored:
            self._ignore()
        self._describe(way, "")
        if treatment is Treatment.READ:
            way.looking = True
            self._grant(way)
            seconds = self._forwarder.config.tunnel_wait
            way.timer = asyncio.get_running_loop().call_later(seconds, self._waited, way)
        else:
            self._dial_for(way)
        for piece in rest:
            self._carry(piece)
        self._site.turn.soon()

    def _on_head(self, head: ArrivedHead) -> None:
        if not self._ignored and self._forwarder.elsewhere(head):
            self._ignore(head.start)
        super()._on_head(head)

    def _objection(self, head: ArrivedHead) -> Answer | None:
        wanted = self._forwarder.password
        if wanted is not None:
            from inspectd.engine.proxy.admission import objection

            found = objection(head, wanted, self._forwarder.route(head))
            if found is not None:
                return found
        return super()._objection(head)

    def _ignore(self, start: int = 0) -> None:
        """What this connection is used for from this offset of its stream on is not to be recorded."""
        self._ignored = True
        self._forwarder.ignore(self._record, start)

    def _passes(self, forward: Forward) -> bool:
        return self._ignored or self._looks_into(forward.head) or super()._passes(forward)

    def _looks_into(self, head: ArrivedHead) -> bool:
        """Whether this opens a tunnel that is read: rules, and people, get to see what is inside."""
        if head.method != b"CONNECT" or not self._forwarder.names_servers:
            return False
        route = self._forwarder.route(head)
        return not isinstance(route, Failure) and self._forwarder.treatment(route.origin) is Treatment.READ

    def _describe(self, way: Tunnel, carries: str) -> None:
        """Say in the rows what the tunnel is."""
        sentence = f"{way.name}{carries}"
        record = self._record
        if way.forward is not None:  # the row of the CONNECT says it, and the list needs no second one
            way.forward.exchange.label = record.sentence = sentence
            record.touch(way.forward.exchange)
            record.save()
        else:
            assert way.socks is not None
            record.describe(way.socks.version.lower(), sentence)

    def _grant(self, way: Tunnel) -> None:
        """Tell the client that it is connected (RFC 9110 §9.3.6): whatever follows is the tunnel's, on both sides."""
        if way.opened:
            return
        way.opened = self._tunnel = True
        forward = way.forward
        if forward is None:
            assert way.socks is not None
            self._send(None, way.socks.granted)
            return
        exchange = forward.exchange
        exchange.status, exchange.reason = "200", "Connection Established"
        self._send(exchange, ESTABLISHED, head=len(ESTABLISHED))
        forward.answered = forward.done = True
        self._playing = None
        if not way.looking:
            self._settle(way)
        if forward.record is not None:
            self._record.save_forward(forward.record)

    def _settle(self, way: Tunnel) -> None:
        """It is known what became of the CONNECT: only now is its row finished, so that viewers are told all of it."""
        if way.opened and way.forward is not None:
            way.forward.exchange.state |= _RESPONSE_COMPLETE
            self._record.touch(way.forward.exchange)

    def stop(self) -> None:
        """The engine stops: finish what is in flight, then close. A tunnel that nobody has used is not in flight."""
        way = self._way
        if way is not None and way.looking and not way.first:
            way.look_no_more()
            self._describe(way, ", closed by inspectd's stop before a byte went through it")
            self.close("fin")
        else:
            super().stop()

    # -- what the client sends in them

    def _read_on(self, data: bytes) -> None:
        """A read brought bytes, and they belong to a tunnel."""
        if self._inner is not None:
            self._inner.data_received(data)
            return
        record = self._record
        record.received(data, time.time_ns())
        place = record.came_at(0)
        record.settle(None)
        if not self._deaf:
            self._carry(Piece(data, *place))
        self._site.turn.soon()

    def _carry(self, piece: Piece) -> None:
        """Bytes of the client, on their way through the tunnel."""
        way = self._way
        if way is None:
            return
        if way.origin is None:
            assert way.socks is not None
            self._negotiate(way, way.socks, piece)
        elif self._upstream is not None:
            self._say(self._upstream, None, piece)
        else:
            way.pieces.append(piece)
            way.held += len(piece.data)
            self._waiting += len(piece.data)
            if self._waiting >= WAITING_LIMIT:
                self._stall()
            if way.looking:
                way.first += piece.data
                self._look(way)

    def _look(self, way: Tunnel) -> None:
        """See what the tunnel carries."""
        found = speech(way.first)
        if found is Speech.UNCLEAR:
            return
        way.look_no_more()
        if found is Speech.OTHER:
            self._dial_for(way)
        else:
            # What was granted leaves first: whatever is read inside may answer on its own.
            self._site.turn.then(self._hand_over, way, found)

    def _waited(self, way: Tunnel) -> None:
        """The client has said nothing for a while, or nothing clear: it may be the server that speaks first."""
        if self._way is way and way.looking and not self._gone:
            begun = way.first == _HELLO[:1]
            way.look_no_more()
            if begun:
                self._hand_over(way, Speech.TLS)
            else:
                self._dial_for(way)

    def _tunnel_ended(self, way: Tunnel) -> None:
        """The client's FIN came through the tunnel."""
        upstream = self._upstream
        if upstream is not None:
            upstream.write_eof()
            if upstream.fin:
                self.close("fin")
        elif way.origin is None or (way.looking and not way.first):
            way.look_no_more()
            if way.origin is not None:
                self._describe(way, ", closed by the client before a byte went through it")
            self.close("fin")
        elif way.looking:
            self._waited(way)

    # -- what is read in them

    def _hand_over(self, way: Tunnel, found: Speech) -> None:
        """Something can be read in the tunnel: it is a connection of its own."""
        if self._way is not way or self._gone or self._closing is not None:
            return
        from inspectd.engine.proxy.inside import open_inside

        assert way.origin is not None
        data = b"".join(piece.data for piece in way.pieces)
        self._forget_pieces(way)
        forwarder = self._forwarder.inside(way.origin._replace(tls=found is Speech.TLS))
        inner, innermost = open_inside(
            self._site,
            self._listener,
            forwarder,
            (self._record.id, None if self.encrypted else self._record.bytes_out),
        )
        self._inner, self._innermost = inner, innermost
        inner.connection_made(self._transport)
        self._site.connections.discard(self)  # what is inside is looked after from now on
        self._describe(way, f", read as {found.value} in c{innermost.record.id}")
        self._settle(way)
        if self._choked:
            inner.pause_writing()
        if self._stalled:
            self._go_on_reading()
        inner.data_received(data)
        if self._record.fin_in_ns is not None:
            inner.eof_received()
        self._site.turn.soon()

    def _leave_tunnel(self) -> None:
        """The connection has ended: as what was read inside it did, if anything was."""
        way, innermost = self._way, self._innermost
        self._inner = self._innermost = self._way = None
        if way is not None:
            way.look_no_more()
            self._settle(way)
            if way.forward is not None and way.forward.record is not None:
                self._record.save_forward(way.forward.record)
        if innermost is not None:
            record, ended = self._record, innermost.record
            if self._closing is None:
                record.closed_by, record.how = ended.closed_by, ended.how
            record.fin_in_ns, record.fin_out_ns = ended.fin_in_ns, ended.fin_out_ns
            record.save()

    # -- what is carried through them

    def _dial_for(self, way: Tunnel) -> None:
        """Connect the tunnel to its server."""
        assert way.origin is not None
        forward = way.forward
        if forward is not None and forward.record is None:
            forward.record = ForwardRecord(forward.exchange, str(way.origin), time.time_ns())
            forward.record.changes = as_json(forward.route.changes if forward.route is not None else ())
            self._record.save_forward(forward.record)
        self._dial_to(way.origin, tunnel=True)
        self._site.turn.soon()

    def _carried(self, way: Tunnel, dial: Dial, upstream: Upstream) -> None:
        """There is a connection to the server."""
        self._upstream = upstream
        self._note_upstream(dial, upstream, None if way.forward is None else way.forward.record)
        self._grant(way)
        self._settle(way)
        pieces = way.pieces
        self._forget_pieces(way)
        for piece in pieces:
            self._say(upstream, None, piece)
        if self._record.fin_in_ns is not None:
            upstream.write_eof()
        if self._choked:
            upstream.pause()
        elif self._stalled:
            self._go_on_reading()
        self._site.turn.soon()

    def _not_carried(self, way: Tunnel, failure: Failure) -> None:
        """There is none."""
        forward = way.forward
        self._way = None
        self._forget_pieces(way)
        if not way.opened and forward is not None:
            self._tunnel = False
            self._fail(forward, failure)
            return
        if forward is not None and forward.record is not None:
            forward.record.failure = failure.sentence
            self._record.save_forward(forward.record)
        self._describe(way, f": {failure.sentence}")
        self._settle(way)
        if way.socks is not None and not way.opened:
            self._turn_away(way.socks.failed(failure))
        else:
            self._tunnel = False
            self.close("rst" if self._forwarder.config.on_error == "reset" else "fin")
        self._site.turn.soon()

    def _forget_pieces(self, way: Tunnel) -> None:
        self._waiting -= way.held
        way.pieces, way.held = [], 0
