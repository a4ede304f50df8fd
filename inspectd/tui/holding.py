"""Being the server: which requests wait for a person, when one comes, and when its client doesn't wait any more.

The engine holds them; this only knows what it said last, asks again when the capture shows a change, and tells the
person. Deciding happens in `app`, the bytes of an answer are edited in `screens.respond`.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from inspectd.capture.model import State
from inspectd.errors import InspectdError
from inspectd.tui.held import NOTHING_HELD, Holds, Waiting
from inspectd.tui.widgets.columns import span_of_time, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.notifications import SeverityLevel

    from inspectd.tui.shell import Shell


HELD_FEW: Final = 16
"""So many held requests cost next to nothing to ask for."""
TOLD_SECONDS: Final = 6.0
"""So long one note about what came, or who left, is enough: the header counts."""
SETTLED_SECONDS: Final = 0.2
"""After so long the capture has what happened to an exchange that is no longer held."""


class Holding:
    """What the engine holds, as far as the screen knows."""

    def __init__(self, app: Shell) -> None:
        self._app = app
        self.now: Holds = NOTHING_HELD
        self.mine = False
        """Whether this screen ever asked for requests to be held: it releases them when it goes."""
        self.drafts: dict[int, str] = {}
        """What was written for exchanges that are held still."""
        self._watcher: Callable[[Waiting | None], None] | None = None
        self._watched = 0
        self._wishes: list[int | None] = []
        self._granting = threading.Lock()
        self._seen: list[tuple[int, int]] = []
        self._told: dict[str, float] = {}

    def look(self) -> None:
        """Ask the engine when the rows that wait are others than before."""
        feed = self._app.feed
        seen = []
        for key in feed.held():
            row = feed.row(key)
            seen.append((key, 0 if row is None else int(getattr(row, "state", 0))))
        if seen == self._seen:
            return
        self._seen = seen
        # Their answers come along: when they are many, the next regular question is soon enough.
        if len(self.now.held) <= HELD_FEW:
            self._app.engine_changed()

    def take(self, holds: Holds) -> None:
        """Take in what the engine says, and say what is new."""
        before, self.now = self.now, holds
        if holds == before:
            return
        self.drafts = {key: text for key, text in self.drafts.items() if holds.get(key) is not None}
        if self._watcher is not None:
            self._watcher(holds.get(self._watched))
        self._app.feed.left = frozenset(each.id for each in holds.held if each.client_gone)
        known, still = {each.id: each for each in before.held}, {each.id for each in holds.held}
        self._tell_came([each for each in holds.held if each.id not in known and not each.client_gone])
        self._tell_left(
            [each for each in holds.held if each.client_gone and not _was_gone(known.get(each.id))]
        )
        if over := [each for each in before.held if each.id not in still]:
            self._app.set_timer(SETTLED_SECONDS, partial(self._tell_over, over))
        self._app.show_hints()

    def watch(self, exchange: int, watcher: Callable[[Waiting | None], None] | None) -> None:
        """Tell `watcher`, an open editor, of every change of this exchange: None when it is no longer held."""
        self._watched, self._watcher = exchange, watcher

    def why_over(self, exchange: int) -> str:
        """Why an exchange is no longer held, when its client is the reason; else empty."""
        try:
            row = self._app.capture.exchange(exchange)
        except InspectdError:
            return ""
        gone = row is not None and row.state & State.ABORTED and not row.state & State.RESPONSE_STARTED
        return "the client is gone: its connection ended before anybody decided" if gone else ""

    # one note about each kind of news: many may come at once

    def _tell(self, kind: str, which: list[Waiting], what: Callable[[str], str], more: str = "") -> None:
        now = time.monotonic()
        if not which or now < self._told.get(kind, 0) + TOLD_SECONDS:
            return
        self._told[kind] = now
        others = f" and {len(which) - 1} more" if len(which) > 1 else ""
        severity: SeverityLevel = "information" if kind == "came" else "warning"
        self._app.say(what(which[0].name + others), more, severity=severity)

    def _tell_came(self, came: list[Waiting]) -> None:
        wait = "waits" if len(came) == 1 else "wait"
        limit = span_of_time(round(came[0].timeout * 1e9)) if came else ""
        self._tell(
            "came",
            came,
            lambda which: f"◆ {which} {wait} for your answer",
            f"On its row: enter edits the answer, r sends the normal one. It goes by itself after {limit}.",
        )

    def _tell_left(self, left: list[Waiting]) -> None:
        waited = whole_seconds(left[0].waited(time.time_ns())) if left else ""
        self._tell(
            "left",
            left,
            lambda which: f"◆ The client of {which} closed its side after {waited}",
            "Most have given up by then; a few go on reading.",
        )

    def _tell_over(self, over: list[Waiting]) -> None:
        gone = [(each, why) for each in over if (why := self.why_over(each.id))]
        self._tell("over", [each for each, _ in gone], lambda which: f"✗ {which}: {gone[0][1]}")

    def next_step(self) -> int | None:
        """What `h` asks for now: the next request, then all of them, then none."""
        soon = self._wishes[-1] if self._wishes else self._app.link.news.holds.next
        if soon is None:
            return 0
        return 1 if soon == 0 else None

    def wish(self, count: int | None) -> None:
        """Remember what a person asked for last, until the engine was told: keys may come quicker than it answers."""
        self._wishes.append(count)

    def grant(self, tell: Callable[[int | None], None]) -> None:
        """Tell the engine the last wish, from a worker thread: one at a time, and none that is out of date."""
        with self._granting:
            wishes = list(self._wishes)
            try:
                if wishes:
                    tell(wishes[-1])
                    self._app.link.refresh()
            finally:
                del self._wishes[: len(wishes)]

    def stop(self) -> bool:
        """Hold no more, if anything would be held; what is held stays so."""
        if self.now.next == 0:
            return False
        self._app.hold_next(0)
        return True


def _was_gone(waiting: Waiting | None) -> bool:
    return waiting is not None and waiting.client_gone
