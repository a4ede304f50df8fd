"""`R`: the rules in use in the order in which they are tried, their calls, and why a changed file is not in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from inspectd.errors import InspectdError
from inspectd.text.safe import cells, clip, pad, safe
from inspectd.tui.screens.dialog import Dialog
from inspectd.tui.theme import tones
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Page, Paragraph
from inspectd.tui.widgets.panes.times import count
from inspectd.tui.widgets.wireview import LineView, Run

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from inspectd.control.messages import Complaint
    from inspectd.control.rules_messages import RulesShown, SourceShown
    from inspectd.tui.engine_link import EngineLink

AGAIN_SECONDS: Final = 1.0
_WIDEST_MATCH: Final = 40
_CALLS: Final = 9


class RulesScreen(Dialog[None]):
    """What answers, and how often it did."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,R,q", "leave", "Close", show=False),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, link: EngineLink) -> None:
        super().__init__()
        self._link = link
        self._shown: RulesShown | None = None

    def compose(self) -> ComposeResult:
        """A list."""
        palette = tones(self.app)
        key = f"bold {palette.brand}"
        with Vertical(classes="dialog -rules"):
            yield Static(
                Content.styled("Rules: the first that matches answers", f"bold {palette.strong}"),
                classes="dialog-title",
            )
            yield LineView(id="rules-list")
            yield Static(
                Content.assemble(("esc", key), " closes   ", ("↑↓", key), " scroll"), classes="dialog-keys"
            )

    def on_mount(self) -> None:
        """Ask now, and again while somebody looks."""
        self.query_one(LineView).focus()
        if self._link.why_not:
            self.call_after_refresh(self._say, self._link.why_not)
            return
        self._ask()
        self.set_interval(AGAIN_SECONDS, self._ask)

    @work(thread=True, exclusive=True, group="rules")
    def _ask(self) -> None:
        try:
            rules = self._link.rules()
        except InspectdError as problem:
            self.call_later(self._say, problem.what)
        else:
            self.call_later(self._show, rules)

    def _say(self, sentence: str) -> None:
        if self.is_mounted:
            self._shown = None
            self.query_one(LineView).show(Page([Paragraph(Run(safe(sentence, doubling=False), "error"))]))

    def _show(self, rules: RulesShown) -> None:
        if self.is_mounted and rules != self._shown:
            first = self._shown is None
            self._shown = rules
            self.query_one(LineView).show(Page(rules_blocks(rules)), keep_scroll=not first)

    def action_scroll(self, by: int) -> None:
        """Move the list."""
        self.query_one(LineView).scroll_relative(y=by, animate=False)

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def rules_blocks(shown: RulesShown) -> list[Block]:
    """The rules of each source as lines."""
    blocks: list[Block] = []
    for source in shown.sources:
        blocks += [*([GAP] if blocks else []), *_source_blocks(source)]
    if not blocks:
        blocks = [
            Paragraph(Run("No rules are in use.", "strong")),
            Paragraph(
                Run("Start with  "),
                Run("inspectd --rules api.toml", "target"),
                Run("  and edit the file: it is watched."),
            ),
        ]
    return [
        *blocks,
        GAP,
        Paragraph(Run("where none matches  ", "heading"), Run(safe(shown.fallback), "strong")),
    ]


def _source_blocks(source: SourceShown) -> list[Block]:
    kind = "a file that is watched" if source.kind == "file" else "put over the control API"
    blocks: list[Block] = [
        Paragraph(
            Run(safe(source.name), "name-title"),
            Run(f"  {count(len(source.rules), 'rule')}, {kind}", "dim"),
        )
    ]
    if source.error is not None:
        blocks.append(
            Paragraph(Run("✗ the newest change is not in use; the rules from before answer:", "bad"))
        )
        for problem in source.error.problems:
            blocks += _problem_blocks(problem, source.name)
        blocks.append(GAP)
    if not source.rules:
        return blocks
    width = min(_WIDEST_MATCH, max(cells(safe(rule.match)) for rule in source.rules))
    blocks.append(Line(Run(f"{'calls':>{_CALLS}}  {pad('match', width)}  answer", "heading")))
    for rule in source.rules:
        where = rule.name or (f"line {rule.line}" if rule.line else "")
        blocks.append(
            Line(
                Run(f"{rule.calls:>{_CALLS},}  ", "strong" if rule.calls else "faint"),
                Run(pad(clip(safe(rule.match), width), width), "target"),
                Run("  " + safe(rule.answer), "value"),
                right=(Run(safe(where), "dim"),),
            )
        )
    return blocks


def _problem_blocks(problem: Complaint, source: str) -> list[Block]:
    # The path of the file stands above already, as long as it is that file.
    name = source if problem.source.endswith(f"/{source}") else problem.source
    where = ":".join([safe(name), *(str(number) for number in (problem.line, problem.column) if number)])
    return [
        Paragraph(
            Run(f"  {where}  ", "target"),
            *([Run(safe(problem.key) + "  ", "name")] if problem.key else []),
            Run(safe(problem.what, doubling=False), "error"),
            *([Run("  " + safe(problem.mend, doubling=False), "dim")] if problem.mend else []),
            hang=4,
        )
    ]
