"""The traffic table: a line-API widget over a `Feed`, so that a million rows cost what a screenful costs.

Only visible rows are read and drawn. The virtual height grows at most ten times a second; between two growths new
rows wait below the edge.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import var
from textual.scroll_view import ScrollView

from inspectd.tui.feed import Change, Deed, Feed, Noted, Row, is_finished
from inspectd.tui.theme import Tones, tones
from inspectd.tui.widgets.columns import Columns, columns_for, header_cells, missing_cells, row_cells
from inspectd.tui.widgets.paint import Cell, Painter

if TYPE_CHECKING:
    from textual import events
    from textual.strip import Strip

GROWTH_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 0.05
"""Between two looks for findings, and how long one takes at most."""
LOOKING_SECONDS: Final = 0.004
STRIPS_KEPT: Final = 1024


class TrafficTable(ScrollView, can_focus=True):
    """One row an exchange, and one for each connection that never sent a request."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Row up", show=False, id="traffic.up"),
        Binding("down,j", "move(1)", "Row down", show=False, id="traffic.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="traffic.page-up"),
        Binding("pagedown,space", "page(1)", "Page down", show=False, id="traffic.page-down"),
        Binding("home,g", "first", "First row", show=False, id="traffic.first"),
        Binding("end,G", "last", "Newest row, and follow", show=False, id="traffic.last"),
        Binding("tab", "app.other_side", "Request ⇄ response in the panes", show=False, id="traffic.side"),
        Binding(
            "enter", "open", "Look into the row; edit the answer of a held one", show=False, id="traffic.open"
        ),
        Binding("right,l", "open(True)", "Look into the row", show=False, id="traffic.look"),
    ]
    HELP_TITLE = "Traffic"
    HELP_TEXT = (
        "One row an exchange, in order of arrival. Rows in italics are connections that never sent a request. "
        "The column size counts the bytes of the answer's content as they were sent, "
        "ms runs from the request's first byte to the answer's last; "
        "▲ names the worst that was found in the messages, ✗ an exchange that was cut short, "
        "◆ one that waits for you to answer it, ↺ a request that came again after a crafted answer."
    )

    follow = var(default=True)
    cursor = var(-1)
    """Index of the row the cursor is on, -1 when there is none."""

    class Highlighted(Message):
        """The cursor went to another row, or there is none any more."""

    class Opened(Message):
        """Somebody wants to do with the row what it is for: enter or a double click. `look`: to look into it."""

        def __init__(self, *, look: bool) -> None:
            super().__init__()
            self.look = look

    class FollowChanged(Message):
        """Following the newest row began or ended."""

    def __init__(self, feed: Feed, *, live: bool, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.feed = feed
        self._live = live
        self.selected: int | None = None
        """Key of the row the cursor is on."""
        self._chosen: int | None = None
        """Key of the row a person went to: the cursor comes back to it when a filter hid it in between."""
        self._strips: LRUCache[tuple[int, int, Columns], tuple[Row, Deed | None, Noted | None, Strip]] = (
            LRUCache(STRIPS_KEPT)
        )
        self._painter = Painter()
        self._grown = 0.0
        self._growth_waits = False

    # life

    @property
    def live(self) -> bool:
        """Whether somebody writes this capture now: unfinished rows then count up."""
        return self._live

    @live.setter
    def live(self, live: bool) -> None:
        if live != self._live:
            self._live = live
            self._strips.clear()
            self.refresh()

    def on_mount(self) -> None:
        """Show what is there, and count up the rows that are still open."""
        self._refresh_scrollbars()
        self.grow()
        if self.follow:
            self.action_last()
        self.set_interval(0.5, self._refresh_unfinished)
        self.set_interval(LOOK_SECONDS, self._look)

    def notify_style_update(self) -> None:
        """Forget what was drawn with other colours."""
        super().notify_style_update()
        self._painter.clear()
        self._strips.clear()

    def on_resize(self) -> None:
        """Keep the cursor, or the end, in view."""
        if self.follow:
            newest = self._newest()  # which one that is depends on what is in view
            if not self._live and newest >= 0 and self.feed.key(newest) < 0:
                self._begin_at_an_exchange(newest)
                return
            self._move_to(newest)
            self._scroll_to_end()
        else:
            self._reveal()

    def _begin_at_an_exchange(self, newest: int) -> None:
        """In a file that ends with screenfuls of connections: what was asked matters more than its end."""
        keys = self.feed.shown
        index = next((at for at in range(newest, -1, -1) if keys[at] > 0), newest)
        self.follow = False
        self._choose(index)

    # what the feed found

    def take_in(self, change: Change) -> None:
        """Show what a poll found."""
        if change.cleared or change.reordered:
            self.rebase()
        elif change.appended and (self.follow or self.selected is None):
            self._move_to(self._wanted())
        if change.appended or change.reordered:
            self._grow_soon()
        # Unfinished rows on screen may have moved on.
        self._refresh_unfinished()

    def rebase(self) -> None:
        """Find the cursor's row again after positions moved (a filter, retention, a clear)."""
        self._strips.clear()
        self._move_to(self._wanted())
        self.grow()
        self._reveal()
        self.refresh()

    def _grow_soon(self) -> None:
        waited = time.monotonic() - self._grown
        if waited >= GROWTH_SECONDS:
            self.grow()
        elif not self._growth_waits:
            self._growth_waits = True
            self.set_timer(GROWTH_SECONDS - waited, self.grow)

    def grow(self) -> None:
        """Make the scrollable height fit the rows."""
        self._growth_waits = False
        self._grown = time.monotonic()
        size = Size(0, len(self.feed) + 1)
        if size != self.virtual_size:
            # Assigning it would lay the whole screen out again, for a scrollbar that is always there.
            self.set_reactive(TrafficTable.virtual_size, size)
            self._scroll_update(size)
        if self.follow:
            self._scroll_to_end()
            self.refresh()

    def _scroll_to_end(self) -> None:
        end = max(0, len(self.feed) + 1 - self.size.height)
        if round(self.scroll_y) != end:
            self.scroll_to(y=end, animate=False, force=True)

    def _refresh_unfinished(self) -> None:
        """Draw again the visible rows that could have changed."""
        first = self.scroll_offset.y
        height = self.size.height - 1
        columns = self._columns()
        for line in range(min(height, len(self.feed) - first)):
            key = self.feed.key(first + line)
            shown = self._strips.get((key, self._flags(first + line), columns))
            if shown is None or not is_finished(shown[0]) or shown[1] != self.feed.deed(key):
                self.refresh(Region(0, line + 1, self.size.width, 1))

    def _look(self) -> None:
        """Find out for a moment what is found in the rows on screen, and draw those again where something is."""
        for key in self.feed.look(LOOKING_SECONDS):
            index = self.feed.index_of(key)
            if index is not None:
                self._refresh_row(index)

    # the cursor

    def watch_follow(self, follow: bool) -> None:  # noqa: FBT001 - Textual's signature
        """Stay on this row from now on, or on none; tell whoever shows the state."""
        self._chosen = None if follow else self.selected
        if self.is_mounted:
            self.post_message(self.FollowChanged())

    def _choose(self, index: int) -> None:
        """Go where a person wants to."""
        self._move_to(index)
        self._chosen = self.selected
        self._reveal()

    def _move_to(self, index: int) -> None:
        old = self.cursor
        self.cursor = index
        key = self.feed.key(index) if 0 <= index < len(self.feed) else None
        if index != old:
            for line in (old, index):
                self._refresh_row(line)
        if key != self.selected:
            self.selected = key
            self.post_message(self.Highlighted())

    def _wanted(self) -> int:
        """Index of the row that is followed, or of the chosen one or what stands in its place; -1 without rows."""
        if self.follow:
            return self._newest()
        if self._chosen is None:
            return min(0, len(self.feed) - 1)
        return self.feed.nearest(self._chosen)

    def _newest(self) -> int:
        """Index of the row that is followed: the newest exchange, as long as it is on screen with the end of the list.

        A browser's spare connections come after its request; what was asked matters more.
        """
        last = len(self.feed) - 1
        for index in range(last, max(-1, last - max(1, self.size.height - 2)), -1):
            if self.feed.key(index) > 0:
                return index
        return last

    def _refresh_row(self, index: int) -> None:
        line = index - self.scroll_offset.y + 1
        if index >= 0 and 1 <= line < self.size.height:
            self.refresh(Region(0, line, self.size.width, 1))

    def _reveal(self) -> None:
        height = max(1, self.size.height - 1)
        top = round(self.scroll_y)
        if self.cursor < 0:
            return
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + height:
            self.grow()
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True)

    def select(self, key: int) -> None:
        """Put the cursor on the row with this key, if it is shown, and stop following."""
        index = self.feed.index_of(key)
        if index is not None:
            self.follow = False
            self._choose(index)

    def action_move(self, by: int) -> None:
        """Cursor up or down; going anywhere ends following."""
        count = len(self.feed)
        if not count:
            return
        index = max(0, min(count - 1, self.cursor + by))
        if by < 0 or index != self.cursor:
            self.follow = False
        self._choose(index)

    def action_page(self, by: int) -> None:
        """A screenful up or down."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """The first row; ends following."""
        if len(self.feed):
            self.follow = False
            self._choose(0)

    def action_last(self) -> None:
        """The newest row, and follow it."""
        self.follow = True
        self._move_to(self._newest())
        self.grow()

    def action_toggle_follow(self) -> None:
        """Follow the newest row, or stay."""
        if self.follow:
            self.follow = False
        else:
            self.action_last()

    def action_open(self, look: bool = False) -> None:  # noqa: FBT001, FBT002 - bound to keys
        """Hand the keys to the panes below, or edit the answer of a held row."""
        if self.selected is not None:
            self.post_message(self.Opened(look=look))

    # mouse

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on a row; twice opens it."""
        index = round(self.scroll_y) + event.y - 1
        if event.y < 1 or not 0 <= index < len(self.feed):
            return
        event.stop()
        self.follow = False
        self._choose(index)
        if event.chain == 2:
            self.action_open()

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if self.scroll_y > 0:
            self.follow = False
        super()._on_mouse_scroll_up(event)

    # drawing

    def _flags(self, index: int) -> int:
        if index != self.cursor:
            return 0
        return 2 if self.has_focus else 1

    def _columns(self) -> Columns:
        return columns_for(self.size.width, self.feed.digits, self.feed.shape)

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the titles first, then the rows the scroll position shows."""
        palette = tones(self.app)
        columns = self._columns()
        if y == 0:
            return self._strip(header_cells(columns), palette, 0, columns.total)
        top = self.scroll_offset.y
        index = top + y - 1
        if index >= len(self.feed):
            return self._strip([Cell(" " * columns.total)], palette, 0, columns.total)
        if y == 1:
            self.feed.prefetch(index, index + self.size.height)
        key = self.feed.key(index)
        flags = self._flags(index)
        row = self.feed.get(index)
        if row is None:
            return self._strip(missing_cells(key, columns), palette, flags, columns.total)
        named = self.feed.named(row)
        if self._columns() != columns:
            self.call_later(self.refresh)  # this row has what was in none before
        drawn = self._strips.get((key, flags, columns))
        final = is_finished(row) or not self._live
        deed = self.feed.deed(key)
        noted = self.feed.noted(key) if final else None
        if drawn is not None and drawn[0] is row and drawn[1:3] == (deed, noted) and final:
            return drawn[3]
        now = time.time_ns() if self._live else None
        strip = self._strip(row_cells(named, columns, now, deed, noted), palette, flags, columns.total)
        self._strips[key, flags, columns] = (row, deed, noted, strip)
        return strip

    def _strip(self, row: list[Cell], palette: Tones, flags: int, width: int) -> Strip:
        ground = ("table", "cursor", "cursor_focus")[flags]
        if not flags:
            return self._painter.strip(row, palette, ground, width)
        marked = [Cell("▌", "brand", bold=True)]
        for at, cell in enumerate(row):
            text = cell.text[1:] if at == 0 and cell.text[:1] == " " else cell.text
            marked.append(cell._replace(text=text, tone="text" if cell.tone == "muted" else cell.tone))
        return self._painter.strip(marked, palette, ground, width)
