"""Reading a capture: rows by key, and the exact bytes of messages and streams, with memory that stays flat.

The same code follows a capture that an engine is writing and reads an old file. Nothing is ever asked for by
OFFSET, and no read transaction outlives a call, so the writer's log can always be folded back.

Where bytes lie: the row of an exchange names a *run* (page, place, length) for the first bytes of its request
and of its response; every other byte of a stream lies in a `segment`. Together they cover a stream without a
gap until retention takes the oldest away.
"""

from __future__ import annotations

import heapq
import sqlite3
from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inspectd.capture import trouble
from inspectd.capture.model import (
    INCOMING,
    OUTGOING,
    ExchangeRow,
    Read,
    State,
)
from inspectd.capture.rows import Rows, in_order
from inspectd.capture.trouble import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from inspectd.capture.model import ForwardRow, UpstreamRow
    from inspectd.capture.wanted import Wanted

CHUNK_BYTES: Final = 256 * 1024
"""The largest piece that the iterators yield."""

_PIECES_AT_ONCE: Final = 256
SEARCH_STRETCH: Final = 8192
"""Ids that a chunk of a search stands for."""
_STRETCH: Final = 4096
_RECENT_IDS: Final = 16_384
_LATELY: Final = 16
_HEAD_AND_PLAIN: Final = (State.HEAD_COMPLETE | State.PLAIN).value

_EXCHANGE: Final = ExchangeRow.__struct_fields__
_SELECT_EXCHANGE: Final = f"SELECT {', '.join(_EXCHANGE)} FROM exchange"  # noqa: S608


class BytesGone(CaptureError):  # noqa: N818  what happened to them, as in FileExistsError
    """The bytes asked for are not in the file any more: retention took them, or they never got in."""


class Counts(NamedTuple):
    """What the capture holds."""

    exchanges: int
    open: int
    """Connections that are open now."""
    findings: int
    """Exchanges whose head isn't plain grammatical CRLF, or whose end parsers differ about."""


class _Piece(NamedTuple):
    """Bytes of a stream and where they lie."""

    offset: int
    page: int
    at: int
    length: int
    ns: int


class Capture(Rows):
    """A capture, open for reading. Use it from one thread at a time.

    >>> with Capture.open("demo.inspectd") as capture:  # doctest: +SKIP
    ...     for row in capture.exchanges_after(0, 100):
    ...         print(row.method, len(capture.request_bytes(row)))
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        super().__init__(path, db)
        self._version: int | None = None
        self._counted: dict[int, tuple[int, int]] = {}
        self._newest_counted = self._counted_without = 0
        self._lately: OrderedDict[int, ExchangeRow] = OrderedDict()

    # -- what is there

    def changed(self) -> bool:
        """Whether something was written since the last call; true the first time."""
        version = self._one("PRAGMA data_version")[0]
        changed: bool = version != self._version
        self._version = version
        return changed

    def newest_exchange(self) -> int:
        """Id of the newest exchange; 0 when there is none."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM exchange")[0])

    def counts(self) -> Counts:
        """How much there is. Stretches of ids that can't change any more are counted once and remembered."""
        (open_now,) = self._one("SELECT count(*) FROM connection WHERE closed_ns IS NULL AND listener > 0")
        taken_upto = self._taken_upto()
        if taken_upto != self._counted_without:
            for stretch in range(self._counted_without // _STRETCH, taken_upto // _STRETCH + 1):
                self._counted.pop(stretch, None)
            self._counted_without = taken_upto
        newest = self.newest_exchange()
        if newest < self._newest_counted:  # somebody cleared the capture
            self._counted.clear()
        self._newest_counted = newest
        exchanges = findings = 0
        for stretch in range(newest // _STRETCH + 1):
            first = stretch * _STRETCH
            counted = self._counted.get(stretch)
            if counted is None:
                counted = self._one(
                    "SELECT count(*), coalesce(sum(state & ?1 = ?2 OR state & ?5), 0) FROM exchange "
                    "WHERE id >= ?3 AND id < ?4",
                    (
                        _HEAD_AND_PLAIN,
                        State.HEAD_COMPLETE.value,
                        first,
                        first + _STRETCH,
                        State.AMBIGUOUS.value,
                    ),
                )
                if first + 2 * _STRETCH <= newest:
                    self._counted[stretch] = counted
            exchanges += counted[0]
            findings += counted[1]
        return Counts(exchanges, int(open_now), findings)

    def meta(self) -> dict[str, str]:
        """What is noted about the capture itself."""
        return dict(self._all("SELECT key, value FROM meta"))

    # -- exchanges

    def exchange_ids(self, after: int = 0) -> array[int]:
        """The ids of all exchanges with a larger id than `after`, ascending; 8 bytes each."""
        ids = array("q")
        newest = self.newest_exchange()
        if newest - after > 2 * SEARCH_STRETCH:
            # Ids have no holes behind what retention left: counting rows is much faster than fetching ids.
            first = max(after, self._taken_upto())
            ids.extend(self._ids_between(after, first))
            after = ids[-1] if ids else after
            (lowest,) = self._one("SELECT min(id) FROM exchange WHERE id > ?", (first,))
            (count,) = self._one("SELECT count(*) FROM exchange WHERE id > ? AND id <= ?", (first, newest))
            if lowest is not None and newest - lowest + 1 == count:
                ids.extend(range(lowest, newest + 1))
                return ids
        ids.extend(self._ids_between(after, newest))
        return ids

    def _ids_between(self, after: int, upto: int) -> Iterator[int]:
        while chunk := self._all(
            "SELECT id FROM exchange WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (after, upto, SEARCH_STRETCH),
        ):
            for (after,) in chunk:
                yield after

    def exchange(self, number: int, /) -> ExchangeRow | None:
        """The exchange with this id."""
        found = self.exchanges((number,))
        if not found:
            return None
        self._lately[number] = found[0]
        self._lately.move_to_end(number)
        if len(self._lately) > _LATELY:
            self._lately.popitem(last=False)
        return found[0]

    def exchanges(self, ids: Sequence[int]) -> list[ExchangeRow]:
        """The exchanges with these ids, in this order; those that don't exist are left out."""
        return in_order(ids, self._by_key(_SELECT_EXCHANGE, ids), _exchange)

    def exchanges_after(self, after: int, limit: int) -> list[ExchangeRow]:
        """The first `limit` exchanges with a larger id than `after`."""
        return [
            _exchange(row)
            for row in self._all(f"{_SELECT_EXCHANGE} WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        ]

    def exchanges_of(self, connection: int, /, *, limit: int = 10_000) -> list[ExchangeRow]:
        """A connection's exchanges in their order; the newest `limit` of them."""
        return self.exchanges(self._chain(connection, "req_offset", 0, limit))

    def _chain(self, connection: int, column: str, offset: int, limit: int = -1) -> array[int]:
        """Ids of a connection's exchanges whose message ends behind `offset`, ascending; the newest `limit`.

        Exchanges point to the one before them. The row of an open connection may name a newest one that isn't any
        more, but not by much, and marked exchanges may stand alone where retention has been.
        """
        found = self._one("SELECT newest, closed_ns FROM connection WHERE id = ?", (connection,))
        if found is None:
            return array("q")
        newest, closed_ns = found
        if closed_ns is None:
            (later,) = self._one(
                "SELECT max(id) FROM exchange "
                "WHERE id > max(?, (SELECT coalesce(max(id), 0) FROM exchange) - ?) AND connection = ?",
                (newest or 0, _RECENT_IDS, connection),
            )
            newest = later or newest
        ids = {
            number
            for (number,) in self._all(
                f"WITH RECURSIVE chain (id, previous, at) AS ("  # noqa: S608
                f"SELECT id, previous, {column} FROM exchange WHERE id = ?1 AND connection = ?2 "
                f"UNION ALL SELECT e.id, e.previous, e.{column} FROM chain JOIN exchange e ON e.id = chain.previous "
                "WHERE e.connection = ?2 AND (chain.at IS NULL OR chain.at > ?3) LIMIT ?4) SELECT id FROM chain",
                (newest, connection, offset, limit),
            )
        }
        ids.update(
            number
            for (number,) in self._all(
                "SELECT id FROM exchange WHERE id <= ? AND connection = ?", (self._taken_upto(), connection)
            )
        )
        chain = array("q", sorted(ids))
        return chain[-limit:] if 0 <= limit < len(chain) else chain

    def _taken_upto(self) -> int:
        """The id up to which retention has been: at or below it, only what it left is there."""
        found = self._one("SELECT value FROM meta WHERE key = 'taken_upto'")
        return int(found[0]) if found else 0

    # -- bytes of a message

    def request_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes:
        """The exact bytes of a request from its `offset` on, at most `limit` of them, as far as it has come.

        `BytesGone` when the file doesn't hold them any more.
        """
        return b"".join(self.iter_request_bytes(exchange, limit=limit, offset=offset))

    def response_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes:
        """Like `request_bytes`, of the response with its interim responses."""
        return b"".join(self.iter_response_bytes(exchange, limit=limit, offset=offset))

    def iter_request_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> Iterator[bytes]:
        """The bytes of a request in pieces of at most `CHUNK_BYTES`; memory doesn't grow with the request."""
        return self._iter_message(self._row(exchange), INCOMING, offset, limit)

    def iter_response_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> Iterator[bytes]:
        """Like `iter_request_bytes`, of the response."""
        return self._iter_message(self._row(exchange), OUTGOING, offset, limit)

    def _row(self, exchange: ExchangeRow | int) -> ExchangeRow:
        if isinstance(exchange, ExchangeRow):
            return exchange
        row = self.exchange(exchange)
        if row is None:
            raise BytesGone(self.path, f"holds no exchange {exchange}")
        return row

    def _iter_message(
        self, row: ExchangeRow, direction: int, offset: int, limit: int | None
    ) -> Iterator[bytes]:
        run, end = _message(row, direction)
        start = run.offset + max(offset, 0)
        if limit is not None:
            end = min(end, start + max(limit, 0))
        return self._iter_bytes(
            self._pieces(row.connection, direction, run, start, end), start, end, exact=True
        )

    def _pieces(self, connection: int, direction: int, run: _Piece, start: int, end: int) -> Iterator[_Piece]:
        """The pieces of the message that begins with `run` that touch `start` to `end`."""
        after = run.offset + run.length
        if run.length and start < after:
            yield run
        if end > after:
            yield from self._segments(connection, direction, max(start, after), end)

    # -- bytes of what was forwarded

    def forwarded_bytes(self, forward: ForwardRow, direction: int, *, limit: int | None = None) -> bytes:
        """The exact bytes of a request as the server was sent it (direction 0), or of its response (1)."""
        run, length = _forwarded(forward, direction)
        end = run.offset + (length if limit is None else min(length, max(limit, 0)))
        if forward.upstream is None or end == run.offset:
            return b""
        pieces = self._pieces(forward.upstream, direction, run, run.offset, end)
        return b"".join(self._iter_bytes(pieces, run.offset, end, exact=True))

    def _forward_runs(self, upstream: UpstreamRow, direction: int) -> Iterator[_Piece]:
        """The runs on a connection to a server, in order."""
        ids = self._chain(upstream.client, "req_offset", 0)
        for first in range(0, len(ids), _PIECES_AT_ONCE):
            for _, row in sorted(self.forwards(ids[first : first + _PIECES_AT_ONCE]).items()):
                run, _ = _forwarded(row, direction)
                if row.upstream == upstream.connection and run.length:
                    yield run

    # -- bytes of a stream

    def stream_bytes(
        self, connection: int, direction: int, offset: int = 0, limit: int | None = None
    ) -> bytes:
        """Bytes of one direction of a connection from `offset` on, at most `limit`, as far as it has come.

        `BytesGone` when the file doesn't hold some of them any more.
        """
        return b"".join(self.iter_stream_bytes(connection, direction, offset, limit))

    def iter_stream_bytes(
        self, connection: int, direction: int, offset: int = 0, limit: int | None = None
    ) -> Iterator[bytes]:
        """Like `stream_bytes`, in pieces of at most `CHUNK_BYTES`."""
        end = None if limit is None else offset + max(limit, 0)
        return self._iter_bytes(self._stream(connection, direction, offset, end), offset, end, exact=False)

    def reads(
        self, connection: int, direction: int, start: int | None = None, end: int | None = None
    ) -> list[Read]:
        """When the bytes `start` to `end` of a stream crossed the socket: one `Read` a call, cut to them.

        Reads whose bytes are gone are left out.
        """
        first = start or 0
        found: list[Read] = []
        for piece in self._stream(connection, direction, first, end):
            begin = max(piece.offset, first)
            stop = piece.offset + piece.length if end is None else min(piece.offset + piece.length, end)
            last = found[-1] if found else None
            # Messages that arrived in one read have a run each.
            if (
                direction == INCOMING
                and last is not None
                and (last.ns, last.offset + last.length) == (piece.ns, begin)
            ):
                found[-1] = Read(last.offset, last.length + stop - begin, last.ns)
            else:
                found.append(Read(begin, stop - begin, piece.ns))
        return found

    def iter_timed_bytes(
        self, connection: int, direction: int, start: int, end: int | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """The bytes `start` to `end` of a stream with the times (ns since the epoch) at which they crossed the socket.

        In pieces of at most `CHUNK_BYTES`, in order, as far as the stream has come; memory stays flat. `BytesGone` when
        the file doesn't hold some of them any more.
        """
        for piece in self._stream(connection, direction, start, end):
            for data in self._iter_bytes(iter((piece,)), start, end, exact=False):
                yield piece.ns, data
                start += len(data)

    def _stream(self, connection: int, direction: int, start: int, end: int | None) -> Iterator[_Piece]:
        """Every piece of a stream that touches `start` to `end`, in order."""
        if end is not None:
            # Mostly somebody looks at a message whose row was asked for a moment ago.
            for row in self._lately.values():
                run, stop = _message(row, direction)
                if row.connection == connection and run.offset <= start and end <= stop:
                    return self._pieces(connection, direction, run, start, end)
        return heapq.merge(
            self._runs(connection, direction, start, end),
            self._segments(connection, direction, start, end),
        )

    def _runs(self, connection: int, direction: int, start: int, end: int | None) -> Iterator[_Piece]:
        """The runs that touch `start` to `end`."""
        upstream = self.upstream(connection)
        if upstream is not None:
            for piece in self._forward_runs(upstream, direction):
                if piece.offset + piece.length > start and (end is None or piece.offset < end):
                    yield piece
            return
        prefix, ns = ("req", "started_ns") if direction == INCOMING else ("res", "answered_ns")
        ids = self._chain(connection, f"{prefix}_offset", start)
        select = f"SELECT id, {prefix}_offset, {prefix}_page, {prefix}_at, {prefix}_run, {ns} FROM exchange"  # noqa: S608
        for first in range(0, len(ids), _PIECES_AT_ONCE):
            for _, *place in sorted(self._by_key(select, ids[first : first + _PIECES_AT_ONCE])):
                if not place[3]:
                    continue
                piece = _Piece(*place)
                if end is not None and piece.offset >= end:
                    return
                if piece.offset + piece.length > start:
                    yield piece

    def _segments(self, connection: int, direction: int, start: int, end: int | None) -> Iterator[_Piece]:
        """The segments that touch `start` to `end`."""
        (offset,) = self._one(
            "SELECT coalesce(max(offset), 0) FROM segment "
            "WHERE connection = ? AND direction = ? AND offset <= ?",
            (connection, direction, start),
        )
        while rows := self._all(
            "SELECT offset, page, at, length, ns FROM segment "
            "WHERE connection = ? AND direction = ? AND offset >= ? ORDER BY offset LIMIT ?",
            (connection, direction, offset, _PIECES_AT_ONCE),
        ):
            for row in rows:
                piece = _Piece(*row)
                if end is not None and piece.offset >= end:
                    return
                if piece.offset + piece.length > start:
                    yield piece
            offset = rows[-1][0] + 1

    def _iter_bytes(
        self, pieces: Iterator[_Piece], start: int, end: int | None, *, exact: bool
    ) -> Iterator[bytes]:
        """The bytes `start` to `end` that `pieces` cover without a gap; `exact`: or else `BytesGone`."""
        for piece in pieces:
            if piece.offset > start:
                raise self._gone()
            stop = piece.offset + piece.length if end is None else min(piece.offset + piece.length, end)
            while start < stop:
                length = min(stop - start, CHUNK_BYTES)
                yield self._page_bytes(piece.page, piece.at + start - piece.offset, length)
                start += length
        if exact and end is not None and start < end:
            raise self._gone()

    def _page_bytes(self, page: int, at: int, length: int) -> bytes:
        """Part of a page, without reading the rest of it into memory."""
        try:
            with self._db.blobopen("page", "data", page, readonly=True) as blob:
                blob.seek(at)
                data = blob.read(length)
        except (sqlite3.Error, ValueError) as error:
            if not isinstance(error, sqlite3.Error) or _no_such_row(error):
                raise self._gone() from None
            raise trouble.damage(self.path, error) from None
        if len(data) < length:
            raise self._gone()
        return data

    def _gone(self) -> BytesGone:
        return BytesGone(self.path, "doesn't hold these bytes any more")

    # -- finding

    def search(self, words: str, *, after: int = 0, before: int | None = None) -> Iterator[array[int]]:
        """Ids of the exchanges in which every word is found, newest first, in chunks as they are found.

        Words are separated by white space and found anywhere, whatever their case (ASCII), in the method,
        target, status, reason, client, host, Sec-Fetch-Dest and -Mode. Tests of findings (`capture.wanted`) are
        met as well. `after` and `before` bound the ids.
        A chunk may be empty: each stands for `search_stretch` ids, so that a caller can do other things between
        two of them. Raises NotATestError at the first one.
        """
        from inspectd.capture.wanted import wanted

        asked = wanted(words)
        stretch = search_stretch(words)
        patterns = [_like(word) for word in asked.words]
        condition = "".join(f" AND {_any_of(_SEARCHED, place)}" for place in range(3, len(patterns) + 3))
        upper = self.newest_exchange() if before is None else before - 1
        while upper > after:
            lower = max(after, upper - stretch)
            rows = self._all(
                f"SELECT id FROM exchange WHERE id > ?1 AND id <= ?2{condition} ORDER BY id DESC",  # noqa: S608
                (lower, upper, *patterns),
            )
            ids = array("q", [number for (number,) in rows])
            yield self._meeting(ids, asked) if asked.tests and ids else ids
            upper = lower

    def _meeting(self, ids: array[int], asked: Wanted) -> array[int]:
        """Those of the exchanges in whose messages is found what was asked for."""
        from inspectd.capture.findings import marks

        kinds = asked.kinds
        rows = self.exchanges(ids)
        return array("q", [row.id for row in rows if asked.met(marks(self, row, kinds))])

    def search_connections(self, words: str) -> array[int]:
        """Ids of the connections that are rows of the list and in which every word is found, ascending.

        Tests of findings are met as well. Raises NotATestError.
        """
        from inspectd.capture.findings import marks_of_connection
        from inspectd.capture.wanted import wanted

        asked = wanted(words)
        patterns = [_like(word) for word in asked.words]
        columns = ("kind", "sentence", "peer")
        condition = "".join(f" AND {_any_of(columns, place)}" for place in range(1, len(patterns) + 1))
        rows = self._all(
            f"SELECT id FROM connection WHERE kind IS NOT NULL{condition} ORDER BY after, id",  # noqa: S608
            patterns,
        )
        ids = array("q", [number for (number,) in rows])
        if not asked.tests:
            return ids
        return array(
            "q", [row.id for row in self.connections(ids) if asked.met(marks_of_connection(self, row))]
        )


def search_stretch(words: str) -> int:
    """Ids that a chunk of a search for these words stands for: fewer where messages have to be read."""
    from inspectd.capture.wanted import wanted

    return SEARCH_STRETCH // 16 if wanted(words).tests else SEARCH_STRETCH


_SEARCHED: Final = ("target", "method", "status", "reason", "client", "host", "dest", "mode")


def _any_of(columns: Sequence[str], place: int) -> str:
    """SQL that is true when the parameter of this place is LIKE one of the columns; NULL is like nothing."""
    return "(" + " OR ".join(f"{column} LIKE ?{place} ESCAPE '\\'" for column in columns) + ")"


def _like(word: str) -> str:
    """A LIKE pattern (ESCAPE '\\') for text that contains `word`."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _message(row: ExchangeRow, direction: int) -> tuple[_Piece, int]:
    """Where a message begins, as its run (which may be empty), and the offset of its end in the stream."""
    if direction == INCOMING:
        run = _Piece(row.req_offset, row.req_page, row.req_at, row.req_run, row.started_ns)
        length = row.req_len
    else:
        run = _Piece(
            row.res_offset or 0, row.res_page or 0, row.res_at or 0, row.res_run or 0, row.answered_ns or 0
        )
        length = row.res_len
    return run, run.offset + (run.length if length is None else length)


def _forwarded(row: ForwardRow, direction: int) -> tuple[_Piece, int]:
    """Where a message lies on the connection to a server, as its run (which may be empty), and its length."""
    if direction == INCOMING:
        return _Piece(
            row.req_offset or 0, row.req_page, row.req_at, row.req_run, row.sent_ns or 0
        ), row.req_len
    return _Piece(row.res_offset or 0, row.res_page, row.res_at, row.res_run, row.came_ns or 0), row.res_len


def _exchange(row: Sequence[Any]) -> ExchangeRow:
    values = dict(zip(_EXCHANGE, row, strict=True))
    values["state"] = State(values["state"])
    return ExchangeRow(**values)


def _no_such_row(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
