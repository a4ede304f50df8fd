"""Connections and exchanges while they happen: the columns of their rows, and the places of their bytes in the pages.

The data path fills them in; `writer.CaptureWriter` writes them with the coming flush.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from inspectd.capture.model import INCOMING, OUTGOING, ConnectionRow, ExchangeRow, State

if TYPE_CHECKING:
    from inspectd.capture.beside import EvidenceRecord, ForwardRecord, TlsRecord

PAGE_LIMIT: Final = 4 * 1024 * 1024
"""Bytes a turn may gather before it is written even though the turn goes on: memory stays flat under any load."""

CONNECTION_COLUMNS: Final = ConnectionRow.__struct_fields__
# `marked` and `note` belong to the person: an exchange that goes on must not wipe them out.
EXCHANGE_COLUMNS: Final = tuple(
    column for column in ExchangeRow.__struct_fields__ if column not in {"marked", "note"}
)

Segment: TypeAlias = tuple[int, int, int, int, int, int, int]
"""A row of `segment`, in the order of its columns."""


class Sink(Protocol):
    """Where the records below put what they learn."""

    page: int
    gathered: int
    newest_exchange: int

    def put(self, data: bytes) -> int: ...
    def save(self, exchange: ExchangeRecord) -> None: ...
    def save_connection(self, connection: ConnectionRecord) -> None: ...
    def save_evidence(self, evidence: EvidenceRecord) -> None: ...
    def save_tls(self, tls: TlsRecord) -> None: ...
    def save_forward(self, forward: ForwardRecord) -> None: ...
    def segment(self, row: Segment) -> None: ...
    def flush(self, now: int) -> None: ...


class ExchangeRecord:
    """An exchange while it happens: the columns of its row, filled in as they become known."""

    __slots__ = (*EXCHANGE_COLUMNS, "changed", "last_ns", "saved")

    id: int
    connection: int
    number: int
    previous: int | None
    state: int
    started_ns: int
    received_ns: int | None
    answered_ns: int | None
    finished_ns: int | None
    last_ns: int | None  # when the last byte but the first piece's left, or it was given up
    method: str | None
    target: str | None
    version: str | None
    status: str | None
    reason: str | None
    client: str | None
    dest: str | None
    mode: str | None
    site: str | None
    host: str | None
    label: str | None
    added: str | None
    req_offset: int
    req_page: int
    req_at: int
    req_run: int
    req_head: int
    req_len: int | None
    res_offset: int | None
    res_page: int | None
    res_at: int | None
    res_run: int | None
    res_head: int | None
    res_len: int | None

    def __init__(self, number: int, connection: int, nth: int, started_ns: int, offset: int) -> None:
        self.id = number
        self.connection = connection
        self.number = nth
        self.previous = None
        self.state = 0
        self.started_ns = started_ns
        self.req_offset = offset
        self.req_page = self.req_at = self.req_run = self.req_head = 0
        self.received_ns = self.answered_ns = self.finished_ns = self.last_ns = None
        self.method = self.target = self.version = self.status = self.reason = None
        self.client = self.dest = self.mode = self.site = self.host = self.label = self.added = None
        self.req_len = self.res_offset = self.res_page = self.res_at = None
        self.res_run = self.res_head = self.res_len = None
        self.changed = False
        self.saved = False


class ConnectionRecord:
    """A connection while it lives: its row, and the places of its bytes in the pages.

    Every read is announced with `received`, the exchanges that begin and end in it with `begin` and `end`, and then
    closed with `settle`. Bytes that no exchange's run covers become segments, so each byte is found exactly once.
    """

    __slots__ = (
        *CONNECTION_COLUMNS,
        "_at",
        "_base",
        "_covered",
        "_now",
        "_writer",
        "changed",
        "latest",
        "saved",
    )

    id: int
    listener: int
    peer: str
    local: str
    opened_ns: int
    first_in_ns: int | None
    last_in_ns: int | None
    last_out_ns: int | None
    closed_ns: int | None
    closed_by: str | None
    how: str | None
    fin_in_ns: int | None
    fin_out_ns: int | None
    bytes_in: int
    bytes_out: int
    exchanges: int
    newest: int | None
    rtt_us: int | None
    queue_len: int | None
    queue_max: int | None
    kind: str | None
    sentence: str | None
    after: int
    inside: int | None

    def __init__(
        self, writer: Sink, number: int, listener: int, peer: str, local: str, opened_ns: int
    ) -> None:
        self._writer = writer
        self.id = number
        self.listener = listener
        self.peer = peer
        self.local = local
        self.opened_ns = opened_ns
        self.first_in_ns = self.last_in_ns = self.last_out_ns = self.closed_ns = None
        self.closed_by = self.how = self.kind = self.sentence = None
        self.fin_in_ns = self.fin_out_ns = self.rtt_us = self.queue_len = self.queue_max = None
        self.bytes_in = self.bytes_out = self.exchanges = self.after = 0
        self.newest = self.inside = None
        self.latest: ExchangeRecord | None = None
        """The exchange that began last."""
        self.changed = self.saved = False
        self._at = self._base = self._covered = self._now = 0

    # -- from the client

    def received(self, data: bytes, now: int) -> None:
        """A read brought `data`."""
        writer = self._writer
        if writer.gathered > PAGE_LIMIT:
            writer.flush(now)
        self._at = writer.put(data)
        self._base = self._covered = self.bytes_in
        self._now = now
        self.bytes_in += len(data)
        if self.first_in_ns is None:
            self.first_in_ns = now
        self.last_in_ns = now

    def begin(self, offset: int, head_ns: int) -> ExchangeRecord:
        """A head is complete whose first byte lies at `offset` of the incoming stream.

        When that byte came in an earlier read, `head_ns` is when (ns since the epoch).
        """
        if offset < self._base:
            return self._new_exchange(offset, head_ns)
        if offset > self._covered:
            self._segment(self._covered, offset)
        exchange = self._new_exchange(offset, self._now)
        exchange.req_page = self._writer.page
        exchange.req_at = self._at + offset - self._base
        exchange.req_run = self.bytes_in - offset
        self._covered = self.bytes_in
        return exchange

    def begin_late(self, offset: int, head_ns: int) -> ExchangeRecord:
        """A head that began at `offset` and `head_ns` is overdue: make it seen. Its bytes are in segments already."""
        exchange = self._new_exchange(offset, head_ns)
        exchange.req_len = self.bytes_in - offset
        return exchange

    def _new_exchange(self, offset: int, started_ns: int) -> ExchangeRecord:
        writer = self._writer
        self.exchanges += 1
        writer.newest_exchange += 1
        exchange = ExchangeRecord(writer.newest_exchange, self.id, self.exchanges, started_ns, offset)
        exchange.previous = self.newest
        self.newest = exchange.id
        self.latest = exchange
        writer.save(exchange)
        return exchange

    def end(self, exchange: ExchangeRecord, offset: int) -> None:
        """The request's last byte lies just before `offset`."""
        exchange.req_len = offset - exchange.req_offset
        exchange.received_ns = self._now
        if exchange.req_run and exchange.req_offset >= self._base:
            exchange.req_run = exchange.req_len
            self._covered = offset
        self._writer.save(exchange)

    def settle(self, unfinished: ExchangeRecord | None) -> None:
        """The read has been understood; `unfinished` is the request that goes on after it."""
        if self._covered < self.bytes_in:
            self._segment(self._covered, self.bytes_in)
        self._base = self.bytes_in  # what only the end of the stream settles has its place already
        if unfinished is not None:
            unfinished.req_len = self.bytes_in - unfinished.req_offset
            self._writer.save(unfinished)
        self.changed = True

    def _segment(self, start: int, end: int) -> None:
        at = self._at + start - self._base
        self._writer.segment((self.id, INCOMING, start, self._writer.page, at, end - start, self._now))

    # -- to the client

    def sent(self, exchange: ExchangeRecord | None, data: bytes, now: int) -> None:
        """`data` goes to the client now; `exchange` is what it answers, if anything."""
        writer = self._writer
        at = writer.put(data)
        length = len(data)
        if exchange is not None and exchange.res_offset is None:
            exchange.res_offset = self.bytes_out
            exchange.res_page = writer.page
            exchange.res_at = at
            exchange.res_run = exchange.res_len = length
            exchange.answered_ns = now
            exchange.state |= State.RESPONSE_STARTED.value
            writer.save(exchange)
        else:
            writer.segment((self.id, OUTGOING, self.bytes_out, writer.page, at, length, now))
            if exchange is not None and exchange.res_offset is not None:
                exchange.res_len = self.bytes_out + length - exchange.res_offset
                exchange.last_ns = now
                writer.save(exchange)
        self.bytes_out += length
        self.last_out_ns = now
        self.changed = True

    def came_at(self, into: int) -> tuple[int, int]:
        """The page of the last read, and the place in it of its byte number `into`."""
        return self._writer.page, self._at + into

    def last_read(self, start: int) -> tuple[int, int, int]:
        """Of the last read, what lies behind offset `start` of the stream: its page, its place in that, its length."""
        into = max(start - self._base, 0)
        return *self.came_at(into), self.bytes_in - self._base - into

    def put(self, data: bytes) -> tuple[int, int]:
        """Record bytes that came from neither side, or that nobody takes; their page and place in it."""
        self._writer.put(data)
        return self.last_put(len(data))

    def last_put(self, length: int) -> tuple[int, int]:
        """The page, and the place in it, of the `length` bytes that were recorded last."""
        return self._writer.page, self._writer.gathered - length

    # -- on a connection to a server, where the client is this side: bytes that are in a page already

    def forwarded(self, forward: ForwardRecord | None, place: tuple[int, int], length: int, now: int) -> None:
        """Bytes of a request were handed to the socket; `forward` is what they belong to, if anything."""
        if forward is not None and forward.req_offset is None:
            forward.req_offset, forward.upstream, forward.sent_ns = self.bytes_in, self.id, now
        if forward is not None and forward.runs and not forward.req_len:
            forward.req_page, forward.req_at, forward.req_run = *place, length
        else:
            self._writer.segment((self.id, INCOMING, self.bytes_in, *place, length, now))
        if forward is not None:
            forward.req_len += length
        self.bytes_in += length
        if self.first_in_ns is None:
            self.first_in_ns = now
        self.last_in_ns = now
        self.changed = True

    def in_vain(self, forward: ForwardRecord) -> None:
        """The request was sent on this connection and is sent again on another: what was sent stays in the stream."""
        if forward.req_run and forward.req_offset is not None:
            self._writer.segment((self.id, INCOMING, forward.req_offset, *forward.request_run))
        forward.unsent()

    def returned(self, forward: ForwardRecord | None, place: tuple[int, int], length: int, now: int) -> None:
        """Bytes of a response came from the server."""
        if forward is not None and forward.res_offset is None:
            forward.res_offset, forward.came_ns = self.bytes_out, now
        if forward is not None and forward.runs and not forward.res_len:
            forward.res_page, forward.res_at, forward.res_run = *place, length
        else:
            self._writer.segment((self.id, OUTGOING, self.bytes_out, *place, length, now))
        if forward is not None:
            forward.res_len += length
        self.bytes_out += length
        self.last_out_ns = now
        self.changed = True

    # -- the rows themselves

    def forget(self, nothing: Sink) -> None:
        """Record nothing from now on: what is learned goes to `nothing`."""
        self._writer = nothing

    def touch(self, exchange: ExchangeRecord) -> None:
        """The exchange's row has changed: write it with the coming flush."""
        self._writer.save(exchange)

    def save(self) -> None:
        """Write the row with the coming flush."""
        self._writer.save_connection(self)

    def save_evidence(self, evidence: EvidenceRecord) -> None:
        """Write what is known of one of its exchanges with the coming flush."""
        self._writer.save_evidence(evidence)

    def save_tls(self, tls: TlsRecord) -> None:
        """Write what is known of its encryption with the coming flush."""
        self._writer.save_tls(tls)

    def save_forward(self, forward: ForwardRecord) -> None:
        """Write what became of one of its exchanges with the coming flush."""
        self._writer.save_forward(forward)

    def describe(self, kind: str, sentence: str) -> None:
        """Say what this connection is, when it is more (or less) than requests and answers."""
        if self.kind is None:
            self.after = self._writer.newest_exchange
        self.kind = kind
        self.sentence = sentence
        self.save()
