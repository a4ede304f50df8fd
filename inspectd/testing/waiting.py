"""What a test waits for, and what it is told when that does not come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from inspectd.testing.seen import SeenRequest


@dataclass(frozen=True, slots=True)
class Waiting:
    """Requests that are to come."""

    look: Callable[[], list[SeenRequest]]
    """Those that have come."""
    what: str
    """Which: `for 'POST /pay'`."""
    instead: str
    """How to wait for them where this would block."""
    nearest: Callable[[], str]
    """What came instead, to follow a sentence."""

    def late(self, count: int, timeout: float) -> str:
        """What to say after so many seconds when not so many have come."""
        came = len(self.look())
        if came:
            return f"{came} of {count} requests {self.what} came within {timeout:g} s"
        none = "no request" if count == 1 else f"none of {count} requests"
        return f"{none} {self.what} came within {timeout:g} s{self.nearest()}"
