"""What every dialog is: a screen over the others, which stand still behind it.

Textual draws and tints them anew with every change of the dialog, which takes longer than the dialog itself. Here they
are drawn once for each size and theme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.renderables.background_screen import BackgroundScreen
from textual.screen import ModalScreen, ScreenResultType

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.segment import Segment


class Dialog(ModalScreen[ScreenResultType]):
    """A modal screen whose background is drawn once."""

    _behind: tuple[object, Still] | None = None

    def render(self) -> RenderableType:
        """What lies behind, as it was when the dialog came, or got another size or theme."""
        drawn = super().render()
        if not isinstance(drawn, BackgroundScreen):
            return drawn
        key = self.app.size, drawn.screen.size, drawn.screen.virtual_size, drawn.color
        if self._behind is None or self._behind[0] != key:
            self._behind = key, Still(drawn)
        return self._behind[1]


class Still:
    """A renderable that is drawn once."""

    def __init__(self, drawn: RenderableType) -> None:
        self._drawn = drawn
        self._segments: list[Segment] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._segments:
            self._segments = list(console.render(self._drawn, options))
        return self._segments
