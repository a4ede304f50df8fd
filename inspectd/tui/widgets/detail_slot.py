"""Where the panes stand until they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.tui.subject import Subject


class Detail(Static, can_focus=True):
    """A plain look at the request."""

    def show(self, subject: Subject | None) -> None:
        """Show a subject."""
        text = "" if subject is None else safe(subject.request, newline=True)
        self.update(Content(text))

    def focus_content(self) -> None:
        """Take the keys."""
        self.focus()

    def selected_value(self) -> tuple[str, bytes] | None:
        """Nothing to select."""
        return None
