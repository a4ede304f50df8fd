"""The half of a forwarded connection that a client's requests come in by: their bytes, in order, to their server.

The readers say where messages begin and end; what is handed on are the bytes that came, with their places in the pages.
Bytes that can't be told apart yet (half a head) are kept, and those behind the last message belong to it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from inspectd.capture.model import State
from inspectd.engine.connection import Connection
from inspectd.engine.proxy.forward import Forward, Piece

if TYPE_CHECKING:
    from inspectd.engine.pending import Pending
    from inspectd.engine.proxy.tunnel import Tunnel
    from inspectd.engine.proxy.upstream import Upstream
    from inspectd.engine.site import Site
    from inspectd.wire import ArrivedHead, ContentData, MessageEnd

WAITING_LIMIT: Final = 128 * 1024
"""Bytes of requests that may wait for their server; then no more are read."""

KEPT_LIMIT: Final = 8 * 1024 * 1024
"""Bytes of a request that are kept for its server while a rule or a person may still answer it."""

_REQUEST_COMPLETE: Final = State.REQUEST_COMPLETE.value


class Arriving(Connection):
    """Takes requests in; `Relay` adds what is done with them."""

    __slots__ = (
        "_forward",
        "_kept",
        "_kept_from",
        "_last",
        "_lost",
        "_read",
        "_read_from",
        "_tunnel",
        "_upstream",
        "_waiting",
        "_way",
    )

    _pending = Forward

    def __init__(self, site: Site, listener: int) -> None:
        super().__init__(site, listener)
        self._upstream: Upstream | None = None
        self._forward: Forward | None = None  # what is being forwarded
        self._last: Forward | None = None  # what comes behind the last message is forwarded with it
        self._lost: Forward | None = None  # where this one ends can't be known: all that comes belongs to it
        self._waiting = 0  # bytes of requests that can't be sent to their server yet
        self._tunnel = False  # both sides have left HTTP
        self._way: Tunnel | None = None  # the client opened a tunnel, or is about to
        self._read = b""  # what is arriving,
        self._read_from = 0  # and the offset of its first byte
        self._kept: list[Piece] = []  # bytes of earlier reads whose message's head isn't complete
        self._kept_from = 0

    def data_received(self, data: bytes) -> None:
        """A read brought bytes."""
        if self._way is not None:
            self._read_on(data)
            return
        self._read, self._read_from = data, self._record.bytes_in
        super().data_received(data)
        end = self._record.bytes_in
        if self._kept_from < end:
            if self._deaf or self._reader.adrift:
                whose = self._lost if self._deaf else self._last
                pieces = self._take(end)
                # Or else it is recorded, and nobody is there to have it but perhaps an answer that listens.
                if whose is not None and self._inbox is None:
                    self._push(whose, pieces)
            elif isinstance(self._reading, Forward) and self._reading.direct:
                # Half a chunk line: whatever it becomes, it is content.
                self._push(self._reading, self._take(end))
            else:
                self._keep(end)
        self._read = b""

    # -- what becomes of them

    def _read_on(self, data: bytes) -> None:
        """A read brought bytes, and they belong to a tunnel."""

    def _begin(self, forward: Forward) -> None:
        """It is this request's turn to be forwarded."""

    def _finish(self, forward: Forward) -> None:
        """The request and its answer have both come to their end."""

    # -- the bytes of requests

    def _take(self, end: int) -> list[Piece]:
        """The pieces of the stream up to `end` that were not taken yet."""
        pieces: list[Piece] = []
        while self._kept and self._kept_from < end:
            piece = self._kept[0]
            length = min(len(piece.data), end - self._kept_from)
            if length == len(piece.data):
                del self._kept[0]
            else:
                self._kept[0] = Piece(piece.data[length:], piece.page, piece.at + length)
                piece = Piece(piece.data[:length], piece.page, piece.at)
            pieces.append(piece)
            self._kept_from += length
        start = self._kept_from
        if start < end:
            first = start - self._read_from
            whole = first == 0 and end - start == len(self._read)
            data = self._read if whole else self._read[first : end - self._read_from]
            pieces.append(Piece(data, *self._record.came_at(start - self._read_from)))
            self._kept_from = end
        return pieces

    def _keep(self, end: int) -> None:
        """Remember the rest of this read: it is known later what it belongs to."""
        start = max(self._kept_from, self._read_from)
        if start < end:
            self._kept.append(
                Piece(self._read[start - self._read_from :], *self._record.came_at(start - self._read_from))
            )

    # -- requests as they arrive

    def _on_head(self, head: ArrivedHead) -> None:
        super()._on_head(head)
        forward = self._reading
        if not isinstance(forward, Forward):
            return
        if self._kept_from < head.end:
            self._take_head(forward)
        if forward is self._early or forward.told_by is not None:
            return
        if head.length == 0:  # or else it was looked at before its content came
            forward.direct = self._passes(forward)
        if forward.direct:
            self._last = forward
            forward.invited = True  # the server says whether it wants the content
            self._waiting += forward.held
            if self._queue or not self._may_answer:
                self._queue_up(forward)
                if self._waiting >= WAITING_LIMIT:
                    self._stall()
            else:
                self._begin(forward)

    def _take_head(self, forward: Forward) -> None:
        for piece in self._take(forward.head.start):
            forward.put(piece)  # blank lines before the request
        forward.lead = forward.held
        for piece in self._take(forward.head.end):
            forward.put(piece)

    def _plan(self, pending: Pending) -> None:
        assert isinstance(pending, Forward)
        self._take_head(pending)  # it may be answered, and forwarded, before its content comes
        pending.direct = self._passes(pending)
        if not pending.direct:
            super()._plan(pending)
        else:
            self._answer_at = None

    def _passes(self, forward: Forward) -> bool:
        """Whether no rule, and nobody at the hold desk, wants to see it before the server does."""
        site = self._site
        if site.passer is None or (site.holds.next_count != 0 and not site.stopping):
            return False
        return site.passer.passes(self._request(forward, complete=False))

    def _on_content(self, event: ContentData) -> None:
        forward = self._reading
        if isinstance(forward, Forward):
            pieces = self._take(event.end)
            if forward.direct:
                forward.content_length += len(event.data)
                self._push(forward, pieces)
                return
            if forward.held < KEPT_LIMIT:
                for piece in pieces:
                    forward.put(piece)
            else:
                forward.held += event.end - event.start
        super()._on_content(event)

    def _on_end(self, event: MessageEnd) -> None:
        forward = self._reading
        if not isinstance(forward, Forward) or not forward.direct:
            super()._on_end(event)
            return
        self._reading = None
        self._record.end(forward.exchange, event.end)
        forward.whole = event.complete
        if event.complete:
            forward.exchange.state |= _REQUEST_COMPLETE
        else:
            self._stop_reading()
            self._lost = forward
        if event.complete and forward is self._forward:
            if forward.record is not None and not forward.outbox:
                forward.record.whole_ns = time.time_ns()
            if forward.answered:
                self._finish(forward)

    def _push(self, forward: Forward, pieces: list[Piece]) -> None:
        """These bytes follow those of the request that have come."""
        upstream = self._upstream
        if upstream is not None and upstream.forward is forward and not forward.outbox:
            for piece in pieces:
                self._say(upstream, forward, piece)
        elif not forward.over:
            for piece in pieces:
                forward.put(piece)
                self._waiting += len(piece.data)
            if self._waiting >= WAITING_LIMIT:
                self._stall()

    def _say(self, upstream: Upstream, forward: Forward | None, piece: Piece) -> None:
        """Send bytes to the server; `forward` is what they belong to, if anything."""
        assert upstream.record is not None
        now = time.time_ns()
        record = None if forward is None or self._tunnel else forward.record
        upstream.record.forwarded(record, (piece.page, piece.at), len(piece.data), now)
        if record is not None and forward is not None and forward.whole:
            record.whole_ns = now
        upstream.write(piece.data)
