"""Following a capture that is being written: what has finished since the last look, in the order of finishing.

A viewer like any other: it reads the file and asks the engine nothing, so whoever prints slowly only falls behind. All
that it keeps is the ids of what was unfinished when it looked last.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from inspectd.capture.model import LEFT_OVER, ConnectionRow, ExchangeRow, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.capture.reader import Capture

ROWS_AT_ONCE: Final = 200
SHARE_OF_TIME: Final = 0.05
"""How much of its time a follower may spend on looking again at what had not finished."""

_FINISHED: Final = State.RESPONSE_COMPLETE | State.ABORTED


class Follower:
    """Looks at a capture again and again.

    `after` is the id of the newest exchange that is not wanted; connections opened before `since_ns` aren't either.
    """

    def __init__(self, capture: Capture, *, after: int = 0, since_ns: int = 0) -> None:
        self._capture = capture
        self._newest = after
        self._open: set[int] = set()
        self._look_again = False
        self._again_at = 0.0
        self._connections_from = after
        self._connections_seen: set[int] = set()
        self._since_ns = since_ns
        self.missed = 0
        """Exchanges that retention or a person removed before they could be seen."""

    def finished(self, *, final: bool = False) -> Iterator[ExchangeRow | ConnectionRow]:
        """What has finished since the last call. With `final` nothing more will happen: all that is left."""
        changed = self._capture.changed() or final
        self._look_again |= changed
        ended: deque[ExchangeRow | ConnectionRow] = deque()
        now = time.monotonic()
        if self._look_again and (final or now >= self._again_at):
            self._look_again = False
            ended.extend(self._again())
            self._again_at = time.monotonic() + (time.monotonic() - now) / SHARE_OF_TIME
        while changed and (rows := self._capture.exchanges_after(self._newest, ROWS_AT_ONCE)):
            self.missed += rows[-1].id - self._newest - len(rows)
            self._newest = rows[-1].id
            finished = [row for row in rows if row.state & _FINISHED]
            self._open.update(row.id for row in rows if not row.state & _FINISHED)
            for row in sorted(finished, key=_end):
                while ended and _end(ended[0]) <= _end(row):
                    yield ended.popleft()
                yield row
            if len(rows) < ROWS_AT_ONCE:
                break
        yield from ended
        if final:
            yield from self._capture.exchanges(sorted(self._open))
            self._open.clear()

    def _again(self) -> list[ExchangeRow | ConnectionRow]:
        """Exchanges that were open at the last look, and connections that are no exchange."""
        finished: list[ExchangeRow | ConnectionRow] = []
        finished += self._connections()
        if self._open:
            found = self._capture.exchanges(sorted(self._open))
            self._open = {row.id for row in found if not row.state & _FINISHED}
            finished += (row for row in found if row.state & _FINISHED)
        return sorted(finished, key=_end)

    def _connections(self) -> list[ConnectionRow]:
        rows = self._capture.list_connections_after(self._connections_from)
        if not rows:
            return []
        ended = [
            row
            for row in rows
            if row.closed_ns is not None
            and row.opened_ns >= self._since_ns
            and (not row.exchanges or row.kind == LEFT_OVER)
            and row.id not in self._connections_seen
        ]
        # Whatever lies behind the oldest one that is still open has been seen for good.
        self._connections_from = min(
            (row.after for row in rows if row.closed_ns is None), default=max(row.after for row in rows)
        )
        self._connections_seen = {
            row.id for row in rows if row.closed_ns is not None and row.after >= self._connections_from
        }
        return ended


def _end(row: ExchangeRow | ConnectionRow) -> int:
    end = row.finished_ns if isinstance(row, ExchangeRow) else row.closed_ns
    return end or 0
