"""A question before something that can't be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from inspectd.tui.screens.dialog import Dialog
from inspectd.tui.theme import tones

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Confirm(Dialog[bool]):
    """Enter or `y` says yes, esc or `n` says no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "answer(True)", "Yes", show=False),
        Binding("escape,n", "answer(False)", "No", show=False),
    ]

    def __init__(self, question: str, consequence: str, *, yes: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question, what follows from a yes, and the two keys."""
        palette = tones(self.app)
        key = f"bold {palette.brand}"
        with Vertical(classes="dialog -small"):
            yield Static(Content.styled(self._question, f"bold {palette.strong}"), classes="dialog-title")
            yield Static(Content(self._consequence), classes="dialog-text")
            yield Static(
                Content.assemble(("enter", key), f" {self._yes}   ", ("esc", key), " leave it as it is"),
                classes="dialog-keys",
            )

    def action_answer(self, yes: bool) -> None:  # noqa: FBT001 - bound to keys
        """Give the answer."""
        self.dismiss(yes)
