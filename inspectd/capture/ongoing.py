"""Letting go of the oldest bytes of what goes on: of exchanges without an end, and of tunnels.

They go by whole pages, and only where nothing else has bytes in them. What stays: the page in which the head of a
remaining exchange lies, the bytes of marked exchanges, and the rows; readers say that bytes are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.capture.model import INCOMING, OUTGOING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

_PAGES_AT_ONCE: Final = 8

_NEEDED: Final = (
    "SELECT req_page FROM exchange WHERE req_run > 0 UNION SELECT res_page FROM exchange WHERE res_page NOT NULL "
    "UNION SELECT req_page FROM forward WHERE req_run > 0 UNION SELECT res_page FROM forward WHERE res_run > 0"
)
# What follows the last exchange of a connection belongs to it: the bytes of a tunnel, those of a WebSocket.
_MARKED: Final = """
    SELECT connection.id, exchange.req_offset, exchange.req_len, exchange.res_offset, exchange.res_len,
           forward.upstream, forward.req_offset, forward.req_len, forward.res_offset, forward.res_len,
           coalesce(connection.newest, 0) <= exchange.id
    FROM exchange JOIN connection ON connection.id = exchange.connection
    LEFT JOIN forward ON forward.exchange = exchange.id
    WHERE exchange.marked
"""
_Ranges: TypeAlias = dict[tuple[int, int], list[tuple[int, int | None]]]
"""The bytes (from, to) that stay, by connection and direction; to None is to the end."""


class Ongoing:
    """The bytes of what hasn't ended, the oldest first. Only for when nothing that has ended is left to go."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.upto = 0
        """Pages up to here have been looked at: what is there now was left."""
        self._needed: set[int] | None = None
        self._marked: _Ranges = {}

    def begin(self) -> None:
        """Forget what was found out: others have written since."""
        self._needed = None

    def take(self, late: Callable[[], bool]) -> bool:
        """Remove the next pages that may go, until it is `late`; whether there were any to look at."""
        rows = self._db.execute(
            "SELECT id FROM page WHERE id > ? AND id < (SELECT max(id) FROM page) ORDER BY id LIMIT ?",
            (self.upto, _PAGES_AT_ONCE),
        ).fetchall()
        if rows and self._needed is None:
            self._needed = {page for (page,) in self._db.execute(_NEEDED)}
            self._marked = self._ranges()
        for (page,) in rows:
            self._take_page(page)
            self.upto = page
            if late():
                break
        return bool(rows)

    def _ranges(self) -> _Ranges:
        found: _Ranges = {}
        for connection, *places, last in self._db.execute(_MARKED):
            upstream = places[4]
            for number, (start, length), direction in (
                (connection, places[0:2], INCOMING),
                (connection, places[2:4], OUTGOING),
                (upstream, places[5:7], INCOMING),
                (upstream, places[7:9], OUTGOING),
            ):
                if number is not None:
                    begin = start or 0
                    found.setdefault((number, direction), []).append(
                        (begin, None if last else begin + (length or 0))
                    )
        return found

    def _take_page(self, page: int) -> None:
        assert self._needed is not None
        if page in self._needed:
            return
        segments = self._db.execute(
            "SELECT connection, direction, offset, length FROM segment WHERE page = ?", (page,)
        ).fetchall()
        if not any(self._stays(*segment) for segment in segments):
            self._db.execute("DELETE FROM segment WHERE page = ?", (page,))
            self._db.execute("DELETE FROM page WHERE id = ?", (page,))

    def _stays(self, connection: int, direction: int, offset: int, length: int) -> bool:
        return any(
            start < offset + length and (end is None or offset < end)
            for start, end in self._marked.get((connection, direction), ())
        )
