"""What happens to connections before a byte of them is read: a server that is down, full or in trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from inspectd.rules.tables import AcceptTable
from inspectd.testing.hiding import hidden

if TYPE_CHECKING:
    from inspectd.testing.stage import Stage


__tracebackhide__ = hidden


class Accept:
    """Trouble at the door. What is asked for last holds; `normal` ends it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.table: AcceptTable | None = None

    def reset(self, count: int | None = None, *, after: int = 0) -> None:
        """Accept connections and reset them at once: so many, or all. The first `after` are spared."""
        self._set(do="reset", count=count, after=after)

    def close(self, count: int | None = None, *, after: int = 0) -> None:
        """Accept connections and close them at once with FIN."""
        self._set(do="close", count=count, after=after)

    def wait(self, for_: str | float | None = None, *, after: int = 0) -> None:
        """Accept nobody: connections are made by the kernel and wait in its queue, and nothing is read."""
        self._set(do="wait", after=after, **{"for": for_})

    def refuse(self, for_: str | float | None = None, *, after: int = 0) -> None:
        """Stop listening: the kernel refuses connections. The same port comes back later."""
        self._set(do="refuse", after=after, **{"for": for_})

    def normal(self) -> None:
        """Accept connections as usual."""
        self.put(None)

    def _set(self, **words: Any) -> None:
        given = {key: value for key, value in words.items() if value is not None}
        self.put(msgspec.convert(given, AcceptTable))

    def put(self, table: AcceptTable | None) -> None:
        """What a rule file says about accepting."""
        self._stage.accept(table)
        self.table = table
