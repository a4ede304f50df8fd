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
from typing import TYPE_CHECKING, Final

from inspectd.capture import store
from inspectd.capture.beside import EVIDENCE_COLUMNS, FORWARD_COLUMNS, TLS_COLUMNS
from inspectd.capture.checkpoint import Checkpointer
from inspectd.capture.model import State
from inspectd.capture.records import CONNECTION_COLUMNS, EXCHANGE_COLUMNS, ConnectionRecord
from inspectd.capture.unrecorded import Unrecorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from inspectd.capture.beside import EvidenceRecord, ForwardRecord, TlsRecord
    from inspectd.capture.records import ExchangeRecord, Segment


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def _update(table: str, columns: Sequence[str]) -> str:
    """An UPDATE by id that takes the same values as the INSERT, in the same order: `id` is the first, `?1`."""
    changes = ", ".join(f"{column} = ?{place}" for place, column in enumerate(columns, 1) if place > 1)
    return f"UPDATE {table} SET {changes} WHERE id = ?1"  # noqa: S608


_ENDED: Final = State.RESPONSE_COMPLETE.value | State.ABORTED.value

_INSERT_EXCHANGE: Final = _insert("exchange", EXCHANGE_COLUMNS)
_UPDATE_EXCHANGE: Final = _update("exchange", EXCHANGE_COLUMNS)
_INSERT_CONNECTION: Final = _insert("connection", CONNECTION_COLUMNS)
_UPDATE_CONNECTION: Final = _update("connection", CONNECTION_COLUMNS)
_INSERT_EVIDENCE: Final = _insert("evidence", EVIDENCE_COLUMNS)
_INSERT_TLS: Final = _insert("tls", TLS_COLUMNS)
_INSERT_FORWARD: Final = _insert("forward", FORWARD_COLUMNS)
_INSERT_UPSTREAM: Final = "INSERT INTO upstream (connection, client, origin, via) VALUES (?, ?, ?, ?)"
_INSERT_LISTENER: Final = (
    "INSERT INTO listener (id, address, asked, opened_ns, backlog, steps) VALUES (?, ?, ?, ?, ?, ?)"
)
_INSERT_SEGMENT: Final = "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?)"
_exchange_values: Final = attrgetter(*EXCHANGE_COLUMNS)
_connection_values: Final = attrgetter(*CONNECTION_COLUMNS)
_evidence_values: Final = attrgetter(*EVIDENCE_COLUMNS)
_tls_values: Final = attrgetter(*TLS_COLUMNS)
_forward_values: Final = attrgetter(*FORWARD_COLUMNS)


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
        self._statements: list[tuple[str, tuple[object, ...]]] = []
        self._forwards: list[ForwardRecord] = []
        self._upstreams: list[tuple[int, int, str, str | None]] = []
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
        self,
        client: ConnectionRecord,
        origin: str,
        peer: str,
        local: str,
        opened_ns: int,
        *,
        via: str | None = None,
    ) -> ConnectionRecord:
        """A connection to a server was made for a client: `peer` is this side's address, `local` the server's.

        `via` names the proxy that it goes through; `local` is that one's address then.
        """
        record = self.connection(0, peer, local, opened_ns)
        self._upstreams.append((record.id, client.id, origin, via))
        return record

    def let_go(self, record: ConnectionRecord, start: int = 0) -> None:
        """Record nothing more of a connection, nor what its last read brought behind offset `start` of its stream.

        Its row goes as well, unless it has exchanges: then it has ended.
        """
        self._blank(*record.last_read(start))
        if record.exchanges:
            record.closed_ns = record.last_in_ns
            record.closed_by, record.how = "client", "fin"
            record.save()
            record.forget(Unrecorded())
            return
        record.forget(Unrecorded())
        self._connections = [each for each in self._connections if each is not record]
        self._upstreams = [row for row in self._upstreams if row[0] != record.id]
        self._segments = [row for row in self._segments if row[0] != record.id]
        self._tls = [row for row in self._tls if row.connection != record.id]
        self._statements += [
            ("DELETE FROM connection WHERE id = ?", (record.id,)),
            ("DELETE FROM segment WHERE connection = ?", (record.id,)),
            ("DELETE FROM tls WHERE connection = ?", (record.id,)),
        ]

    def _blank(self, page: int, at: int, length: int) -> None:
        """Forget bytes of this turn. Their room in the page stays: what came after them has its place there."""
        end, number = self.gathered, len(self._parts)
        while page == self.page and end > at and number:
            number -= 1
            part = self._parts[number]
            end -= len(part)
            first, last = max(at - end, 0), min(at + length - end, len(part))
            if first < last:
                self._parts[number] = part[:first] + bytes(last - first) + part[last:]

    def listener(
        self, address: str, asked: str, opened_ns: int, backlog: int, steps: list[tuple[int, str, str]]
    ) -> int:
        """A listener was opened; its id. Its row is written with the coming flush, as are the changes below."""
        self.newest_listener += 1
        row = (self.newest_listener, address, asked, opened_ns, backlog, json.dumps(steps))
        self._statements.append((_INSERT_LISTENER, row))
        return self.newest_listener

    def note_listener(self, number: int, steps: list[tuple[int, str, str]]) -> None:
        """More has been done to a listener's socket: all of it, from the beginning."""
        self._statements.append(("UPDATE listener SET steps = ? WHERE id = ?", (json.dumps(steps), number)))

    def close_listener(self, number: int, now: int) -> None:
        """A listener was closed."""
        self._statements.append(("UPDATE listener SET closed_ns = ? WHERE id = ?", (now, number)))

    def flush(self, now: int) -> None:
        """Commit the turn at `now` (ns since the epoch). Exchanges that ended in it get the time of their last byte."""
        exchanges, connections, parts = self._exchanges, self._connections, self._parts
        evidence, tls, forwards = self._evidence, self._tls, self._forwards
        listeners = self._statements
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
                self._statements = []
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
