"""The screen itself: header, list, filter and panes, kept in step with a capture and with the engine that writes it.

It reads the capture and asks the engine over the control API; nothing it does, and no way it can fail, touches the data
path. Slow things (searching, asking the engine) happen in worker threads. What is done about the traffic (answers,
holds, copies) is in `app`.
"""

from __future__ import annotations

import gc
import os
import select
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import NoColor
from textual.message import Message

from inspectd.capture.reader import Capture
from inspectd.errors import InspectdError
from inspectd.text.safe import safe
from inspectd.tui.feed import Feed, is_finished
from inspectd.tui.holding import HELD_FEW, Holding
from inspectd.tui.net import TerminalNet
from inspectd.tui.odd import RESTING_SECONDS, OddRows
from inspectd.tui.subject import Subject
from inspectd.tui.theme import DARK, DARK_NAME, THEMES, tone_variables
from inspectd.tui.widgets.bars import (
    DETAIL_HINTS,
    FILTER_HINTS,
    HELD_DETAIL_HINTS,
    HELD_HINTS,
    TABLE_HINTS,
    FooterHints,
    HeaderBar,
    Situation,
    TroubleBar,
    of_a_file,
)
from inspectd.tui.widgets.detail import PANES, Detail
from inspectd.tui.widgets.empty import EmptyState
from inspectd.tui.widgets.filterbar import FilterBar, FilterInput
from inspectd.tui.widgets.traffic import TrafficTable

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.filter import LineFilter
    from textual.notifications import SeverityLevel
    from textual.timer import Timer

    from inspectd.tui.engine_link import EngineLink, EngineNews
    from inspectd.tui.widgets.bars import Hint

SAID_SECONDS: Final = 3.0
"""How long a note stays on screen,"""
WARNED_SECONDS: Final = 6.0
"""and one of something that went wrong."""
POLL_SECONDS: Final = 1 / 25
ENGINE_SECONDS: Final = 1.0
"""How often the engine is asked how it is."""
HELD_SECONDS: Final = 0.25
"""The same while a few requests wait for a person."""
TERMINAL_SECONDS: Final = 1.0
"""How often it is asked whether the terminal is still there."""
HUNG_UP: Final = 129
"""The exit status then: what a shell says of a process that SIGHUP ended."""
TROUBLE_SECONDS: Final = 2.0
"""How long the capture is left alone when it could not be read."""
COUNT_SECONDS: Final = 0.1
"""How often the counts are drawn while rows arrive."""
SETTLE_SECONDS: Final = 0.04
"""How long the cursor rests on a row before the panes show it: a held arrow key must not load every row."""
FOLLOW_SECONDS: Final = 0.25
"""The same while the cursor follows the newest row by itself."""


class Shell(App[int]):
    """The screen of DESIGN: header, traffic, filter, panes, hints."""

    TITLE = "inspectd"
    CSS_PATH = "inspectd.tcss"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] = [(0, "-tiny"), (16, "-short"), (32, "-tall")]  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help for where you are", show=False, id="help"),
        Binding("slash", "filter", "Filter by words", show=False, id="filter"),
        Binding("f", "follow", "Follow the newest row, or stay", show=False, id="follow"),
        Binding("s", "answer", "Change the answer", show=False, id="answer"),
        Binding("h", "hold", "Hold the next request; again: all; again: none", show=False, id="hold"),
        Binding("e", "edit_answer", "Edit the answer of a held request", show=False, id="edit"),
        Binding("r", "release", "Send a held request its normal answer", show=False, id="release"),
        Binding(
            "d", "drop", "Close a held request's connection without an answer: FIN", show=False, id="drop"
        ),
        Binding("t", "reset", "Abort a held request's connection: RST", show=False, id="reset"),
        Binding("R", "rules", "The rules in use", show=False, id="rules"),
        Binding("y", "copy", "Copy…", show=False, id="copy"),
        Binding("c", "clear_capture", "Clear the capture", show=False, id="clear"),
        Binding("z", "zoom", "Zoom: panes, list, both", show=False, id="zoom"),
        Binding("escape", "step_back", "Back to the list; clear the filter", show=False, id="back"),
        *(
            Binding(str(number), f"pane({number})", f"Pane {number}", show=False)
            for number in range(1, len(PANES) + 1)
        ),
        Binding("q", "leave", "Quit", show=False, id="quit"),
        Binding(
            "ctrl+c",
            "interrupt",
            "Quit; copy, where text is edited",
            show=False,
            priority=True,
            id="interrupt",
        ),
    ]

    class EngineSays(Message):
        """News of the engine, from the thread that watches it."""

        def __init__(self, news: EngineNews, octets: int) -> None:
            super().__init__()
            self.news = news
            self.octets = octets

    def __init__(self, capture: Capture, link: EngineLink) -> None:
        super().__init__(watch_css=False)
        for theme in THEMES:
            self.register_theme(theme)
        self._net = TerminalNet()
        self._no_color_filter = NoColor() if self.no_color else None
        self.capture = capture
        self.link = link
        self.feed = Feed(capture)
        self.holding = Holding(self)
        self.answer_history: list[str] = []
        self._over = threading.Event()
        self._asking = threading.Lock()
        self._ask_waits = False
        self._octets = self._odd = 0
        self._subject_timer: Timer | None = None
        self._subject_shown = 0.0
        self._told_gone = False
        self._told_problem = ""
        self._poll_from = 0.0
        self._counted = 0.0
        self._count_timer: Timer | None = None
        self._meta = capture.meta()
        self._listening: tuple[str, ...] = tuple(
            row.address for row in capture.listeners() if row.closed_ns is None
        )
        self.theme = DARK_NAME

    # building

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The net comes last; NO_COLOR takes all colours, not only the hues."""
        if self._no_color_filter is not None:
            return [self._net, self._no_color_filter]
        return [*super().get_line_filters(), self._net]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The tones, also for a theme that doesn't know them."""
        return tone_variables(DARK)

    def compose(self) -> ComposeResult:
        """Header, list, filter, panes, hints."""
        yield HeaderBar(id="header")
        yield TroubleBar(id="trouble")
        yield EmptyState(id="empty")
        yield TrafficTable(self.feed, live=self.link.socket is not None, id="traffic")
        yield FilterBar(self.feed, self.capture.path, id="filter")
        yield Detail(id="detail")
        yield FooterHints(id="hints")

    def on_mount(self) -> None:
        """Show what is there, then begin to follow."""
        self._show_emptiness()
        self._show_situation()
        self.table.focus()
        self.set_interval(POLL_SECONDS, self._poll)
        if os.isatty(0):
            self.set_interval(TERMINAL_SECONDS, self._leave_a_dead_terminal)
        self.call_after_refresh(self._after_first_paint)

    def _after_first_paint(self) -> None:
        # What lives as long as the app need not be looked through again for garbage: a full collection costs 30 ms.
        gc.freeze()
        gc.enable()
        if self.feed.assumed_upto:
            self._read_ids()
        self._count_odd()
        if self.link.socket is not None:
            self._watch_engine()
        else:
            self._octets = _file_size(self.capture.path)
            self._show_situation()

    @work(thread=True, exclusive=True, group="odd")
    def _count_odd(self) -> None:
        """Count the rows that are marked, as long as the screen is there: in a large capture that takes a while."""
        with suppress(InspectdError), Capture.open(self.capture.path) as capture:
            odd = OddRows(capture)
            while not self._over.is_set():
                if capture.changed():
                    while odd.more() and not self._over.wait(RESTING_SECONDS):
                        self.call_later(self._take_odd, odd.count)
                    odd.again()
                    self.call_later(self._take_odd, odd.count)
                self._over.wait(ENGINE_SECONDS)

    def _take_odd(self, count: int) -> None:
        if count != self._odd:
            self._odd = count
            self._show_situation()

    @work(thread=True, exclusive=True, group="ids")
    def _read_ids(self) -> None:
        try:
            with Capture.open(self.capture.path) as capture:
                ids = capture.exchange_ids(0)
        except InspectdError as problem:
            self.call_later(self.say, problem.what, problem.mend, severity="error")
        else:
            self.call_later(self._settle, ids)

    def _settle(self, ids: array[int]) -> None:
        if self.feed.settle(ids):
            self.table.rebase()

    def on_unmount(self) -> None:
        """Let the watching thread end."""
        self._over.set()
        self.link.close()

    @property
    def table(self) -> TrafficTable:
        """The list."""
        return self.screen_stack[0].query_one("#traffic", TrafficTable)

    @property
    def detail(self) -> Detail:
        """The panes."""
        return self.screen_stack[0].query_one("#detail", Detail)

    @property
    def filter_bar(self) -> FilterBar:
        """The filter."""
        return self.screen_stack[0].query_one("#filter", FilterBar)

    def _leave_a_dead_terminal(self) -> None:
        """A terminal can go away without a SIGHUP to this process; nobody would ever press q again."""
        poll = select.poll()
        poll.register(0, 0)
        if any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0)):
            self.exit(return_code=HUNG_UP)

    # following the capture

    def _poll(self) -> None:
        if time.monotonic() < self._poll_from:
            return
        try:
            change = self.feed.poll()
        except InspectdError as problem:
            self.feed.problem = problem
            change = None
        if self.feed.problem is not None:
            self._say_problem(self.feed.problem)
            self.feed.problem = None
        if change is None:
            return
        if change.cleared:
            self.filter_bar.again()
        self.table.take_in(change)
        self.holding.look()
        now = time.monotonic()
        if now - self._counted > COUNT_SECONDS or change.reordered:
            self._counted = now
            self._show_counts()
        elif self._count_timer is None:
            self._count_timer = self.set_timer(COUNT_SECONDS, self._show_counts)
        # What the panes show decides, not what the list knows: they were drawn before the row was finished.
        subject = self.detail.subject
        shown = None if subject is None else subject.row or subject.connection
        if shown is not None and not is_finished(shown):
            self._show_subject_soon(FOLLOW_SECONDS)

    def _say_problem(self, problem: InspectdError) -> None:
        """The capture can't be read: say it once, and try again more slowly."""
        self._poll_from = time.monotonic() + TROUBLE_SECONDS
        if problem.what != self._told_problem:
            self._told_problem = problem.what
            self.say(problem.what, problem.mend, severity="error")

    def _show_counts(self) -> None:
        self._count_timer = None
        self._show_emptiness()
        self._show_situation()
        self.filter_bar.tell()

    def _show_emptiness(self) -> None:
        empty = not self.feed.all
        self.screen_stack[0].set_class(empty, "-empty")
        if empty:
            news = self.link.news
            proxy = news.status is not None and news.status.mode == "proxy"
            self.screen_stack[0].query_one(EmptyState).show(self._addresses(), news.state, proxy=proxy)

    def _addresses(self) -> tuple[str, ...]:
        status = self.link.news.status
        return tuple(status.addresses) if status is not None else self._listening

    # the panes

    def on_traffic_table_highlighted(self, _message: TrafficTable.Highlighted) -> None:
        """Show the row in the panes, once the cursor rests."""
        self._show_subject_soon(FOLLOW_SECONDS if self.table.follow else SETTLE_SECONDS)

    def _show_subject_soon(self, rest: float) -> None:
        if self._subject_timer is not None:
            if self.table.follow:
                return
            self._subject_timer.stop()
        waited = time.monotonic() - self._subject_shown
        self._subject_timer = self.set_timer(SETTLE_SECONDS if waited > rest else rest, self._show_subject)

    def _show_subject(self) -> None:
        self._subject_timer = None
        self._subject_shown = time.monotonic()
        key = self.table.selected
        try:
            subject = None if key is None else Subject.load(self.capture, key)
        except InspectdError as problem:
            self._say_problem(problem)
            return
        if subject is not None:
            subject.live = self.table.live
        self.detail.show(subject)
        self.show_hints()

    def on_traffic_table_opened(self, message: TrafficTable.Opened) -> None:
        """The keys go to the panes, or to the answer of a held request."""
        if not message.look and self.holding.now.get(self.table.selected) is not None:
            self.run_worker(self.run_action("edit_answer"))
            return
        self.action_look_inside()

    def on_traffic_table_follow_changed(self) -> None:
        """The footer says whether the list follows."""
        self.show_hints()

    def on_descendant_focus(self) -> None:
        """Other keys do something now."""
        self.show_hints()

    def show_hints(self) -> None:
        """Say which keys do something where the keys go now."""
        focused = self.screen_stack[0].focused
        held = self.holding.now.get(self.table.selected) is not None
        hints: Sequence[Hint]
        if isinstance(focused, FilterInput):
            hints = FILTER_HINTS
        elif focused is not None and self.detail in focused.ancestors_with_self:
            hints = HELD_DETAIL_HINTS if held else DETAIL_HINTS
        elif held:
            hints = HELD_HINTS
        else:
            hints = TABLE_HINTS
        if self.link.news.state == "file":
            hints = of_a_file(hints)
        self.filter_bar.tell()
        self.screen_stack[0].query_one(FooterHints).show(hints, following=self.table.follow)

    # the engine

    @work(thread=True, exclusive=True, group="engine")
    def _watch_engine(self) -> None:
        while not self._over.is_set():
            news = self.link.refresh()
            self.post_message(self.EngineSays(news, _file_size(self.capture.path)))
            # A client that gives up while it is held leaves no trace in the capture yet.
            few = 0 < len(news.holds.held) <= HELD_FEW
            self._over.wait(HELD_SECONDS if few else ENGINE_SECONDS)

    def on_shell_engine_says(self, message: EngineSays) -> None:
        """Show how the engine is; say once that it is gone."""
        self._octets = message.octets
        news = self.link.news  # never older than what the message says
        gone = news.state == "gone"
        if gone and not self._told_gone:
            self.say(
                f"The engine is gone: {news.why}",
                "Everything it recorded is still here. Clients get no answer until inspectd is started again.",
                severity="error",
            )
            self._show_subject_soon(SETTLE_SECONDS)
        self._told_gone = gone
        self.table.live = not gone
        self.holding.take(news.holds)
        wrong = "" if gone or news.status is None else news.status.rules_error or ""
        self.screen_stack[0].query_one(TroubleBar).tell(wrong)
        self._show_emptiness()
        self._show_situation()

    def _show_situation(self) -> None:
        news = self.link.news
        status = news.status
        self.screen_stack[0].query_one(HeaderBar).show(
            Situation(
                engine=news.state,
                why=news.why,
                addresses=self._addresses(),
                status_line=None if status is None else status.answer.status_line,
                answer="" if status is None else status.answer.description,
                exchanges=len(self.feed.all) - self.feed.connection_rows,
                open=0 if status is None else status.connections_open,
                odd=self._odd,
                capture=self.capture.path.name,
                octets=self._octets,
                problem="" if status is None else status.capture_error or "",
                holding=self.holding.now.words,
                otherwise="" if status is None else status.answer.otherwise or "",
                rules_wrong=status is not None and bool(status.rules_error),
                mode="" if status is None or status.mode == "answer" else status.mode,
                server="" if status is None else status.server or "",
                passes=status is not None and status.answer.passes,
                insecure=status is not None and status.insecure,
                unrecorded=0 if status is None else status.unrecorded,
            )
        )

    def hold_next(self, count: int | None) -> None:
        """Hold the next `count` requests, None for all: `app` does it."""
        raise NotImplementedError

    def engine_changed(self) -> None:
        """Ask the engine at once instead of at its next turn; once for all that changes before it is asked."""
        if not self._ask_waits:
            self._ask_waits = True
            self._ask_once()

    @work(thread=True, group="ask")
    def _ask_once(self) -> None:
        with self._asking:
            self._ask_waits = False
            self.link.refresh()
        self.post_message(self.EngineSays(self.link.news, self._octets))

    # the filter

    def action_filter(self) -> None:
        """Type words; the last ones are there again."""
        self.screen_stack[0].add_class("-filter")
        self.filter_bar.open()

    def action_filter_findings(self) -> None:
        """The rows in whose messages a warning or an error was found."""
        self.action_filter()
        self.filter_bar.input.value = "severity >= warning"

    def action_clear_filter(self) -> None:
        """Show every row again."""
        self.filter_bar.clear()

    def on_filter_bar_rows_changed(self) -> None:
        """Other rows are let through."""
        self.table.rebase()

    def on_filter_bar_left(self, message: FilterBar.Left) -> None:
        """Somebody is done typing: the list has the keys again."""
        self.screen_stack[0].set_class(message.kept, "-filter")
        self.table.focus()

    # actions

    def say(self, what: str, more: str = "", *, severity: SeverityLevel = "information") -> None:
        """A note in the corner. Text, never markup; what is safe already stays as it is."""
        self.notify(
            safe(f"{what}\n{more}" if more else what, newline=True, doubling=False),
            severity=severity,
            markup=False,
            timeout=SAID_SECONDS if severity == "information" else WARNED_SECONDS,
        )

    def action_follow(self) -> None:
        """Follow the newest row, or stay where you are."""
        self.table.action_toggle_follow()

    def action_look_inside(self) -> None:
        """Hand the keys to the panes."""
        if self.table.selected is None:
            return
        self.screen_stack[0].remove_class("-zoom-list")
        if self.screen_stack[0].has_class("-tiny"):
            self.screen_stack[0].add_class("-zoom-detail")
        self.call_after_refresh(self.detail.focus_pane)

    def action_pane(self, number: int) -> None:
        """Another pane, while the list keeps the keys."""
        self.screen_stack[0].remove_class("-zoom-list")
        self.detail.open_pane(number)

    def action_other_side(self) -> None:
        """The other direction of the exchange in the panes."""
        self.detail.switch_side()

    def action_step_back(self) -> None:
        """From the panes to the list; from the list: drop the zoom, then the filter."""
        screen = self.screen_stack[0]
        if self.table.has_focus:
            if screen.has_class("-zoom-list", "-zoom-detail"):
                screen.remove_class("-zoom-list", "-zoom-detail")
            elif self.feed.filtered or screen.has_class("-filter"):
                self.action_clear_filter()
            elif not screen.query_one(TroubleBar).dismiss():
                self.holding.stop()
            return
        if screen.has_class("-zoom-detail"):
            screen.remove_class("-zoom-detail")
        self.table.focus()

    def action_zoom(self) -> None:
        """The panes over the whole screen, then the list, then both again."""
        screen = self.screen_stack[0]
        if screen.has_class("-zoom-detail"):
            screen.remove_class("-zoom-detail")
            screen.add_class("-zoom-list")
            self.table.focus()
        elif screen.has_class("-zoom-list"):
            screen.remove_class("-zoom-list")
        else:
            screen.add_class("-zoom-detail")
            self.call_after_refresh(self.detail.focus_pane)


def _file_size(path: Path) -> int:
    """Bytes of the capture, its write-ahead log included."""
    total = 0
    for name in (path, path.with_name(path.name + "-wal")):
        try:
            total += os.stat(name).st_size  # noqa: PTH116 - Path.stat costs twice as much, every second
        except OSError:
            continue
    return total
