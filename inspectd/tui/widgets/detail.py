"""The lower half of the screen: one exchange or connection, looked at in one of several panes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from inspectd.tui.theme import tones
from inspectd.tui.widgets.panes.anatomy import Anatomy
from inspectd.tui.widgets.panes.body import Body
from inspectd.tui.widgets.panes.connection import Connection
from inspectd.tui.widgets.panes.findings import Findings
from inspectd.tui.widgets.panes.headers import Headers
from inspectd.tui.widgets.panes.hexadecimal import Hex
from inspectd.tui.widgets.panes.messages import Messages
from inspectd.tui.widgets.panes.response import Response
from inspectd.tui.widgets.panes.timing import Timing

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from inspectd.tui.subject import Side, Subject
    from inspectd.tui.widgets.panes.pane import Pane

PANES: Final[tuple[type[Pane], ...]] = (
    Anatomy, Headers, Body, Hex, Response, Timing, Connection, Messages, Findings,
)  # fmt: skip

_LONGEST_SIDE: Final = len("response ⇄")


class Tabs(Widget):
    """The row of pane names, and which side is shown. Drawn by itself: one line, clickable."""

    DEFAULT_CSS = """
    Tabs { height: 1; width: 1fr; background: $panel; }
    """

    class Chosen(Message):
        """A pane's number from 0, or -1 for the other side."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self) -> None:
        super().__init__()
        self.current = 0
        self.side: Side = "request"
        self._places: list[tuple[int, int, int]] = []

    def update(self, current: int, side: Side) -> None:
        """Show another choice."""
        self.current, self.side = current, side
        self.refresh()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        """The row."""
        palette, base, width = tones(self.app), self.rich_style, self.size.width
        plain, strong = base + palette.style("muted"), base + palette.style("strong", bold=True)
        current = base + palette.style("brand", bold=True, underline=True)
        names = [pane.title for pane in PANES]
        tight = sum(len(name) + 4 for name in names) + 28 > width
        if tight and sum(len(name) + 3 for name in names) + _LONGEST_SIDE > width:
            names = [pane.short or pane.title for pane in PANES]
        self._places = []
        segments, at = [Segment("" if tight else " ", plain)], 0 if tight else 1
        for number, name in enumerate(names):
            chosen = number == self.current
            left = at
            for text, style in (
                (f"{number + 1} ", strong if chosen else plain),
                (name, current if chosen else plain),
                (" " if tight else "  ", plain),
            ):
                segments.append(Segment(text, style))
                at += len(text)
            self._places.append((left, at, number))
        if PANES[self.current].sided:
            other = "response" if self.side == "request" else "request"
            side = [(self.side, strong), (" ⇄" if tight else f"  ⇄ {other} (tab) ", plain)]
            size = sum(len(text) for text, _ in side)
            if at + size <= width:
                segments.append(Segment(" " * (width - at - size), plain))
                segments.extend(Segment(text, style) for text, style in side)
                self._places.append((width - size, width, -1))
        return Strip(segments).adjust_cell_length(width, base + Style())

    def on_click(self, event: events.Click) -> None:
        """Choose what is under the pointer."""
        for left, right, number in self._places:
            if left <= event.x < right:
                self.post_message(self.Chosen(number))


class Detail(Widget):
    """Tabs and the current pane. Number keys choose a pane, tab the other direction of the exchange."""

    DEFAULT_CSS = """
    Detail { layout: vertical; height: 1fr; width: 1fr; background: $background; }
    Detail > Container { height: 1fr; }
    Detail Pane { display: none; }
    Detail Pane.-current { display: block; }
    """

    HELP_TITLE = "All panes"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"pane({number})", pane.title, show=False, id=f"pane.{pane.title.lower()}")
            for number, pane in enumerate(PANES, 1)
        ),
        Binding("tab", "switch_side", "request ⇄ response", show=False, id="pane.side"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._panes = tuple(pane() for pane in PANES)
        self._current = 0
        self._side: Side = "request"
        self._subject: Subject | None = None
        self._stale: set[int] = set(range(len(PANES)))

    def compose(self) -> ComposeResult:
        """Tabs above, panes below; one is displayed."""
        self._panes[self._current].add_class("-current")
        yield Tabs()
        yield Container(*self._panes)

    def on_mount(self) -> None:
        """Draw what was shown before there was a screen."""
        self.call_after_refresh(self._update)

    # what is shown

    @property
    def subject(self) -> Subject | None:
        """What is shown."""
        return self._subject

    @property
    def side(self) -> Side:
        """Which direction is shown by the panes that show one."""
        return self._side

    @property
    def pane(self) -> Pane:
        """The pane on screen."""
        return self._panes[self._current]

    def show(self, subject: Subject | None) -> None:
        """Show another subject, or the same one with more bytes; only the pane on screen looks at it now."""
        self._subject = subject
        self._stale = set(range(len(PANES)))
        self._update()

    def open_pane(self, number: int) -> None:
        """Bring the pane with this number, from 1, on screen and give it the keys if this view had them."""
        number -= 1
        if not 0 <= number < len(PANES) or number == self._current:
            return
        had_focus = self.has_focus_within
        self.pane.remove_class("-current")
        self._current = number
        self.pane.add_class("-current")
        self._update()
        if had_focus:
            self.focus_pane()

    def switch_side(self) -> None:
        """Show the other direction, unless the pane on screen shows both."""
        if self.pane.sided:
            self._turn_to("response" if self._side == "request" else "request")

    def _turn_to(self, side: Side) -> None:
        self._side = side
        self._stale |= {number for number, pane in enumerate(PANES) if pane.sided}
        self._update()

    def focus_pane(self) -> None:
        """Give the keys to the pane on screen."""
        self.pane.main_view.focus()

    def selected_value(self) -> tuple[str, bytes] | None:
        """What the cursor of the pane is on, for copying: a name and the exact bytes; None when on nothing."""
        return self.pane.selected_value()

    def _update(self) -> None:
        if not self.is_mounted or not self.pane.is_mounted:
            return
        self.query_one(Tabs).update(self._current, self._side)
        if self._current in self._stale:
            self._stale.discard(self._current)
            self.pane.show(self._subject, side=self._side)

    # keys and clicks

    def action_pane(self, number: int) -> None:
        """A number key."""
        self.open_pane(number)

    def action_switch_side(self) -> None:
        """The tab key; on a pane without sides it moves the focus as everywhere else."""
        if self.pane.sided:
            self.switch_side()
        else:
            self.screen.focus_next()

    def on_findings_chosen(self, event: Findings.Chosen) -> None:
        """The bytes of a finding, in Anatomy."""
        event.stop()
        if self._side != event.side:
            self._turn_to(event.side)
        self.open_pane(1)
        if isinstance(self.pane, Anatomy):
            self.pane.tokens.place_at(event.offset)
        self.focus_pane()

    def on_tabs_chosen(self, event: Tabs.Chosen) -> None:
        """A click on the row of tabs."""
        event.stop()
        if event.number < 0:
            self.switch_side()
        else:
            self.open_pane(event.number + 1)
        self.focus_pane()
