"""What every pane offers to the detail view."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.widget import Widget

from inspectd.capture.model import State
from inspectd.text.safe import safe
from inspectd.tui.widgets.panes.prose import GAP, Page, Paragraph
from inspectd.tui.widgets.wireview import LineView, Run

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from inspectd.tui.subject import Side, Subject
    from inspectd.tui.widgets.wireview import LineSource

WIDE: Final = 100
"""Cells from which on bytes and explanation stand side by side."""


NOTHING_SELECTED: Final = "Nothing is selected."


class Pane(Widget):
    """One way to look at a subject."""

    DEFAULT_CSS = """
    Pane { height: 1fr; width: 1fr; }
    Pane LineView { height: 1fr; width: 1fr; }
    """

    title: ClassVar[str] = ""
    short: ClassVar[str] = ""
    """The title where there is little room; empty: the title itself."""
    sided: ClassVar[bool] = False
    """Whether it shows one direction at a time, so that tab has a meaning."""

    def __init__(self) -> None:
        super().__init__()
        self._subject: Subject | None = None
        self._side: Side = "request"

    def _shows(self, subject: Subject | None, side: Side) -> bool:
        """Whether this side of this subject, grown or not, is on screen already."""
        shown = self._subject
        return shown is not None and subject is not None and (shown.key, self._side) == (subject.key, side)

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Show this subject, or nothing. Keeps its place when the subject is the one it shows, grown."""
        raise NotImplementedError

    def selected_value(self) -> tuple[str, bytes] | None:
        """What the cursor is on: a name for it and its exact bytes."""
        return None

    @property
    def main_view(self) -> LineView:
        """The view that takes the keys."""
        return self.query(LineView).first()


class TextPane(Pane):
    """A pane that is one page of text."""

    DEFAULT_CSS = """
    TextPane LineView { padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        """One view."""
        yield LineView()

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Make the page."""
        same = self._shows(subject, side)
        self._subject, self._side = subject, side
        page = sentence_page(NOTHING_SELECTED) if subject is None else self.page(subject, side)
        self.main_view.show(page, keep_scroll=same)

    def page(self, subject: Subject, side: Side) -> LineSource:
        """The rows for this subject."""
        raise NotImplementedError


def sentence_page(text: str) -> Page:
    """A page that says one thing; the text is safe already."""
    return Page([GAP, Paragraph(Run(text, "dim"), indent=1)])


def nothing_yet(subject: Subject, side: Side) -> str:
    """Why there are no bytes to show on this side."""
    if subject.side(side).lost:
        return safe(subject.side(side).lost)
    if side == "response":
        if subject.row is None:
            return "Nothing was sent on this connection."
        if subject.row.state & State.HELD and not subject.live:
            return "It was waiting for somebody to answer it when its engine ended."
        if subject.row.state & State.HELD:
            return "It waits for somebody to answer it: e edits the answer, r sends the normal one."
        return (
            "No answer was sent." if subject.row.finished_ns or _over(subject) else "No answer was sent yet."
        )
    sentence = subject.connection.sentence if subject.connection is not None else None
    return safe(sentence) if sentence else "No bytes arrived."


def _over(subject: Subject) -> bool:
    return subject.connection is not None and subject.connection.closed_ns is not None
