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

    from inspectd.tui.shell import Shell


HELD_FEW: Final = 16
"""So many held requests cost next to nothing to ask for."""
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
        self.watcher: Callable[[Waiting | None, int], None] | None = None
        """Told of every change of what is held, with the exchange it asked for: an open editor."""
        self.watched = 0
        self._wishes: list[int | None] = []
        self._granting = threading.Lock()
        self._seen: list[tuple[int, int]] = []

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
        came = [each for each in holds.held if before.get(each.id) is None]
        left = [each for each in holds.held if each.client_gone and not _was_gone(before, each.id)]
        self.drafts = {key: text for key, text in self.drafts.items() if holds.get(key) is not None}
        if self.watcher is not None:
            self.watcher(holds.get(self.watched), self.watched)
        self._tell_came([each for each in came if not each.client_gone])
        for each in left:
            waited = whole_seconds(each.waited(time.time_ns()))
            self._app.say(
                f"◆ The client of {each.name} closed its side after {waited}",
                "Most have given up by then; a few go on reading.",
                severity="warning",
            )
        for each in before.held:
            if holds.get(each.id) is None:
                self._app.set_timer(SETTLED_SECONDS, partial(self._tell_gone, each))
        self._app.show_hints()

    def why_over(self, exchange: int) -> str:
        """Why an exchange is no longer held, when its client is the reason; else empty."""
        try:
            row = self._app.capture.exchange(exchange)
        except InspectdError:
            return ""
        gone = row is not None and row.state & State.ABORTED and not row.state & State.RESPONSE_STARTED
        return "the client is gone: its connection ended before anybody decided" if gone else ""

    def _tell_gone(self, waiting: Waiting) -> None:
        if why := self.why_over(waiting.id):
            self._app.say(f"✗ {waiting.name}: {why}", severity="warning")

    def _tell_came(self, came: list[Waiting]) -> None:
        if not came:
            return
        first = came[0]
        limit = span_of_time(round(first.timeout * 1e9))
        more = f" and {len(came) - 1} more" if len(came) > 1 else ""
        wait = "waits" if len(came) == 1 else "wait"
        self._app.say(
            f"◆ {first.name}{more} {wait} for your answer",
            f"On its row: enter edits the answer, r sends the normal one. It goes by itself after {limit}.",
        )

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


def _was_gone(before: Holds, exchange: int) -> bool:
    waiting = before.get(exchange)
    return waiting is not None and waiting.client_gone
