"""What every pane offers to the detail view."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widget import Widget

from inspectd.tui.widgets.wireview import LineView

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from inspectd.tui.subject import Side, Subject
    from inspectd.tui.widgets.wireview import LineSource

WIDE: int = 100
"""Cells from which on bytes and explanation stand side by side."""


class Pane(Widget):
    """One way to look at a subject."""

    DEFAULT_CSS = """
    Pane { height: 1fr; width: 1fr; }
    Pane LineView { height: 1fr; width: 1fr; }
    """

    title: ClassVar[str] = ""
    sided: ClassVar[bool] = False
    """Whether it shows one direction at a time, so that tab has a meaning."""

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

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[int, Side] | None = None

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Make the page."""
        same = subject is not None and self._shown == (subject.key, side)
        self._shown = (subject.key, side) if subject is not None else None
        self.main_view.show(self.page(subject, side), keep_scroll=same)

    def page(self, subject: Subject | None, side: Side) -> LineSource:
        """The rows for this subject."""
        raise NotImplementedError
