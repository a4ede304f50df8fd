"""From cells of named tones to Textual strips: the one place where line-API widgets of the shell get colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.tui.theme import Tones


class Cell(NamedTuple):
    """Some safe text, the name of its tone and its weight; `click` is the action a click on it runs.

    `chip` turns text and background around: something that must not be overlooked.
    """

    text: str
    tone: str = "text"
    bold: bool = False
    italic: bool = False
    click: str = ""
    chip: bool = False


class Painter:
    """Makes strips, and remembers the styles it made. Forget them when the theme changes."""

    def __init__(self) -> None:
        self._styles: dict[tuple[str, bool, bool, str, bool, str], Style] = {}

    def clear(self) -> None:
        """Forget every style."""
        self._styles.clear()

    def style(self, cell: Cell, palette: Tones, ground: str) -> Style:
        """The Rich style of a cell on a background; tones and backgrounds are names of fields of `Tones`."""
        key = (cell.tone, cell.bold, cell.italic, cell.click, cell.chip, ground)
        style = self._styles.get(key)
        if style is None:
            attributes: dict[str, Any] = {
                "bold": cell.bold or None,
                "italic": cell.italic or None,
                "reverse": cell.chip or None,
            }
            style = palette.style(cell.tone, bgcolor=getattr(palette, ground), **attributes)
            if cell.click:
                style += Style.from_meta({"@click": cell.click})
            self._styles[key] = style
        return style

    def strip(self, row: Iterable[Cell], palette: Tones, ground: str, width: int) -> Strip:
        """A strip of these cells, which must take `width` cells together."""
        return Strip(
            [Segment(cell.text, self.style(cell, palette, ground)) for cell in row if cell.text], width
        )
