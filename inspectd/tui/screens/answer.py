"""`s`: what everybody is answered from now on, as exact bytes before it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, OptionList, Static

from inspectd.errors import InspectdError
from inspectd.text.safe import safe, wire_text
from inspectd.tui.engine_link import AT_START, BY_RULE, MIRROR
from inspectd.tui.screens.choices import SUGGESTIONS, all_rules, line_option, rule_option
from inspectd.tui.screens.dialog import Dialog
from inspectd.tui.theme import tones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.timer import Timer
    from textual.widgets.option_list import Option

    from inspectd.control.messages import Preview
    from inspectd.control.rules_messages import RuleShown, RulesShown
    from inspectd.tui.engine_link import EngineLink

PREVIEW_BYTES: Final = 4096
TYPING_SECONDS: Final = 0.06
REMEMBERED: Final = 20


class AnswerInput(Input):
    """The status line; up and down walk the list below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "screen.walk(1)", "Next suggestion", show=False),
        Binding("up", "screen.walk(-1)", "Suggestion before", show=False),
    ]


class AnswerScreen(Dialog[str | None]):
    """Type a status line or choose one; the result says what is answered now."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Leave it as it is", show=False)]

    def __init__(self, link: EngineLink, history: list[str]) -> None:
        super().__init__()
        self._link = link
        self._history = history
        self._timer: Timer | None = None
        self._good_for: str | None = None
        self._walking = False

    def compose(self) -> ComposeResult:
        """The line, what to choose from, and the bytes."""
        palette = tones(self.app)
        key = f"bold {palette.brand}"
        status = self._link.news.status
        title = "Answer everybody with"
        if status is not None and status.answer.otherwise is not None:
            title = "Where no rule matches, answer with"
        elif status is not None and status.answer.passes:
            title = "Pass nothing on: answer everybody with"
        with Vertical(classes="dialog -answer"):
            yield Static(Content.styled(title, f"bold {palette.strong}"), classes="dialog-title")
            yield AnswerInput(
                placeholder="404, 418 I'm a teapot, HTTP/1.1 299 Odd, or mirror",
                compact=True,
                id="answer-line",
            )
            yield OptionList(*self._options(), id="answer-choices", compact=True)
            yield Static("", id="answer-about", markup=False)
            with VerticalScroll(id="answer-preview", can_focus=False):
                yield Static("", id="answer-bytes", markup=False)
            yield Static(
                Content.assemble(
                    ("enter", key),
                    " answer this from now on   ",
                    ("↑↓", key),
                    " choose   ",
                    ("esc", key),
                    " leave it",
                ),
                classes="dialog-keys",
            )

    def _options(self, rules: Sequence[RuleShown] = ()) -> list[Option]:
        """What was said before, the mirror, the rules, and status lines; `_lines` are the same as they are typed.

        Before them the way back, when something else was answered at the start.
        """
        palette = tones(self.app)
        known = [(line, "you said this before") for line in self._history]
        if self._at_start:
            known.insert(0, (AT_START, safe(self._at_start)))
        known += [entry for entry in SUGGESTIONS if entry[0] not in self._history]
        options = {line: line_option(line, about, palette) for line, about in known}
        own = {BY_RULE + rule.id: rule_option(rule, palette) for rule in rules}
        lines = list(options)
        behind_mirror = max(len(self._history) + bool(self._at_start), lines.index(MIRROR) + 1)
        lines[behind_mirror:behind_mirror] = [line for line in own if line not in options]
        self._lines = lines
        options = own | options
        return [options[line] for line in lines]

    @property
    def _at_start(self) -> str:
        """What was answered when the engine started, if it is something else now."""
        status = self._link.news.status
        return (status.at_start or "") if status is not None else ""

    @work(thread=True, group="choices")
    def _ask_rules(self) -> None:
        try:
            rules = self._link.rules()
        except InspectdError:
            return  # without them there is enough to choose from
        self.call_later(self._add_rules, rules)

    def _add_rules(self, shown: RulesShown) -> None:
        rules = all_rules(shown)
        if not self.is_mounted or not rules:
            return
        choices = self.query_one(OptionList)
        options = self._options(rules)
        choices.clear_options()
        choices.add_options(options)
        self._highlight(self.query_one(AnswerInput).value)

    def _highlight(self, line: str) -> None:
        """Let the list stand where the line is."""
        at = self._lines.index(line) if line in self._lines else None
        self.query_one(OptionList).highlighted = at

    def on_mount(self) -> None:
        """Say why nothing can be chosen when there is nobody to tell; else preview the line."""
        if self._link.why_not:
            self.query_one(AnswerInput).disabled = True
            self.query_one(OptionList).display = False
            self.query_one("#answer-preview").display = False
            self.query_one(".dialog-keys", Static).update(
                Content.assemble(("esc", f"bold {tones(self.app).brand}"), " closes")
            )
            self._complain(self._link.why_not, "")
            self.set_focus(None)
            return
        self.query_one(AnswerInput).focus()
        self._ask_rules()
        self._about(
            "Type a status line, or choose one or a rule with ↑ and ↓. It is sent letter by letter.",
            "muted",
        )

    def _about(self, text: str, tone: str) -> None:
        colour = getattr(tones(self.app), tone)
        self.query_one("#answer-about", Static).update(Content.styled(text, colour))

    def _complain(self, what: str, mend: str) -> None:
        self._good_for = None
        end = "" if what.endswith((".", "!", "?")) else "."
        self._about(safe(f"✗ {what}{end} {mend}".rstrip(), doubling=False), "bad")
        self.query_one("#answer-bytes", Static).update("")

    # choosing

    def action_walk(self, by: int) -> None:
        """Take the next line of the list."""
        choices = self.query_one(OptionList)
        at = choices.highlighted
        if at is None or not self._walking:
            at = -1 if by > 0 else len(self._lines)
        self._take((at + by) % len(self._lines))

    def _take(self, index: int) -> None:
        self._walking = True
        self.query_one(OptionList).highlighted = index
        line = self.query_one(AnswerInput)
        line.value = self._lines[index]
        line.cursor_position = len(line.value)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click chooses; the same again sets it."""
        chosen = self._lines[event.option_index]
        if self.query_one(AnswerInput).value == chosen:
            self._set(chosen)
            return
        self._take(event.option_index)
        self.query_one(AnswerInput).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Ask for the bytes, a moment after the last key."""
        event.stop()
        choices = self.query_one(OptionList)
        at = choices.highlighted
        if at is None or self._lines[at] != event.value:
            self._walking = False
            self._highlight(event.value)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(TYPING_SECONDS, lambda: self._preview(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Set it."""
        event.stop()
        self._set(event.value)

    def action_cancel(self) -> None:
        """Leave the answer as it is."""
        self.dismiss(None)

    # asking the engine, in a thread

    @work(thread=True, exclusive=True, group="preview")
    def _preview(self, text: str) -> None:
        if not text.strip() or text in {MIRROR, AT_START}:
            self.call_later(self._show_nothing, text)
            return
        try:
            preview = self._link.preview(text)
        except InspectdError as problem:
            self.call_later(self._show_problem, text, problem.what, problem.mend)
        else:
            self.call_later(self._show_preview, text, preview)

    def _is_current(self, text: str) -> bool:
        return self.is_mounted and self.query_one(AnswerInput).value == text

    def _show_problem(self, text: str, what: str, mend: str) -> None:
        if self._is_current(text):
            self._complain(what, mend)

    def _show_nothing(self, text: str) -> None:
        if not self._is_current(text):
            return
        self.query_one("#answer-bytes", Static).update("")
        if text == MIRROR:
            self._about(
                "The mirror makes every answer from its request: a page for browsers, text for curl, "
                "JSON for those who ask for it.",
                "muted",
            )
        elif text == AT_START:
            then = f": {safe(self._at_start)}" if self._at_start else ""
            self._about(f"What the engine was started with{then}.", "muted")
        else:
            self._about("Nothing is changed while the line is empty.", "muted")

    def _show_preview(self, text: str, preview: Preview) -> None:
        if not self._is_current(text):
            return
        self._good_for = text
        added = len(preview.added)
        sends = f"Sends {preview.length:,} bytes."
        about = f"Exactly these {preview.length:,} bytes to a plain GET"
        about += (
            f"; inspectd adds the line{'s' if added != 1 else ''} marked +" if added else "; nothing is added"
        )
        # The bytes have been said; what else the engine does, closing the connection for example, has not.
        about = " ".join((about + ".", *(step for step in preview.steps if step != sends)))
        palette = tones(self.app)
        odd = "".join(f"\n▲ {remark}" for remark in preview.remarks)
        self.query_one("#answer-about", Static).update(
            Content.assemble(
                (safe(about, doubling=False), palette.muted),
                (safe(odd, newline=True, doubling=False), palette.warn),
            )
        )
        self.query_one("#answer-bytes", Static).update(self._bytes(preview))

    def _bytes(self, preview: Preview) -> Content:
        palette = tones(self.app)
        added = {line.encode() for line in preview.added}
        data = preview.data[:PREVIEW_BYTES]
        parts: list[tuple[str, str]] = []
        in_head = True
        lines = data.splitlines(keepends=True)
        last = len(lines) - 1 if preview.length <= len(data) else len(lines)
        for at, line in enumerate(lines):
            bare = line.rstrip(b"\r\n")
            ours = in_head and bare in added
            parts.append(("+ " if ours else "  ", palette.warn))
            base = palette.strong if at == 0 else palette.muted if ours else palette.text
            parts += [(piece.text, palette.faint if piece.special else base) for piece in wire_text(line)]
            parts.append(("\n" if at < last else "", ""))
            in_head = in_head and bool(bare)
        if preview.length > len(data):
            parts.append((f"  … and {preview.length - len(data):,} bytes more", palette.muted))
        return Content.assemble(*parts)

    def _set(self, text: str) -> None:
        if self._link.why_not or not text.strip():
            return
        self._tell_engine(text)

    @work(thread=True, exclusive=True, group="set")
    def _tell_engine(self, text: str) -> None:
        try:
            now = self._link.set_answer(text)
        except InspectdError as problem:
            self.call_later(self._show_problem, text, problem.what, problem.mend)
        else:
            self.call_later(self._done, text, now)

    def _done(self, text: str, now: str) -> None:
        if text != AT_START:
            self._history[:] = [text, *(old for old in self._history if old != text)][:REMEMBERED]
        self.dismiss(now)
