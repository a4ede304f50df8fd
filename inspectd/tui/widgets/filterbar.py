"""The filter bar: plain words over the list, what they let through, and the filters of before."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

REMEMBERED = 50


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
        "Enter keeps the filter, esc clears it, up and down bring back earlier ones."
    )

    def __init__(self) -> None:
        super().__init__(
            placeholder="words that must occur, e.g. POST 404 chrome", compact=True, id="filter-words"
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

    def compose(self) -> ComposeResult:
        """A slash, the words, and what they let through."""
        yield Static("/", id="filter-slash", markup=False)
        yield FilterInput()
        yield Static("", id="filter-state", markup=False)

    @property
    def input(self) -> FilterInput:
        """Where the words are typed."""
        return self.query_one(FilterInput)

    def say(self, text: str) -> None:
        """What the filter lets through, in words."""
        self.query_one("#filter-state", Static).update(Content(text))

    def on_click(self, event: events.Click) -> None:
        """Type."""
        event.stop()
        self.input.focus()
