"""Where the exchanges and connections of a test lie in the capture: only those of this test, none of one before."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

from inspectd.capture.model import OUTGOING, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.testing.stage import Stage

_T = TypeVar("_T")

_AT_ONCE: Final = 500
PATIENCE: Final = 5.0
"""Seconds to wait for something that the engine is about to record."""
_PAUSE: Final = 0.002


class Record:
    """The capture from a certain exchange and connection on."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._begun = stage.begun
        self._ids: dict[tuple[int, int], int] = {}
        self._newest = 0

    @property
    def before(self) -> tuple[int, int]:
        """The newest exchange and the newest connection that are not of this test."""
        self.stage.ready()
        return self._begun.after

    def rows(self, keys: Iterable[tuple[int, int]]) -> list[ExchangeRow | None]:
        """The rows of exchanges, each named by its connection and its number on that; None where there is none."""

        def look(capture: Capture) -> list[ExchangeRow | None]:
            wanted = list(keys)
            if any(key not in self._ids for key in wanted):
                self._learn(capture)
            ids = [self._ids.get(key, 0) for key in wanted]
            found = {row.id: row for row in capture.exchanges([number for number in ids if number])}
            return [found.get(number) for number in ids]

        return self.stage.read(look)

    def row(self, key: tuple[int, int]) -> ExchangeRow | None:
        """The row of one exchange."""
        return self.rows([key])[0]

    def exchanges(self) -> list[ExchangeRow]:
        """Every exchange of this test, those included that never became a request."""
        return self.stage.read(lambda capture: self._after(capture, self.before[0]))

    def _learn(self, capture: Capture) -> None:
        for row in self._after(capture, max(self._newest, self.before[0])):
            self._ids[row.connection, row.number] = row.id
            self._newest = row.id

    def _after(self, capture: Capture, after: int) -> list[ExchangeRow]:
        found: list[ExchangeRow] = []
        while rows := capture.exchanges_after(after, _AT_ONCE):
            found += rows
            after = rows[-1].id
        return found

    def connections(self) -> list[ConnectionRow]:
        """Every connection of this test, in the order they were accepted."""
        upto = self.stage.engine.connections
        return self.stage.read(lambda capture: capture.connections(range(self.before[1] + 1, upto + 1)))

    def gaps(self, keys: Sequence[tuple[int, int]]) -> list[float]:
        """Seconds from the end of each of these exchanges to the first byte of the next; negative when they overlap.

        An answer ends with its last byte; one that never became whole, with its connection if that ended earlier than
        the next exchange began.
        """
        rows = [row for row in self.rows(keys) if row is not None]
        return [
            (after.started_ns - self._end(before, after.started_ns)) / 1e9 for before, after in pairwise(rows)
        ]

    def _end(self, row: ExchangeRow, next_ns: int) -> int:
        """When an exchange was over, in ns since the epoch."""

        def look(capture: Capture) -> int:
            end = row.started_ns
            if row.res_offset is not None and row.res_len:
                stop = row.res_offset + row.res_len
                end = capture.reads(row.connection, OUTGOING, row.res_offset, stop)[-1].ns
            if State.RESPONSE_COMPLETE not in row.state:
                (connection,) = capture.connections([row.connection])
                if connection.closed_ns is not None and connection.closed_ns <= next_ns:
                    end = max(end, connection.closed_ns)
            return end

        return self.stage.read(look)

    def eventually(self, look: Callable[[], _T | None], timeout: float = PATIENCE) -> _T | None:
        """What `look` finds, as soon as it is something; None when the time is over."""
        until = time.monotonic() + timeout
        while (found := look()) is None and time.monotonic() < until:
            time.sleep(_PAUSE)
        return found
