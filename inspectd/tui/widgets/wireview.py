"""The line-API widget that draws every byte view and every page of text in the detail panes.

A `LineView` draws the rows of a `LineSource` and only those that are on screen; a row is a list of runs, and a run says
which bytes of the message it shows, so that a cursor, a click and a highlight are all one thing: a byte range. Text
that reaches a run has been through `inspectd.text.safe`; nothing here reads markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from inspectd.text.safe import cells
from inspectd.tui.theme import status_tone, tones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

    from inspectd.tui.theme import Tones

STYLES: Final[dict[str, tuple[str, dict[str, bool]]]] = {
    "bar": ("good", {}),
    "bar-out": ("target", {}),
    "bar-wait": ("faint", {}),
    "bad": ("bad", {"bold": True}),
    "brand": ("brand", {"bold": True}),
    "dim": ("muted", {}),
    "error": ("bad", {}),
    "escape": ("warn", {"underline": True}),
    "faint": ("faint", {}),
    "framing": ("redirect", {}),
    "good": ("good", {}),
    "heading": ("muted", {"bold": True}),
    "method": ("method", {"bold": True}),
    "name": ("field_name", {}),
    "name-title": ("field_name", {"bold": True}),
    "odd": ("odd", {}),
    "plain": ("text", {}),
    "reading": ("dest", {"bold": True}),
    "strong": ("strong", {"bold": True}),
    "target": ("target", {}),
    "value": ("field_value", {}),
    "value-title": ("field_value", {"bold": True}),
    "version": ("muted", {}),
    "warning": ("warn", {}),
}
"""The styles a run may ask for: a tone of the theme and attributes. `status-CODE` asks for a status code's tone, and
`NAME!SEVERITY` for bytes with a finding."""

_SEVERITIES: Final = {"error": "bad", "warning": "warn"}
"""The tones of bytes in which something was found: `value!error` is a value with an error in it, underlined."""

_STRIPS_KEPT: Final = 512


class Run(NamedTuple):
    """A piece of a row: safe text, a style's name, and the bytes it shows (-1 when it shows none)."""

    text: str
    style: str = "plain"
    start: int = -1
    end: int = -1


class LineSource(Protocol):
    """Rows for a `LineView`: made for a width in cells, each when it is first seen."""

    def height(self, width: int) -> int:
        """How many rows there are at this width."""

    def row(self, index: int, width: int) -> Sequence[Run]:
        """The runs of one row, `0 <= index < height(width)`, at most `width` cells together."""

    def row_of(self, offset: int, width: int) -> int:
        """The row that shows the byte at `offset`, or the nearest one; 0 when rows show no bytes."""


class NoLines:
    """A source without rows."""

    def height(self, width: int) -> int:  # noqa: ARG002
        """None."""
        return 0

    def row(self, index: int, width: int) -> Sequence[Run]:  # noqa: ARG002
        """Nothing."""
        return ()

    def row_of(self, offset: int, width: int) -> int:  # noqa: ARG002
        """The first."""
        return 0


def style_named(name: str, palette: Tones) -> Style:
    """The colour and attributes of what `STYLES` names, or of a status (`status-503`), without a background."""
    if name.startswith("status-"):
        return palette.style(status_tone(name.removeprefix("status-")), bold=True)
    name, _, severity = name.partition("!")
    tone, attributes = STYLES[name]
    style = palette.style(tone, **attributes)
    if severity:
        style += Style(underline=True) + (
            palette.style(_SEVERITIES[severity]) if severity in _SEVERITIES else Style()
        )
    return style


class LineView(ScrollView, can_focus=True):
    """Draws a `LineSource`, highlights a byte range, and says which byte was clicked."""

    DEFAULT_CSS = """
    LineView {
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        overflow-x: hidden;
        overflow-y: auto;
    }
    """

    class Picked(Message):
        """Somebody clicked on the byte at `offset` (-1: on no byte) in row `row`."""

        def __init__(self, offset: int, row: int) -> None:
            super().__init__()
            self.offset = offset
            self.row = row

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._source: LineSource = NoLines()
        self._selection: tuple[int, int] | None = None
        self._strips: dict[int, tuple[Strip, int, int]] = {}
        self._strip_width = 0
        self._measured = 0
        self._styles_by_name: dict[str, Style] = {}
        self._pending: int | None = None

    @property
    def source(self) -> LineSource:
        """What is drawn."""
        return self._source

    @property
    def selection(self) -> tuple[int, int] | None:
        """The highlighted byte range."""
        return self._selection

    @property
    def row_width(self) -> int:
        """Cells a row may take; 0 before the first layout."""
        return self.scrollable_content_region.width

    def show(self, source: LineSource, *, keep_scroll: bool = False) -> None:
        """Draw another source, from its top unless `keep_scroll`."""
        self._source = source
        self._selection = None
        self._pending = None
        self._measure()
        if not keep_scroll:
            self.scroll_to(0, 0, animate=False, force=True)

    def select(self, start: int, end: int, *, scroll: bool = True) -> None:
        """Highlight bytes `start` up to `end` and bring them on screen, the first of them at least."""
        if (start, end) != self._selection:
            self._selection = (start, end)
            self.refresh()
        if scroll:
            self.reveal(max(start, end - 1))
            self.reveal(start)

    def unselect(self) -> None:
        """Highlight nothing."""
        if self._selection is not None:
            self._selection = None
            self.refresh()

    def reveal(self, offset: int) -> None:
        """Scroll as little as it takes to see the byte at `offset`."""
        width = self.row_width
        height = self.scrollable_content_region.height
        if width <= 0 or height <= 0:
            self._pending = offset
            return
        row = self._source.row_of(offset, width)
        top = self.scroll_offset.y
        if row < top:
            self.scroll_to(y=row, animate=False, force=True)
        elif row >= top + height:
            self.scroll_to(y=row - height + 1, animate=False, force=True)

    def read_on(self) -> None:
        """A screenful on, and from the end back to the beginning."""
        rest = self._source.height(self.row_width) - self.scroll_offset.y - self.size.height
        if rest > 0:
            self.scroll_relative(y=max(1, self.size.height - 1), animate=False)
        else:
            self.scroll_to(y=0, animate=False)

    def _measure(self) -> None:
        """Forget what was drawn and say how much there is to scroll."""
        self._strips.clear()
        width = self.row_width
        self._strip_width = self._measured = width
        if width > 0:
            size = Size(width, self._source.height(width))
            if size != self.virtual_size:
                self.virtual_size = size
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        """Lay the rows out again when the width changed."""
        if self.row_width != self._measured:
            self._measure()
        if self._pending is not None:
            offset, self._pending = self._pending, None
            self.reveal(offset)
        elif self._selection is not None:
            self.reveal(self._selection[0])

    def notify_style_update(self) -> None:
        """Forget colours: the theme changed."""
        super().notify_style_update()
        self._strips.clear()
        self._styles_by_name.clear()

    def style_named(self, name: str) -> Style:
        """The colour and attributes of a run's style over this widget's background."""
        style = self._styles_by_name.get(name)
        if style is None:
            style = self._styles_by_name[name] = self.rich_style + style_named(name, tones(self.app))
        return style

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        width = self.row_width
        index = self.scroll_offset.y + y
        if width != self._strip_width:
            self._strips.clear()
            self._strip_width = width
        kept = self._strips.get(index)
        if kept is None:
            kept = self._draw(index, width)
        strip, first, last = kept
        if self._selection is not None and first >= 0:
            start, end = self._selection
            if start < last and first < end:
                return self._draw_selected(index, width, start, end)
        return strip

    def _draw(self, index: int, width: int) -> tuple[Strip, int, int]:
        base = self.rich_style
        if width <= 0 or index >= self._source.height(width):
            return Strip.blank(max(0, self.size.width), base), -1, -1
        runs = self._source.row(index, width)
        first = last = -1
        segments = []
        for text, name, start, end in runs:
            segments.append(Segment(text, self.style_named(name)))
            if start >= 0:
                first = start if first < 0 else min(first, start)
                last = max(last, end)
        strip = Strip(segments).adjust_cell_length(self.size.width, base)
        if len(self._strips) >= _STRIPS_KEPT:
            self._strips.clear()
        kept = self._strips[index] = (strip, first, last)
        return kept

    def _draw_selected(self, index: int, width: int, start: int, end: int) -> Strip:
        """A row that shows selected bytes: those reversed, the whole row on the cursor line's background."""
        palette = tones(self.app)
        line = Style(bgcolor=palette.cursor_focus if self.has_focus else palette.cursor)
        # Reversed, so that the cursor is seen without colours as well.
        selected = Style(color=palette.field_value, bgcolor=palette.under_cursor, reverse=True, bold=True)
        segments: list[Segment] = []
        for run in self._source.row(index, width):
            style = self.style_named(run.style) + line
            if run.start < 0 or run.end <= start or run.start >= end:
                segments.append(Segment(run.text, style))
                continue
            if len(run.text) != run.end - run.start:
                segments.append(Segment(run.text, selected))
                continue
            # One character a byte: the selection may begin and end inside the run.
            before, after = max(0, start - run.start), max(0, end - run.start)
            for text, part_style in (
                (run.text[:before], style),
                (run.text[before:after], selected),
                (run.text[after:], style),
            ):
                if text:
                    segments.append(Segment(text, part_style))
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style + line)

    def on_click(self, event: events.Click) -> None:
        """Find the byte under the pointer."""
        where = event.get_content_offset(self)
        if where is None:
            return
        width = self.row_width
        row = self.scroll_offset.y + where.y
        if width <= 0 or row >= self._source.height(width):
            return
        self.post_message(self.Picked(byte_at(self._source.row(row, width), where.x), row))


def byte_at(runs: Sequence[Run], x: int) -> int:
    """The offset of the byte drawn at cell `x` of a row, or -1.

    >>> byte_at([Run("0000 "), Run("GET", "method", 0, 3)], 6)
    1
    """
    left = 0
    for text, _, start, end in runs:
        right = left + cells(text)
        if left <= x < right:
            if start < 0:
                return -1
            return start + (x - left) if len(text) == end - start else start
        left = right
    return -1
