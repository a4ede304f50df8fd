"""The filter bar: plain words over the list, what they let through, and the filters of before.

New rows are tried by the feed as they come; older ones are searched in a worker thread with a capture of its own,
newest first, and are shown as they are found.
"""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from inspectd.capture.reader import Capture
from inspectd.capture.wanted import NotATestError, completion
from inspectd.errors import InspectdError
from inspectd.text.safe import cells, safe

if TYPE_CHECKING:
    from pathlib import Path

    from textual import events
    from textual.app import ComposeResult
    from textual.timer import Timer

    from inspectd.tui.feed import Feed

REMEMBERED: Final = 50
_STATE_SHARE: Final = 0.55
"""How much of the line words beside it may take: a little less than their style sheet gives them."""
TYPING_SECONDS: Final = 0.08
"""How long the words rest before the search begins."""
TELLS_SECONDS: Final = 0.15
"""How often a search tells what it found."""


class Tests(Suggester):
    """Completes ids of findings and severities."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line, with what the last word begins."""
        return completion(value)


class FilterInput(Input):
    """The words; up and down bring back earlier ones."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "earlier(1)", "Earlier filter", show=False),
        Binding("down", "earlier(-1)", "Later filter", show=False),
        Binding("escape", "clear", "Clear the filter", show=False),
    ]
    HELP_TITLE = "Filter"
    HELP_TEXT = (
        "Plain words: a row stays when every word occurs in it: in the method, target, status, reason, client, host, "
        "Sec-Fetch-Dest or Sec-Fetch-Mode, or in the sentence of a connection without a request. Case doesn't matter. "
        "Tests of what is found in the messages: finding == te-with-cl, finding ~ te- (part of an id), "
        "severity >= warning (good, info, warning, error); right completes them. "
        "Enter keeps the filter, esc clears it, up and down bring back earlier ones."
    )

    def __init__(self) -> None:
        super().__init__(
            placeholder="words that must occur, e.g. POST 404 chrome, or severity >= warning",
            compact=True,
            id="filter-words",
            suggester=Tests(),
        )
        self.history: list[str] = []
        self._at = 0

    class Cleared(Message):
        """Somebody wants every row back."""

    def remember(self) -> None:
        """Put the words at the top of the history."""
        words = self.value.strip()
        if words:
            self.history = [words, *(old for old in self.history if old != words)][:REMEMBERED]
        self._at = 0

    def action_earlier(self, by: int) -> None:
        """One filter back in time, or forth."""
        if self.history:
            self._at = max(0, min(len(self.history), self._at + by))
            self.value = self.history[self._at - 1] if self._at else ""
            self.cursor_position = len(self.value)

    def action_clear(self) -> None:
        """Let every row through again."""
        self.post_message(self.Cleared())


class FilterBar(Horizontal):
    """One line above the panes, there while a filter is typed or kept."""

    class RowsChanged(Message):
        """The feed shows other rows now."""

    class Left(Message):
        """Somebody is done with the words, which were kept or not."""

        def __init__(self, *, kept: bool) -> None:
            super().__init__()
            self.kept = kept

    def __init__(self, feed: Feed, capture: Path, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.words = ""
        """What the rows are filtered by now."""
        self._feed = feed
        self._capture = capture
        self._timer: Timer | None = None
        self._problem: NotATestError | None = None

    def compose(self) -> ComposeResult:
        """A slash, the words, and what they let through."""
        yield Static("/", id="filter-slash", markup=False)
        yield FilterInput()
        yield Static("", id="filter-state", markup=False)

    @property
    def input(self) -> FilterInput:
        """Where the words are typed."""
        return self.query_one(FilterInput)

    def open(self) -> None:
        """Begin to type; the last words are there again."""
        line = self.input
        if not line.value and line.history:
            line.value = line.history[0]
        line.focus()
        line.select_all()
        self.tell()

    def clear(self) -> None:
        """Let every row through."""
        self._stop_waiting()
        self.workers.cancel_group(self, "search")
        self.words, self._problem = "", None
        self._feed.show_all()
        with self.prevent(Input.Changed):
            self.input.value = ""
        self.post_message(self.RowsChanged())
        self.post_message(self.Left(kept=False))

    def again(self) -> None:
        """Search once more: the capture was cleared, and begins anew."""
        if self.words:
            self._search(self.words, self._feed.begin_filter(self.words))

    def tell(self) -> None:
        """Say what the words let through, and what the keys do."""
        feed = self._feed
        typing = self.screen.focused is self.input
        text = "enter keeps · esc clears" if typing else "/ edits · esc clears"
        if feed.filtered:
            more = " so far" if feed.searching else ""
            text = f"{len(feed):,} of {len(feed.all):,} shown{more} · {text}"
        if self._problem is not None:
            text = f"{safe(self._problem.what)}. {safe(self._problem.mend)}"
            if cells(text) > self.size.width * _STATE_SHARE:
                text = safe(self._problem.mend)  # what it is stands beside it, as it was typed
        self.query_one("#filter-state", Static).update(Content(text))

    # what is typed

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search a moment after the last key."""
        event.stop()
        self._stop_waiting()
        self._timer = self.set_timer(TYPING_SECONDS, self._apply)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the words, if there are any."""
        event.stop()
        self.input.remember()
        if not event.value.strip():
            self.clear()
            return
        self._apply()
        if self._problem is None:
            self.post_message(self.Left(kept=True))

    def on_filter_input_cleared(self, event: FilterInput.Cleared) -> None:
        """Every row back."""
        event.stop()
        self.input.remember()
        self.clear()

    def on_click(self, event: events.Click) -> None:
        """Type."""
        event.stop()
        self.input.focus()

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _apply(self) -> None:
        self._stop_waiting()
        words = self.input.value.strip()
        self._problem = None
        if words == self.words:
            self.tell()
            return
        try:
            upto = self._feed.begin_filter(words) if words else 0
        except NotATestError as problem:  # most are not typed to their end yet
            self._problem = problem
            self.tell()
            return
        self.words = words
        self.workers.cancel_group(self, "search")
        if words:
            self._search(words, upto)
        else:
            self._feed.show_all()
        self.post_message(self.RowsChanged())
        self.tell()

    # searching, in a thread that never waits for the screen

    @work(thread=True, exclusive=True, group="search")
    def _search(self, words: str, upto: int) -> None:
        worker = get_current_worker()
        found: array[int] = array("q")
        told = time.monotonic()
        try:
            with Capture.open(self._capture) as capture:
                self.call_later(self._found_connections, words, capture.search_connections(words))
                for ids in capture.search(words, before=upto + 1):
                    if worker.is_cancelled:
                        return
                    found.extend(ids)
                    if found and time.monotonic() - told > TELLS_SECONDS:
                        found.reverse()
                        self.call_later(self._found, words, found, more=True)
                        found, told = array("q"), time.monotonic()
            found.reverse()
            self.call_later(self._found, words, found, more=False)
        except InspectdError as problem:
            self.call_later(self._failed, problem)

    def _found_connections(self, words: str, connections: array[int]) -> None:
        if words == self.words:
            self._feed.add_connections(connections)

    def _found(self, words: str, ids: array[int], *, more: bool) -> None:
        if words == self.words:
            self._feed.add_older(ids, more=more)
            self.post_message(self.RowsChanged())
            self.tell()

    def _failed(self, problem: InspectdError) -> None:
        self.notify(safe(str(problem), newline=True), severity="error", markup=False)
