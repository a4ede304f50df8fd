"""Pane 4: the whole message as a hexdump, read by pages, so that its size doesn't matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from inspectd import explain
from inspectd.text.safe import clip, safe
from inspectd.tui.widgets.panes.document import ROLE_STYLES, span_index
from inspectd.tui.widgets.panes.hexrows import HexRows
from inspectd.tui.widgets.panes.pane import NOTHING_SELECTED, Pane, nothing_yet, sentence_page
from inspectd.tui.widgets.panes.prose import Line, Page
from inspectd.tui.widgets.panes.times import count
from inspectd.tui.widgets.wireview import LineView, Run
from inspectd.wire.span import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from inspectd.tui.subject import Side, SideBytes, Subject
    from inspectd.wire import Span


class HexView(LineView):
    """A hexdump with a cursor on one byte."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "byte(-1)", "the byte before", show=False, id="byte.left"),
        Binding("right", "byte(1)", "the next byte", show=False, id="byte.right"),
        Binding("up", "row(-1)", "the row above", show=False, id="row.up"),
        Binding("down", "row(1)", "the row below", show=False, id="row.down"),
        Binding("pageup", "page(-1)", "a screenful up", show=False, id="page.up"),
        Binding("pagedown", "page(1)", "a screenful down", show=False, id="page.down"),
        Binding("home", "edge(0)", "first byte", show=False, id="byte.first"),
        Binding("end", "edge(-1)", "last byte", show=False, id="byte.last"),
        Binding("n", "token(1)", "next token", show=False, id="token.next"),
        Binding("p", "token(-1)", "token before", show=False, id="token.before"),
    ]

    class Moved(Message):
        """The cursor stands on a byte."""

    def __init__(self) -> None:
        super().__init__(id="dump")
        self.offset_shown = 0
        self.total = 0
        self.spans: Sequence[Span] = ()

    def put(self, offset: int, *, scroll: bool = True) -> None:
        """Put the cursor on a byte."""
        if not self.total:
            return
        self.offset_shown = min(max(offset, 0), self.total - 1)
        self.select(self.offset_shown, self.offset_shown + 1, scroll=scroll)
        self.post_message(self.Moved())

    def span_at(self, offset: int) -> int:
        """The index of the span that holds a byte; -1 where no spans were read."""
        return span_index(self.spans, offset)

    def _per_row(self) -> int:
        return self.source.per_row(self.row_width) if isinstance(self.source, HexRows) else 16

    def action_byte(self, step: int) -> None:
        """A byte on or back."""
        self.put(self.offset_shown + step)

    def action_row(self, step: int) -> None:
        """A row on or back."""
        target = self.offset_shown + step * self._per_row()
        if 0 <= target < self.total:
            self.put(target)

    def action_page(self, step: int) -> None:
        """A screenful on or back."""
        self.put(self.offset_shown + step * self._per_row() * max(1, self.size.height - 1))

    def action_edge(self, where: int) -> None:
        """To the first byte or the last."""
        self.put(0 if where == 0 else self.total - 1)

    def action_token(self, step: int) -> None:
        """To the first byte of the next token, or of the one before."""
        at = self.span_at(self.offset_shown)
        if at >= 0 and 0 <= at + step < len(self.spans):
            self.put(self.spans[at + step].start)

    def on_line_view_picked(self, event: LineView.Picked) -> None:
        """A click puts the cursor on the byte."""
        event.stop()
        if event.offset >= 0:
            self.put(event.offset)


class Hex(Pane):
    """The dump, and a line that names what the cursor is on."""

    title = "Hex"
    sided = True

    DEFAULT_CSS = """
    Hex { layout: vertical; }
    Hex #dump { padding: 0 1; }
    Hex #under { height: 1; padding: 0 1; background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._bytes: SideBytes | None = None

    def compose(self) -> ComposeResult:
        """The dump and the line below it."""
        yield HexView()
        under = LineView(id="under")
        under.can_focus = False
        yield under

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Show the whole message."""
        view, under = self.query_one(HexView), self.query_one("#under", LineView)
        same = self._shows(subject, side)
        self._subject, self._side = subject, side
        bytes_ = self._bytes = subject.side(side) if subject is not None else None
        if subject is None or bytes_ is None or not bytes_.prefix:
            text = nothing_yet(subject, side) if subject is not None else NOTHING_SELECTED
            view.total, view.spans, self._bytes = 0, (), None
            view.show(sentence_page(text))
            under.show(Page([]))
            return
        spans = view.spans = bytes_.stream.spans
        view.total = bytes_.total
        styles = [ROLE_STYLES[span.role] for span in spans]

        def style_of(offset: int) -> str:
            at = view.span_at(offset)
            return styles[at] if at >= 0 else "plain"

        view.show(HexRows(bytes_.read, bytes_.total, style_of=style_of), keep_scroll=same)
        view.put(view.offset_shown if same else 0, scroll=not same)

    def on_hex_view_moved(self, event: HexView.Moved) -> None:
        """Name the byte under the cursor."""
        event.stop()
        view = self.query_one(HexView)
        if self._bytes is None:
            return
        offset = view.offset_shown
        byte = view.source.byte(offset, 1) if isinstance(view.source, HexRows) else b""
        runs = [Run(f"{offset:04x} ", "strong"), Run(f"{offset:,} of {view.total:,}", "dim")]
        if byte:
            runs.append(
                Run(
                    f"  {byte[0]:#04x} {byte[0]} {byte[0]:08b} {safe(byte) if byte[0] < 128 else ''}", "plain"
                )
            )
        at = view.span_at(offset)
        if at >= 0:
            runs += self._token_runs(view.spans, at)
        elif byte:
            runs.append(Run("  beyond what was parsed", "dim"))
        else:
            runs.append(Run(f"  {safe(self._bytes.lost)}", "warning"))
        self.query_one("#under", LineView).show(Page([Line(*runs)]))

    def _token_runs(self, spans: Sequence[Span], at: int) -> list[Run]:
        start, end, role = spans[at]
        runs = [Run(f"  {role.value}", "heading"), Run(f" {count(end - start, 'byte')}", "dim")]
        if self._bytes is not None and at < len(self._bytes.tls_pieces):
            named = explain.tls.piece(self._bytes.tls_pieces[at], self._bytes.prefix).title
            return [*runs, Run(f"  {clip(safe(named), 200)}", ROLE_STYLES[role])]
        if self._bytes is not None and role not in (Role.CRLF, Role.SP, Role.OWS, Role.LF, Role.EMPTY_LINE):
            shown = safe(self._bytes.prefix[start : min(end, start + 200)])
            runs.append(Run(f"  {clip(shown, 200)}", ROLE_STYLES[role]))
        return runs

    def selected_value(self) -> tuple[str, bytes] | None:
        """The token that the cursor's byte belongs to."""
        view = self.query_one(HexView)
        if self._bytes is None:
            return None
        at = view.span_at(view.offset_shown)
        if at < 0:
            return "byte", self._bytes.read(view.offset_shown, 1)
        start, end, role = view.spans[at]
        return role.value, self._bytes.prefix[start:end]
