"""The answer of a held request, in the hands of a person: every byte of it can be edited before it is sent.

The request stands beside it (above it where there is no room). Leaving the screen decides nothing: the exchange stays
held, and what was written is there again. Nothing is repaired: `fix length` is a key, never a habit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from inspectd.errors import InspectdError
from inspectd.text.safe import safe
from inspectd.tui.editing import editable, fix_length
from inspectd.tui.holding import SETTLED_SECONDS
from inspectd.tui.subject import Subject
from inspectd.tui.theme import tones
from inspectd.tui.widgets.bars import Bar, FooterHints, Hint
from inspectd.tui.widgets.byteseditor import MOST_WRITTEN, BytesEditor
from inspectd.tui.widgets.columns import whole_seconds
from inspectd.tui.widgets.paint import Cell
from inspectd.tui.widgets.panes.document import Document
from inspectd.tui.widgets.panes.times import count
from inspectd.tui.widgets.wireview import LineView
from inspectd.wire import spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events
    from textual.app import ComposeResult

    from inspectd.tui.app import InspectdApp
    from inspectd.tui.held import Waiting
    from inspectd.tui.screens.pick import Picked

WIDE: Final = 100
SECOND: Final = 1_000_000_000

TYPING_HINTS: Final = (
    Hint("^s", "send this", "screen.send", 0),
    Hint("^l", "fix length", "screen.fix_length", 1),
    Hint("^n", "next finding", "screen.next_finding", 3),
    Hint("^o", "other answers…", "screen.pick", 2),
    Hint("esc", "drop, reset, leave…", "screen.choose", 0),
    Hint("^z", "undo", "screen.undo", 5),
    Hint("\\n \\r \\x00", "bytes", "app.help", 4),
)
DECIDING_HINTS: Final = (
    Hint("s", "send this", "screen.send", 0),
    Hint("r", "normal answer", "screen.release", 1),
    Hint("d", "drop (FIN)", "screen.drop", 1),
    Hint("t", "reset (RST)", "screen.reset", 1),
    Hint("e", "edit on", "screen.edit", 2),
    Hint("esc", "leave it held", "screen.leave", 0),
    Hint("l", "fix length", "screen.fix_length", 3),
    Hint("o", "other answers…", "screen.pick", 3),
    Hint("y", "copy the text", "screen.copy", 2),
)


class AnswerEditor(BytesEditor):
    """The bytes of the answer."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "screen.send", "Send these bytes", show=False, id="respond.send"),
        Binding("ctrl+l", "screen.fix_length", "Set Content-Length to what the content has", show=False),
        Binding("ctrl+n", "next_finding", "Next finding", show=False),
        Binding("ctrl+o", "screen.pick", "Start from another answer, or send a rule's", show=False),
        Binding("escape", "screen.choose", "Drop, reset, leave it held…", show=False),
    ]


class DecidingHints(FooterHints, can_focus=True):
    """The keys. With the focus the letters decide; while somebody types it only shows what can be done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "screen.send", "Send these bytes", show=False),
        Binding("r", "screen.release", "Send the normal answer", show=False),
        Binding("d", "screen.drop", "Close the connection without a byte: FIN", show=False),
        Binding("t", "screen.reset", "Abort the connection: RST", show=False),
        Binding("e,enter,up", "screen.edit", "Edit on", show=False),
        Binding("l", "screen.fix_length", "Set Content-Length to what the content has", show=False),
        Binding("o", "screen.pick", "Start from another answer, or send a rule's", show=False),
        Binding("y", "screen.copy", "Copy the text", show=False),
        Binding("escape,q", "screen.leave", "Leave it held", show=False),
    ]
    HELP_TITLE = "Deciding"


class RespondBar(Bar):
    """What waits, how long already and how long still, and whether anybody waits for it."""

    def __init__(self, waiting: Waiting) -> None:
        super().__init__()
        self.waiting = waiting
        self.over = ""
        """Why nothing can be decided any more."""

    def line(self, width: int) -> list[Cell]:  # noqa: ARG002 - it is cut where it is too long
        """The line."""
        waiting = self.waiting
        out = [
            Cell("  ◆ ", "odd", bold=True),
            Cell(waiting.name, "target", bold=True),
        ]
        if self.over:
            return [*out, Cell(f"   {self.over}", "warn", bold=True)]
        waited = waiting.waited(time.time_ns())
        if waiting.client_gone:
            out.append(Cell("   ✗ the client closed its side: most have given up by then", "bad", bold=True))
            return out
        left = max(0, round(waiting.timeout * SECOND) - waited)
        out.append(Cell(f"   held {whole_seconds(waited)}", "odd", bold=True))
        out.append(Cell(f"   the normal answer goes by itself in {whole_seconds(left)}", "muted"))
        return out


class RespondScreen(Screen[None]):
    """Edit, then send, drop, reset, or leave it held."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "choose", "Drop, reset, leave it held…", show=False),
        # The keys of the list do nothing here.
        *(Binding(key, "nothing", "", show=False) for key in ("slash", *"cdefhqrRstyz1234567")),
    ]

    def __init__(self, app: InspectdApp, waiting: Waiting) -> None:
        super().__init__()
        self._main = app
        self._waiting = waiting
        self._cut = editable(waiting.answer)
        self._given = waiting.answer[: self._cut]
        self._over = False
        self._note = ""
        """What was done last, until the cursor moves."""

    def compose(self) -> ComposeResult:
        """The request and the answer, a sentence about the answer, the keys."""
        yield RespondBar(self._waiting)
        with Container(id="respond"):
            with Vertical(id="respond-request"):
                yield Static(Content("  the request"), classes="respond-title")
                yield LineView(id="respond-head")
            with Vertical(id="respond-answer"):
                yield Static("", id="respond-about", classes="respond-title", markup=False)
                yield AnswerEditor(
                    self._given, method=self._waiting.method, rest=self._rest or 0, id="respond-bytes"
                )
        yield Static("", id="respond-finding", markup=False)
        yield DecidingHints(id="respond-hints")

    def on_mount(self) -> None:
        """Show the request; take up what was written before."""
        request = self._request()
        self.query_one("#respond-head", LineView).show(
            Document(request, spans(request, "request", eof=False))
        )
        draft = self._main.holding.drafts.get(self._waiting.id)
        if draft is not None:
            self.editor.set_text(draft)
        self.editor.focus()
        self.app.clear_notifications()
        self._main.holding.watch(self._waiting.id, self.changed)
        self.set_interval(0.5, self.query_one(RespondBar).refresh)
        self._show_hints()
        self._about()

    def on_unmount(self) -> None:
        """Nobody watches any more."""
        self._main.holding.watch(0, None)

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room; else the request takes what its head needs, and no more."""
        wide = event.size.width >= WIDE
        self.set_class(wide, "-wide")
        head = self.query_one("#respond-head", LineView)
        rows = head.source.height(max(event.size.width - 4, 8)) + 1
        self.query_one("#respond-request").styles.max_height = (
            None if wide else max(2, min(rows, event.size.height // 3))
        )

    @property
    def editor(self) -> BytesEditor:
        """The bytes."""
        return self.query_one(BytesEditor)

    @property
    def _rest(self) -> int | None:
        """Bytes of the normal answer behind what is edited; None while nobody knows how many."""
        length = self._waiting.answer_length
        return None if length is None else length - self._cut

    def _request(self) -> bytes:
        """The request as it was recorded, its content included; at least its head."""
        try:
            subject = Subject.load(self._main.capture, self._waiting.id)
        except InspectdError:
            subject = None
        recorded = b"" if subject is None else subject.request
        return recorded if len(recorded) >= len(self._waiting.head) else self._waiting.head

    # what happens meanwhile

    def changed(self, waiting: Waiting | None) -> None:
        """The client left, or somebody or the clock has decided."""
        bar = self.query_one(RespondBar)
        if waiting is not None:
            self._waiting = bar.waiting = waiting
        elif not self._over:
            self._over = True
            if self._main.link.news.state == "gone":
                bar.over = "the engine is gone, and with it the connection"
            else:
                bar.over = "no longer held: it was decided elsewhere, or its time is over"
            self.set_timer(SETTLED_SECONDS, self._tell_why)
        bar.refresh()

    def _tell_why(self) -> None:
        bar = self.query_one(RespondBar)
        bar.over = self._main.holding.why_over(self._waiting.id) or bar.over
        bar.refresh()
        self._tell("What you wrote stays here: esc y copies it.")

    def on_descendant_focus(self) -> None:
        """Other keys do something now."""
        self._show_hints()

    def _show_hints(self) -> None:
        deciding = self.query_one(DecidingHints)
        deciding.show(DECIDING_HINTS if deciding.has_focus else TYPING_HINTS, following=False)

    # words about the bytes

    def on_bytes_editor_coloured(self) -> None:
        """The bytes are others than before."""
        self._about()
        self._tell_finding()

    def on_bytes_editor_too_long(self, message: BytesEditor.TooLong) -> None:
        """So much would make every key slow."""
        self._main.say(
            f"Not put in: {count(message.characters, 'character')}",
            f"{MOST_WRITTEN:,} are written here at most. A rule's body-file sends any amount.",
            severity="warning",
        )

    def on_text_area_selection_changed(self) -> None:
        """The cursor moved."""
        self._note = ""
        self._tell_finding()

    def _about(self) -> None:
        palette = tones(self.app)
        editor = self.editor
        parts: list[tuple[str, str]] = [
            ("  the answer  ", palette.muted),
            (count(len(editor.data), "byte"), palette.text),
        ]
        if self._rest:
            parts.append((f" + {self._rest:,} more, sent as they are", palette.warn))
        elif self._rest is None:
            parts.append(("  its end isn't known: only what stands here is sent", palette.warn))
        same = editor.data == self._given
        parts.append(("   unchanged" if same else "   edited", palette.muted if same else palette.odd))
        if editor.findings:
            parts.append((f"   ▲ {count(len(editor.findings), 'finding')}", palette.warn))
        self.query_one("#respond-about", Static).update(Content.assemble(*parts))

    def _tell_finding(self) -> None:
        palette = tones(self.app)
        finding = self.editor.finding_at_cursor()
        line = self.query_one("#respond-finding", Static)
        if self._note:
            line.update(Content.styled(self._note, palette.good))
            return
        if finding is not None:
            tone = palette.bad if finding.wrong else palette.warn
            section = f"  {finding.section}" if finding.section else ""
            line.update(
                Content.assemble(
                    ("✗ " if finding.wrong else "▲ ", tone),
                    (safe(finding.sentence, doubling=False), palette.text),
                    (safe(section), palette.muted),
                )
            )
            return
        if self.editor.findings:
            line.update(Content.styled("Nothing odd where the cursor is; ^n goes to what is.", palette.muted))
        else:
            line.update(
                Content.styled(
                    "Nothing odd about these bytes. They are sent exactly as they stand.", palette.muted
                )
            )

    # editing

    def action_nothing(self) -> None:
        """A key of the list, pressed here."""

    def action_choose(self) -> None:
        """From the text to the keys that decide."""
        self.query_one(DecidingHints).focus()

    def action_edit(self) -> None:
        """Back to the text."""
        self.editor.focus()

    def action_undo(self) -> None:
        """Take back."""
        self.editor.action_undo()

    def action_next_finding(self) -> None:
        """To the next thing that is odd."""
        self.editor.action_next_finding()

    def action_copy(self) -> None:
        """What is selected, or the whole text."""
        text = self.editor.selected_text or self.editor.text
        self.app.copy_to_clipboard(text)
        self._tell(f"Copied {count(len(text), 'character')}: the bytes as they are written here")

    def action_fix_length(self) -> None:
        """Make Content-Length say how long the content is. Only this key does it."""
        said = fix_length(self.editor, self._rest or 0)
        self.call_after_refresh(self._tell, said)

    def _tell(self, note: str) -> None:
        self._note = note
        self._tell_finding()

    def action_pick(self) -> None:
        """Choose another answer to start from, or a rule to send."""
        from inspectd.tui.screens.pick import PickScreen

        self.app.push_screen(PickScreen(self._main.link), self._picked)

    def _picked(self, picked: Picked | None) -> None:
        if picked is None:
            return
        if picked.rule:
            self._decide(
                lambda: self._main.link.release(self._waiting.id, rule=picked.rule),
                self._main.sending(self._waiting, f"the answer of rule {safe(picked.rule)} is"),
            )
            return
        if picked.data is None:
            self.editor.set_bytes(self._given)
        else:
            self.editor.set_bytes(picked.data)
        self.editor.focus()

    # deciding

    def action_send(self) -> None:
        """Send exactly these bytes."""
        problems = self.editor.reading.problems
        if problems:
            first = problems[0]
            self.editor.move_cursor((first.line - 1, first.column - 1))
            self.editor.focus()
            self._main.say(
                f"Not sent: line {first.line}, column {first.column}: {first.what}",
                first.mend,
                severity="error",
            )
            return
        data = self.editor.data
        if data == self._given:
            self.action_release()
            return
        rest_from = self._cut if self._rest else None
        self._decide(
            lambda: self._main.link.release(self._waiting.id, raw=data, rest_from=rest_from),
            self._main.sending(self._waiting, f"{count(len(data), 'byte')} of yours are"),
        )

    def action_release(self) -> None:
        """Send the normal answer."""
        self._decide(
            lambda: self._main.link.release(self._waiting.id),
            self._main.sending(self._waiting, "the normal answer is"),
        )

    def action_drop(self) -> None:
        """FIN."""
        self._decide(
            lambda: self._main.link.drop(self._waiting.id),
            f"{self._waiting.name}: dropped, FIN without a byte",
        )

    def action_reset(self) -> None:
        """RST."""
        self._decide(
            lambda: self._main.link.reset(self._waiting.id),
            f"{self._waiting.name}: reset, RST without a byte",
        )

    def _decide(self, do: Callable[[], None], said: str | Callable[[], str]) -> None:
        if self._over:
            self._main.say("It is no longer held", "y copies the text, esc leaves.", severity="warning")
            return
        self._main.decide(do, said, self._decided)

    def _decided(self) -> None:
        self._over = True
        self._main.holding.drafts.pop(self._waiting.id, None)
        self.dismiss(None)

    def action_leave(self) -> None:
        """Decide nothing: it stays held, and the text is kept."""
        if not self._over and self.editor.data != self._given:
            self._main.holding.drafts[self._waiting.id] = self.editor.text
            self._main.say(
                f"{self._waiting.name} goes on waiting", "What you wrote is there again with enter."
            )
        self.dismiss(None)
