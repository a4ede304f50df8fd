"""How many rows are marked for what is found in them: counted a few at a time, in a thread that has the time.

The marks are those of the list (`capture.findings.outstanding`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from inspectd.tui.feed import is_finished

if TYPE_CHECKING:
    from inspectd.capture.reader import Capture

AT_ONCE: Final = 50
"""Exchanges that are looked at between two rests."""
RESTING_SECONDS: Final = 0.02
"""How long to rest between: the screen comes first."""
WAITING_KEPT: Final = 1_000
"""Unfinished exchanges that are looked at again."""


class OddRows:
    """The exchanges that have a mark."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._clear()

    def _clear(self) -> None:
        self._upto = 0
        self._odd = array("q")
        self._waiting: set[int] = set()

    @property
    def count(self) -> int:
        """How many there are, as far as was looked."""
        oldest = self._capture.exchanges_after(0, 1)
        first = oldest[0].id if oldest else 0
        gone = bisect_left(self._odd, first) if oldest else len(self._odd)
        return len(self._odd) - gone

    def more(self) -> bool:
        """Look at a few more exchanges; whether that wasn't all."""
        if self._capture.newest_exchange() < self._upto:  # somebody cleared the capture
            self._clear()
        rows = self._capture.exchanges_after(self._upto, AT_ONCE)
        for row in rows:
            self._upto = row.id
            if not self._look(row.id) and len(self._waiting) < WAITING_KEPT:
                self._waiting.add(row.id)
        return len(rows) == AT_ONCE

    def again(self) -> None:
        """Look at what was unfinished the last time."""
        self._waiting -= {number for number in tuple(self._waiting) if self._look(number)}

    def _look(self, number: int) -> bool:
        """Whether this exchange needs no other look."""
        from inspectd.capture.findings import outstanding

        row = self._capture.exchange(number)
        if row is None:
            return True
        if not is_finished(row):
            return False
        if outstanding(self._capture, row) is not None:
            at = bisect_left(self._odd, number)
            if at == len(self._odd) or self._odd[at] != number:
                self._odd.insert(at, number)
        return True
