"""An editor of the bytes of a response: their text (`text.escape`), coloured by what each byte is while it is typed.

Everything that gets into the text, whichever way, is made still first. What is odd is underlined; the editor says when
that changed and when the cursor moved, its screen says it in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.document._document import EditResult
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from inspectd.text.escape import Reading, still, to_text
from inspectd.tui.findings import Finding, findings
from inspectd.tui.theme import tones
from inspectd.tui.widgets.panes.document import ROLE_STYLES
from inspectd.tui.widgets.wireview import style_named
from inspectd.wire import read
from inspectd.wire.span import Role

if TYPE_CHECKING:
    from rich.text import Text
    from textual import events
    from textual.timer import Timer
    from textual.widgets.text_area import Edit

    from inspectd.wire import Span

LONG: Final = 8 * 1024
"""Bytes from which on colours wait until somebody stops typing."""
MOST_WRITTEN: Final = 128 * 1024
"""Characters that the text may grow to: each key costs what there is."""
COLOUR_SECONDS: Final = 0.12
FINDING_SECONDS: Final = 0.08


class BytesEditor(TextArea):
    """Edits bytes. `reading` says what the text stands for, `findings` what is odd about it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+a", "select_all", "Select everything", show=False, id="bytes.select-all"),
    ]
    HELP_TITLE = "The bytes of the answer"
    HELP_TEXT = (
        "Each line ends with CRLF. \\n at the end of a line is a lone LF instead, \\r a lone CR, \\t a tab, \\x00 any "
        "byte, \\\\ a backslash. What is underlined is odd: the line below says why. It can be sent all the same."
    )

    class Coloured(Message):
        """The bytes, or what is odd about them, are others than before."""

    class TooLong(Message):
        """So many characters were not put in: the text would have become too long."""

        def __init__(self, characters: int) -> None:
            super().__init__()
            self.characters = characters

    def __init__(self, data: bytes, *, method: str, rest: int = 0, id: str | None = None) -> None:  # noqa: A002
        super().__init__(
            to_text(data), soft_wrap=True, show_line_numbers=False, compact=True, id=id, tab_behavior="focus"
        )
        self.cursor_blink = False
        self.match_cursor_bracket = False
        self.method = method
        self.rest = rest
        """Bytes that follow what is edited: part of the answer, but not of the text."""
        self.reading = Reading(self.text)
        self.findings: tuple[Finding, ...] = ()
        self._spans: list[Span] = []
        self._first: dict[int, int] = {}
        self._marks: dict[int, list[tuple[int, int, bool]]] = {}
        self._timer: Timer | None = None
        self._finding_timer: Timer | None = None
        self._styles: dict[str, Style] = {}
        self._lines: dict[int, Text] = {}

    def on_mount(self) -> None:
        """Colour what is there."""
        self._take_theme()
        self.recolour()
        self._find()

    @property
    def data(self) -> bytes:
        """The bytes the text stands for; wrong escapes are taken as they stand."""
        return self.reading.data

    async def _on_key(self, event: events.Key) -> None:
        # Textual runs a binding when its key has bubbled up to the app, while a letter is typed at once: keys that come
        # quickly would change places. Ours run here, in the order in which they come.
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.app.run_action(binding.action, default_namespace=self)
            return

    # the door: whatever is typed, pasted or put back is still

    def edit(self, edit: Edit) -> EditResult:
        """Change the text, unless it would become longer than a key should have to cope with."""
        room = MOST_WRITTEN - len(self.text) + len(self.get_text_range(edit.top, edit.bottom))
        written = len(edit.text)
        if written <= room:
            edit.text = still(edit.text)
        if written and len(edit.text) > room:
            self.post_message(self.TooLong(written))
            return EditResult(edit.bottom, "")
        result = super().edit(edit)
        self._changed()
        return result

    def action_undo(self) -> None:
        """Take back."""
        super().action_undo()
        self._changed()

    def action_redo(self) -> None:
        """Do again."""
        super().action_redo()
        self._changed()

    def set_bytes(self, data: bytes) -> None:
        """Put other bytes into the editor; undo brings the old ones back."""
        self.replace(to_text(data), (0, 0), self.document.end)
        self.move_cursor((0, 0))

    def set_text(self, text: str) -> None:
        """Put a text into the editor that was written before."""
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor((0, 0))

    def replace_bytes(self, start: int, end: int, data: bytes) -> None:
        """Put `data` in place of the bytes `start` up to `end`; the rest of the text stays as it was written."""
        self.replace(to_text(data), self.reading.place(start), self.reading.place(end))

    # colours

    def _changed(self) -> None:
        self.reading = Reading(self.text)
        self._lines.clear()
        if len(self.reading.data) < LONG:
            self.recolour()
        else:
            if self._timer is not None:
                self._timer.stop()
            self._timer = self.set_timer(COLOUR_SECONDS, self.recolour)
        if self._finding_timer is not None:
            self._finding_timer.stop()
        self._finding_timer = self.set_timer(FINDING_SECONDS, self._find)

    def recolour(self) -> None:
        """Find what each byte is."""
        self._timer = None
        stream = read(self.data, "response", methods=(self.method.encode("utf-8", "surrogateescape"),))
        self._spans = stream.spans
        self._first = {}
        at = 0
        for row, start in enumerate(self.reading.starts):
            while at < len(self._spans) and self._spans[at].end <= start:
                at += 1
            self._first[row] = at
        self._forget()

    def _find(self) -> None:
        """Find what is odd about the bytes."""
        self._finding_timer = None
        wrong = [
            Finding(
                f"{problem.what}. {problem.mend}",
                self.reading.offset(problem.line - 1, problem.column - 1),
                self.reading.offset(problem.line - 1, problem.column - 1 + problem.length),
                wrong=True,
            )
            for problem in self.reading.problems
        ]
        found = wrong or findings(self.data, self.method, rest=self.rest)
        self.findings = tuple(found)
        self._marks = {}
        for finding in self.findings:
            self._mark(finding)
        self._forget()
        self.post_message(self.Coloured())

    def _forget(self) -> None:
        """Draw everything again."""
        self._lines.clear()
        self._line_cache.clear()
        self.refresh()

    def _mark(self, finding: Finding) -> None:
        """Underline a finding on each row that it touches."""
        row, column = self.reading.place(finding.start)
        last, until = self.reading.place(max(finding.start, finding.end))
        for line in range(row, min(last, row + 200) + 1):
            left = column if line == row else 0
            right = until if line == last else len(self.document.get_line(line))
            if right > left or line == row:
                # What lies on no character (something is missing there) is shown on the one beside it.
                left = left if right > left else max(0, left - 1)
                self._marks.setdefault(line, []).append((left, max(right, left + 1), finding.wrong))

    def finding_at_cursor(self) -> Finding | None:
        """The finding the cursor is in, or else the first on its line."""
        row, column = self.cursor_location
        offset = self.reading.offset(min(row, len(self.reading.lines) - 1), column)
        inside = [each for each in self.findings if each.start <= offset <= max(each.start, each.end)]
        if inside:
            return inside[0]
        rows = [(self.reading.place(each.start)[0], each) for each in self.findings]
        return next((each for line, each in rows if line == row), None)

    def action_next_finding(self) -> None:
        """To the next finding, and from the last to the first."""
        row, column = self.cursor_location
        offset = self.reading.offset(row, column)
        starts = sorted({each.start for each in self.findings})
        if starts:
            following = next((start for start in starts if start > offset), starts[0])
            self.move_cursor(self.reading.place(following))

    def notify_style_update(self) -> None:
        """Forget the colours of another theme."""
        super().notify_style_update()
        self._styles = {}
        self._lines = {}
        if self.is_mounted:
            self._take_theme()

    def _take_theme(self) -> None:
        """The line of the cursor and what is selected keep the colours of their bytes."""
        palette = tones(self.app)
        name = self.app.theme
        if name not in self.available_themes:
            self.register_theme(
                TextAreaTheme(
                    name,
                    # Turned around, so that it is seen without colours as well.
                    cursor_style=Style(
                        color=palette.field_value, bgcolor=palette.under_cursor, reverse=True, bold=True
                    ),
                    cursor_line_style=Style(bgcolor=palette.cursor),
                    selection_style=Style(bgcolor=palette.cursor_focus, italic=True),
                )
            )
        if self.theme != name:
            self.theme = name

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = style_named(name, tones(self.app))
        return style

    def get_line(self, line_index: int) -> Text:
        """A line with its colours."""
        line = self._lines.get(line_index)
        if line is None:
            line = self._lines[line_index] = self._coloured(line_index)
        return line.copy()

    def _coloured(self, row: int) -> Text:
        line = super().get_line(row)
        if row >= len(self.reading.lines):
            return line
        read_line = self.reading.lines[row]
        start = self.reading.starts[row]
        end = start + read_line.places[-1]
        at = self._first.get(row, len(self._spans))
        while at < len(self._spans) and self._spans[at].start < max(end, start + 1):
            span = self._spans[at]
            left, right = max(start, span.start), min(end, span.end)
            if left < right:
                name = ROLE_STYLES[span.role]
                if span.role is Role.STATUS_CODE:
                    name = "status-" + self.data[span.start : span.end][:3].decode("latin-1")
                columns = self.reading.column(row, left), self.reading.column(row, right)
                line.stylize(self._style(name), *columns)
            at += 1
        for left, right in read_line.escapes:
            line.stylize(self._style("warning"), left, right)
        palette = tones(self.app)
        for left, right, wrong in self._marks.get(row, ()):
            colour = palette.bad if wrong else palette.warn
            line.stylize(Style(color=colour, underline=True, bold=wrong or None), left, right)
        return line
