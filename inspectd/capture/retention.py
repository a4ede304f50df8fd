"""Keeping the capture within a number of bytes: the oldest goes first, in slices too short to be felt.

What goes: exchanges that have ended and aren't marked, with their bytes; closed connections that none of the
remaining exchanges belongs to; pages that nothing points to any more; and when all of that is not enough, the oldest
bytes of what has not ended (`ongoing`). What never goes: the row of an exchange that is not finished or of an open
connection, a marked exchange and everything it needs, and the newest of each, so that ids go on.

How a page is known to be unneeded: ids of exchanges and the pages of their first bytes ascend together, so no
exchange above `_upto` points below the page of the first of them; what was left at or below `_upto` is looked
at, and segments have an index. A file that gets smaller inside stays as long as it was: SQLite fills the free
pages before the file grows again.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.ongoing import Ongoing

if TYPE_CHECKING:
    from collections.abc import Iterable

SLICE_SECONDS: Final = 0.002
"""How long a slice takes while the file is about as large as it may be."""
LONGEST_SLICE_SECONDS: Final = 0.1
"""How long it takes when more arrives than such slices can remove: rather late answers than a full disk."""
CLEAR_SECONDS: Final = 0.25
"""How long `clear` works at once; slices of `CLEAR_SLICE_SECONDS` do the rest."""
CLEAR_SLICE_SECONDS: Final = 0.05

_EXCHANGES_AT_ONCE: Final = 64
_CONNECTIONS_AT_ONCE: Final = 64
_PAGES_AT_ONCE: Final = 8
_SEGMENTS_AT_ONCE: Final = 256
_LEFT_AT_ONCE: Final = 256

_DONE: Final = (State.REQUEST_COMPLETE | State.RESPONSE_COMPLETE).value
_MAY_GO: Final = f"(marked = 0 AND (state & {State.ABORTED.value} OR state & {_DONE} = {_DONE}))"
_EXCHANGE: Final = (
    "SELECT id, connection, previous, req_offset, coalesce(req_len, req_run), req_run, req_page, "  # noqa: S608
    "coalesce(res_offset, 0), coalesce(res_len, res_run, 0), coalesce(res_run, 0), coalesce(res_page, 0), "
    f"{_MAY_GO} FROM exchange"
)


class Retention:
    """Removes the oldest data of a capture through its one writing connection, between two turns of the engine.

    Call `step` now and then, and again soon while it returns true.
    """

    def __init__(self, db: sqlite3.Connection, keep_bytes: int) -> None:
        self.keep_bytes = keep_bytes
        self._db = db
        self._upto = 0
        """Exchanges up to here have been looked at: what is there now was left."""
        self._connections_upto = 0
        self._pages_upto = 0
        self._ongoing = Ongoing(db)
        self._look_again_at = 0
        self._look_again_at_connection = 0
        self._clear_upto = 0
        self._clear_connections_upto = 0
        self._until = 0.0
        self._open: set[int] = set()
        self._segmented: dict[int, bool] = {}
        """What was found out about connections in this slice; nobody else writes meanwhile."""
        (newest,) = db.execute("SELECT coalesce(max(id), 0) FROM exchange").fetchone()
        taken = db.execute("SELECT value FROM meta WHERE key = 'taken_upto'").fetchone()
        self._noted = min(int(taken[0]), newest) if taken else 0

    def used(self) -> int:
        """Bytes of the file that hold something."""
        count, free, size = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (count - free) * size

    def step(self) -> bool:
        """Remove a slice if the file holds too much; whether another slice would remove more.

        It takes `SLICE_SECONDS`, and longer the more the file holds above what it may. Never raises for a file
        that can't be written now: the writer reports that.
        """
        try:
            over = self.used() - self.keep_bytes
        except sqlite3.Error:
            return False
        if over <= 0 and not self._clearing():
            return False
        if self._clearing():
            return self._slice(CLEAR_SLICE_SECONDS)
        share = over / max(self.keep_bytes, 1)
        return self._slice(min(LONGEST_SLICE_SECONDS, SLICE_SECONDS * (1 + 100 * share)))

    def clear(self) -> None:
        """Remove everything that may go. What doesn't go at once goes with the next calls of `step`."""
        (self._clear_upto,) = self._db.execute("SELECT coalesce(max(id), 0) FROM exchange").fetchone()
        (self._clear_connections_upto,) = self._db.execute(
            "SELECT coalesce(max(id), 0) FROM connection"
        ).fetchone()
        self._slice(CLEAR_SECONDS)

    # -- a slice

    def _clearing(self) -> bool:
        return self._upto < self._clear_upto or self._connections_upto < self._clear_connections_upto

    def _slice(self, seconds: float) -> bool:
        """Work for about this long in one transaction; whether there is more to do."""
        self._until = time.perf_counter() + seconds
        self._open.clear()
        self._segmented.clear()
        self._ongoing.begin()
        places = (self._upto, self._connections_upto, self._pages_upto, self._noted, self._ongoing.upto)
        own = not self._db.in_transaction
        try:
            if own:
                self._db.execute("BEGIN IMMEDIATE")
            more = self._work()
            if self._upto > self._noted:
                self._noted = self._upto
                self._db.execute("INSERT OR REPLACE INTO meta VALUES ('taken_upto', ?)", (str(self._noted),))
            if own:
                self._db.execute("COMMIT")
        except sqlite3.Error:
            if own and self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._upto, self._connections_upto, self._pages_upto, self._noted, self._ongoing.upto = places
            return False
        return more

    def _work(self) -> bool:
        self._look_again()
        while not self._late():
            if self._take_pages():
                continue
            if self.used() <= self.keep_bytes and not self._clearing():
                return False
            if self._take_connections() or self._take_exchanges():
                continue
            if self._clearing() or not self._ongoing.take(self._late):
                return False
        return True

    def _late(self) -> bool:
        return time.perf_counter() >= self._until

    def _look_again(self) -> None:
        """Some of what was left may go by now: in turn, a few at a time."""
        rows = self._db.execute(
            f"{_EXCHANGE} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (self._look_again_at, self._upto, _LEFT_AT_ONCE),
        ).fetchall()
        self._look_again_at = rows[-1][0] if len(rows) == _LEFT_AT_ONCE else 0
        for row in rows:
            if row[-1]:
                self._take(row)
                self._ongoing.upto = 0  # there may be pages that only this one kept
        connections = self._db.execute(
            "SELECT id FROM connection WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (self._look_again_at_connection, self._connections_upto, _LEFT_AT_ONCE),
        ).fetchall()
        self._look_again_at_connection = connections[-1][0] if len(connections) == _LEFT_AT_ONCE else 0
        for (number,) in connections:
            self._take_connection(number)

    # -- exchanges

    def _take_exchanges(self) -> bool:
        """Remove the next exchanges that may go; whether there were any to look at."""
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM exchange").fetchone()
        last = max(newest - 1, self._clear_upto)
        rows = self._db.execute(
            f"{_EXCHANGE} WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (self._upto, last, _EXCHANGES_AT_ONCE),
        ).fetchall()
        over = self.used() - self.keep_bytes
        for row in rows:
            if row[-1]:
                if not self._take(row):
                    break  # its bytes are many: the rest of them comes next
                over -= row[4] + row[8]
            self._upto = row[0]
            if over <= 0 and not self._clearing():
                break  # first see what its pages bring
        if not rows:
            self._upto = max(self._upto, min(last, newest))
        return bool(rows)

    def _take(self, row: tuple[Any, ...]) -> bool:
        """Remove an exchange with its bytes; false when some of them are left for another time."""
        number, connection, previous, *places, _ = row
        request, response = places[:4], places[4:]
        # What lies before a message on its connection and belongs to none goes with it, unless the message
        # before it stays: then a segment could hold the end of that one as well.
        segments = self._has_segments(connection)
        alone = segments and (
            previous is None
            or self._db.execute("SELECT 1 FROM exchange WHERE id = ?", (previous,)).fetchone() is None
        )
        pages = set()
        for direction, (start, length, run, page) in ((INCOMING, request), (OUTGOING, response)):
            if run:
                pages.add(page)
            if segments and (alone or length > run):
                done, found = self._take_segments(connection, direction, start, start + length, alone=alone)
                pages |= found
                if not done:
                    self._free(pages)
                    return False
        done, found, upstream = self._take_forward(number)
        pages |= found
        if not done:
            self._free(pages)
            return False
        self._db.execute("DELETE FROM exchange WHERE id = ?", (number,))
        self._db.execute("DELETE FROM evidence WHERE exchange = ?", (number,))
        self._free(pages)
        for each in (connection, upstream):
            if each is not None and each <= self._connections_upto and each not in self._open:
                self._take_connection(each)
        return True

    def _take_forward(self, exchange: int) -> tuple[bool, set[int], int | None]:
        """Remove what was recorded of an exchange on a connection to a server.

        Returns whether it was all, the pages of it, and the connection.
        """
        row = self._db.execute(
            "SELECT upstream, coalesce(req_offset, 0), req_len, req_run, req_page, "
            "coalesce(res_offset, 0), res_len, res_run, res_page FROM forward WHERE exchange = ?",
            (exchange,),
        ).fetchone()
        if row is None:
            return True, set(), None
        upstream, *places = row
        pages: set[int] = set()
        for direction, (start, length, run, page) in ((INCOMING, places[:4]), (OUTGOING, places[4:])):
            if run:
                pages.add(page)
            if length > run and self._has_segments(upstream):
                done, found = self._take_segments(upstream, direction, start, start + length, alone=False)
                pages |= found
                if not done:
                    return False, pages, upstream
        self._db.execute("DELETE FROM forward WHERE exchange = ?", (exchange,))
        return True, pages, upstream

    def _has_segments(self, connection: int) -> bool:
        """Whether a connection has bytes that no run covers. Ordinary traffic has none, and is removed faster."""
        found = self._segmented.get(connection)
        if found is None:
            (found,) = self._db.execute(
                "SELECT EXISTS (SELECT 1 FROM segment WHERE connection = ?)", (connection,)
            ).fetchone()
            self._segmented[connection] = found
        return bool(found)

    def _take_segments(
        self, connection: int, direction: int, start: int, end: int, *, alone: bool
    ) -> tuple[bool, set[int]]:
        """Remove the segments that hold the bytes `start` to `end` only; whether all, and their pages."""
        first = start
        if alone:
            before = self._db.execute(
                "SELECT offset, length FROM segment WHERE connection = ? AND direction = ? AND offset < ? "
                "ORDER BY offset DESC LIMIT 1",
                (connection, direction, start),
            ).fetchone()
            if before is not None and before[0] + before[1] >= start:
                first = before[0]
        rows = self._db.execute(
            "SELECT offset, page FROM segment WHERE connection = ? AND direction = ? AND offset >= ? "
            "AND offset < ? AND offset + length <= ? ORDER BY offset LIMIT ?",
            (connection, direction, first, end, end, _SEGMENTS_AT_ONCE),
        ).fetchall()
        self._db.executemany(
            "DELETE FROM segment WHERE connection = ? AND direction = ? AND offset = ?",
            [(connection, direction, offset) for offset, _ in rows],
        )
        return len(rows) < _SEGMENTS_AT_ONCE, {page for _, page in rows}

    # -- connections

    def _take_connections(self) -> bool:
        """Remove the next connections that are older than every exchange; whether there were any to look at."""
        oldest = self._db.execute(
            "SELECT started_ns FROM exchange WHERE id > ? ORDER BY id LIMIT 1", (self._upto,)
        ).fetchone()
        rows = self._db.execute(
            "SELECT id, opened_ns FROM connection "
            "WHERE id > ? AND id <= max((SELECT max(id) FROM connection) - 1, ?) ORDER BY id LIMIT ?",
            (self._connections_upto, self._clear_connections_upto, _CONNECTIONS_AT_ONCE),
        ).fetchall()
        looked = False
        for number, opened_ns in rows:
            cleared = number <= self._clear_connections_upto and self._upto >= self._clear_upto
            if oldest is not None and opened_ns >= oldest[0] and not cleared:
                break
            looked = True
            if not self._take_connection(number):
                break
            self._connections_upto = number
        if not rows:
            self._connections_upto = max(self._connections_upto, self._clear_connections_upto)
        return looked

    def _take_connection(self, number: int) -> bool:
        """Remove a connection if it may go; false when some of its bytes are left for another time."""
        row = self._db.execute("SELECT closed_ns, newest FROM connection WHERE id = ?", (number,)).fetchone()
        if row is not None and row[0] is None:
            self._open.add(number)
            return True
        if row is None or (row[1] is not None and self._has_exchange(number, row[1])):
            return True
        if self._has_forward(number, row[0]):
            return True
        rows = self._db.execute(
            "SELECT direction, offset, page FROM segment WHERE connection = ? LIMIT ?",
            (number, _SEGMENTS_AT_ONCE),
        ).fetchall()
        self._db.executemany(
            "DELETE FROM segment WHERE connection = ? AND direction = ? AND offset = ?",
            [(number, direction, offset) for direction, offset, _ in rows],
        )
        whole = len(rows) < _SEGMENTS_AT_ONCE
        if whole:
            self._db.execute("DELETE FROM connection WHERE id = ?", (number,))
            self._db.execute("DELETE FROM tls WHERE connection = ?", (number,))
            self._db.execute("DELETE FROM upstream WHERE connection = ?", (number,))
        self._free({page for _, _, page in rows})
        return whole

    def _has_exchange(self, connection: int, newest: int) -> bool:
        """Whether anything is left of a closed connection's exchanges, of which `newest` was the last."""
        if self._db.execute("SELECT 1 FROM exchange WHERE id = ?", (newest,)).fetchone() is not None:
            return True
        left = self._db.execute(
            "SELECT 1 FROM exchange WHERE id <= ? AND connection = ? LIMIT 1", (self._upto, connection)
        ).fetchone()
        return left is not None

    def _has_forward(self, connection: int, closed_ns: int) -> bool:
        """Whether anything is left of the exchanges that a closed connection to a server carried."""
        found = self._db.execute(
            "SELECT id, closed_ns, coalesce(newest, 0) FROM upstream LEFT JOIN connection ON id = client "
            "WHERE upstream.connection = ?",
            (connection,),
        ).fetchone()
        if found is None:
            return False
        client, client_closed_ns, newest = found
        left = self._db.execute(
            "SELECT 1 FROM forward WHERE exchange <= ? AND upstream = ? LIMIT 1", (self._upto, connection)
        ).fetchone()
        if left is not None:
            return True
        if client is None or (client_closed_ns is not None and newest <= self._upto):
            return False
        # Exchanges whose heads came when this connection was closed already were not its.
        oldest = self._db.execute(
            "SELECT started_ns FROM exchange WHERE id > ? ORDER BY id LIMIT 1", (self._upto,)
        ).fetchone()
        return oldest is not None and oldest[0] <= closed_ns

    # -- pages

    def _take_pages(self) -> bool:
        """Remove the next pages that nothing points to; whether there were any to look at."""
        rows = self._db.execute(
            "SELECT id FROM page WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (self._pages_upto, self._first_needed_page(), _PAGES_AT_ONCE),
        ).fetchall()
        for (page,) in rows:
            self._free_page(page)
            self._pages_upto = page
            if self._late():
                break
        return bool(rows)

    def _first_needed_page(self) -> int:
        """No exchange above `_upto` points to a page below this one."""
        (first,) = self._db.execute("SELECT coalesce(max(id), 0) FROM page").fetchone()
        rows = self._db.execute(
            "SELECT req_run, req_page, res_page FROM exchange WHERE id > ? ORDER BY id LIMIT ?",
            (self._upto, _EXCHANGES_AT_ONCE),
        ).fetchall()
        needed = int(first)
        for run, request_page, response_page in rows:
            if response_page is not None:
                needed = min(needed, response_page)
            if run:
                return min(needed, int(request_page))
        return needed if len(rows) < _EXCHANGES_AT_ONCE else 0

    def _free(self, pages: Iterable[int]) -> None:
        """Look again at pages that something pointed to."""
        for page in pages:
            if page <= self._pages_upto:
                self._free_page(page)

    def _free_page(self, page: int) -> None:
        (needed,) = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM segment WHERE page = ?1) OR EXISTS (SELECT 1 FROM exchange "
            "WHERE id <= ?2 AND (res_page = ?1 OR (req_page = ?1 AND req_run > 0))) OR EXISTS (SELECT 1 FROM forward "
            "WHERE exchange <= ?2 AND ((res_page = ?1 AND res_run > 0) OR (req_page = ?1 AND req_run > 0)))",
            (page, self._upto),
        ).fetchone()
        if not needed:
            self._db.execute("DELETE FROM page WHERE id = ?", (page,))
