"""The one writer of a capture file: what crossed the sockets in one turn of the loop becomes one transaction.

Strategy: the data path only appends to lists; `flush` joins the bytes of the turn into one page, adds one narrow row
for each exchange and commits. Whoever must not send before the record is safe sends after `flush` returns.
Goal: an exchange costs one row and its share of a page, and no checkpoint ever runs between a request and its answer.
Warning: a full disk or a broken file must not take the server down. A failed turn is counted and reported in
`error`; serving goes on, and the next turn tries again.
"""

from __future__ import annotations

import json
import sqlite3
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from inspectd.capture import store
from inspectd.capture.beside import EVIDENCE_COLUMNS, FORWARD_COLUMNS, TLS_COLUMNS
from inspectd.capture.checkpoint import Checkpointer
from inspectd.capture.model import INCOMING, OUTGOING, ConnectionRow, ExchangeRow, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from inspectd.capture.beside import EvidenceRecord, ForwardRecord, TlsRecord

PAGE_LIMIT: Final = 4 * 1024 * 1024
"""Bytes a turn may gather before it is written even though the turn goes on: memory stays flat under any load."""

_EXCHANGE_COLUMNS: Final = ExchangeRow.__struct_fields__
_CONNECTION_COLUMNS: Final = ConnectionRow.__struct_fields__


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def _update(table: str, columns: Sequence[str]) -> str:
    """An UPDATE by id that takes the same values as the INSERT, in the same order: `id` is the first, `?1`."""
    changes = ", ".join(f"{column} = ?{place}" for place, column in enumerate(columns, 1) if place > 1)
    return f"UPDATE {table} SET {changes} WHERE id = ?1"  # noqa: S608


_ENDED: Final = State.RESPONSE_COMPLETE.value | State.ABORTED.value

# `marked` and `note` belong to the person: an exchange that goes on must not wipe them out.
_OWN_COLUMNS: Final = tuple(column for column in _EXCHANGE_COLUMNS if column not in {"marked", "note"})
_INSERT_EXCHANGE: Final = _insert("exchange", _OWN_COLUMNS)
_UPDATE_EXCHANGE: Final = _update("exchange", _OWN_COLUMNS)
_INSERT_CONNECTION: Final = _insert("connection", _CONNECTION_COLUMNS)
_UPDATE_CONNECTION: Final = _update("connection", _CONNECTION_COLUMNS)
_INSERT_EVIDENCE: Final = _insert("evidence", EVIDENCE_COLUMNS)
_INSERT_TLS: Final = _insert("tls", TLS_COLUMNS)
_INSERT_FORWARD: Final = _insert("forward", FORWARD_COLUMNS)
_INSERT_UPSTREAM: Final = "INSERT INTO upstream (connection, client, origin) VALUES (?, ?, ?)"
_INSERT_LISTENER: Final = (
    "INSERT INTO listener (id, address, asked, opened_ns, backlog, steps) VALUES (?, ?, ?, ?, ?, ?)"
)
_INSERT_SEGMENT: Final = "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?)"
_exchange_values: Final = attrgetter(*_OWN_COLUMNS)
_connection_values: Final = attrgetter(*_CONNECTION_COLUMNS)
_evidence_values: Final = attrgetter(*EVIDENCE_COLUMNS)
_tls_values: Final = attrgetter(*TLS_COLUMNS)
_forward_values: Final = attrgetter(*FORWARD_COLUMNS)


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

    __slots__ = (*_OWN_COLUMNS, "changed", "last_ns", "saved")

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

    __slots__ = (*_CONNECTION_COLUMNS, "_at", "_base", "_covered", "_now", "_writer", "changed", "saved")

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
        self.newest = None
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


class CaptureWriter:
    """Gathers a turn's bytes and rows and commits them with `flush`.

    `error` is None, or one sentence about why the last flush could not be written; `lost_turns` counts those.
    """

    def __init__(self, path: Path, *, synchronous: str = "NORMAL") -> None:
        self.path = path
        self.db = store.create_or_continue(path)
        self.db.execute(f"PRAGMA synchronous = {synchronous}")
        self.error: str | None = None
        self.lost_turns = 0
        self.committed: Callable[[Sequence[ExchangeRecord], set[int]], object] | None = None
        """Called with the exchanges of each commit, and the ids of those that ended in it."""
        self.newest_exchange = max(self._largest("exchange"), self._taken_upto())
        self.newest_connection = self._largest("connection")
        self.newest_listener = self._largest("listener")
        self.page = self._largest("page") + 1
        self.gathered = 0
        self._segments: list[Segment] = []
        self._connections: list[ConnectionRecord] = []
        self._evidence: list[EvidenceRecord] = []
        self._tls: list[TlsRecord] = []
        self._listeners: list[tuple[str, tuple[object, ...]]] = []
        self._forwards: list[ForwardRecord] = []
        self._upstreams: list[tuple[int, int, str]] = []
        self._parts: list[bytes] = []
        self._exchanges: list[ExchangeRecord] = []
        self._checkpointer = Checkpointer(path, self.db)
        self._closed = False
        status = path.stat()
        self._identity = (status.st_dev, status.st_ino)

    def _largest(self, table: str) -> int:
        (largest,) = self.db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()  # noqa: S608
        return int(largest)

    def _taken_upto(self) -> int:
        """The newest exchange that retention has looked at: after `clear` it may be gone, and its id stays taken."""
        found = self.db.execute("SELECT value FROM meta WHERE key = 'taken_upto'").fetchone()
        return int(found[0]) if found else 0

    @property
    def problem(self) -> str | None:
        """`error`, or that the file was removed or replaced: what is written then goes where nobody finds it."""
        try:
            status = self.path.stat()
        except OSError:
            return self.error or f"{self.path}: the capture is gone; what is recorded now is lost at the end"
        if (status.st_dev, status.st_ino) != self._identity:
            return self.error or f"{self.path}: is another file now; what is recorded now is lost at the end"
        return self.error

    # -- what the records above call

    def put(self, data: bytes) -> int:
        """Add bytes to the turn's page; their place in it."""
        at = self.gathered
        self._parts.append(data)
        self.gathered = at + len(data)
        return at

    def save(self, exchange: ExchangeRecord) -> None:
        """Write the exchange's row with the coming flush."""
        if not exchange.changed:
            exchange.changed = True
            self._exchanges.append(exchange)

    def save_connection(self, connection: ConnectionRecord) -> None:
        """Write the connection's row with the coming flush."""
        self._connections.append(connection)

    def save_evidence(self, evidence: EvidenceRecord) -> None:
        """Write the row with the coming flush, as it is then."""
        if not evidence.changed:
            evidence.changed = True
            self._evidence.append(evidence)

    def save_tls(self, tls: TlsRecord) -> None:
        """Write the row with the coming flush, as it is then."""
        if not tls.changed:
            tls.changed = True
            self._tls.append(tls)

    def save_forward(self, forward: ForwardRecord) -> None:
        """Write the row with the coming flush, as it is then."""
        if not forward.changed:
            forward.changed = True
            self._forwards.append(forward)

    def segment(self, row: Segment) -> None:
        """Note where bytes lie that no exchange's run covers."""
        self._segments.append(row)

    # -- what the engine calls

    def connection(self, listener: int, peer: str, local: str, opened_ns: int) -> ConnectionRecord:
        """A connection was accepted."""
        self.newest_connection += 1
        record = ConnectionRecord(self, self.newest_connection, listener, peer, local, opened_ns)
        self._connections.append(record)
        return record

    def upstream(
        self, client: ConnectionRecord, origin: str, peer: str, local: str, opened_ns: int
    ) -> ConnectionRecord:
        """A connection to a server was made for a client: `peer` is this side's address, `local` the server's."""
        record = self.connection(0, peer, local, opened_ns)
        self._upstreams.append((record.id, client.id, origin))
        return record

    def listener(
        self, address: str, asked: str, opened_ns: int, backlog: int, steps: list[tuple[int, str, str]]
    ) -> int:
        """A listener was opened; its id. Its row is written with the coming flush, as are the changes below."""
        self.newest_listener += 1
        row = (self.newest_listener, address, asked, opened_ns, backlog, json.dumps(steps))
        self._listeners.append((_INSERT_LISTENER, row))
        return self.newest_listener

    def note_listener(self, number: int, steps: list[tuple[int, str, str]]) -> None:
        """More has been done to a listener's socket: all of it, from the beginning."""
        self._listeners.append(("UPDATE listener SET steps = ? WHERE id = ?", (json.dumps(steps), number)))

    def close_listener(self, number: int, now: int) -> None:
        """A listener was closed."""
        self._listeners.append(("UPDATE listener SET closed_ns = ? WHERE id = ?", (now, number)))

    def flush(self, now: int) -> None:
        """Commit the turn at `now` (ns since the epoch). Exchanges that ended in it get the time of their last byte."""
        exchanges, connections, parts = self._exchanges, self._connections, self._parts
        evidence, tls, forwards = self._evidence, self._tls, self._forwards
        listeners = self._listeners
        if self._closed or not (
            exchanges or connections or parts or evidence or tls or forwards or listeners
        ):
            return
        new, known, ended = [], [], set()
        for exchange in exchanges:
            exchange.changed = False
            if exchange.finished_ns is None and exchange.state & _ENDED:
                exchange.finished_ns = exchange.last_ns or exchange.answered_ns or now
                ended.add(exchange.id)
            if exchange.saved:
                known.append(_exchange_values(exchange))
            else:
                exchange.saved = True
                new.append(_exchange_values(exchange))
        for record in evidence:
            record.changed = False
        for agreed in tls:
            agreed.changed = False
        for forward in forwards:
            forward.changed = False
        execute, executemany = self.db.execute, self.db.executemany
        try:
            execute("BEGIN")
            for statement, values in listeners:
                execute(statement, values)
            if parts:
                execute("INSERT INTO page (id, data) VALUES (?, ?)", (self.page, b"".join(parts)))
            for connection in connections:
                execute(
                    _UPDATE_CONNECTION if connection.saved else _INSERT_CONNECTION,
                    _connection_values(connection),
                )
                connection.saved = True
                connection.changed = False
            if new:
                executemany(_INSERT_EXCHANGE, new)
            if known:
                executemany(_UPDATE_EXCHANGE, known)
            if self._segments:
                executemany(_INSERT_SEGMENT, self._segments)
            if evidence:
                executemany(_INSERT_EVIDENCE, map(_evidence_values, evidence))
            if tls:
                executemany(_INSERT_TLS, map(_tls_values, tls))
            if self._upstreams:
                executemany(_INSERT_UPSTREAM, self._upstreams)
            if forwards:
                executemany(_INSERT_FORWARD, map(_forward_values, forwards))
            execute("COMMIT")
            if listeners:
                self._listeners = []
            self.error = None
        except (sqlite3.Error, ValueError, OverflowError) as problem:  # the latter: a value SQLite can't hold
            self._give_up_turn(problem)
        self._exchanges = []
        self._connections = []
        if evidence:
            self._evidence = []
        if tls:
            self._tls = []
        if forwards or self._upstreams:
            self._forwards, self._upstreams = [], []
        self._segments = []
        self._parts = []
        self.page += 1
        self._checkpointer.wrote(self.gathered)
        self.gathered = 0
        if self.committed is not None:
            self.committed(exchanges, ended)

    def _give_up_turn(self, problem: Exception) -> None:
        """Drop what can't be written, so that memory stays flat, and begin afresh: what goes on is written whole."""
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
        for exchange in self._exchanges:
            exchange.saved = False
        for connection in self._connections:
            connection.saved = False
        self.lost_turns += 1
        self.error = f"{self.path}: can't be written ({problem}); traffic is served but not recorded"

    def close(self, now: int) -> None:
        """Flush, fold the write-ahead log into the file and close it. What comes later is not recorded."""
        self.flush(now)
        self._closed = True
        self._checkpointer.stop()
        try:
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as problem:
            self.error = self.error or f"{self.path}: {problem}"
        self.db.close()
        self._checkpointer.close()
