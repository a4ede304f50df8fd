"""Pane 9: what is wrong, odd or worth knowing about both messages of an exchange, the worst first, good notes last.

Enter or a double click goes to the bytes in Anatomy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.message import Message

from inspectd.tui.widgets.panes.finding_text import Listed, finding_blocks, reading_blocks, verdict_blocks
from inspectd.tui.widgets.panes.meaning import finding_mark
from inspectd.tui.widgets.panes.pane import NOTHING_SELECTED, WIDE, Pane, sentence_page
from inspectd.tui.widgets.panes.prose import Page, clipped, spread, width_of
from inspectd.tui.widgets.wireview import LineView, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult

    from inspectd.lint.others import Verdict
    from inspectd.tui.subject import Side, Subject
    from inspectd.tui.widgets.panes.prose import Block

_SIDES: Final[tuple[Side, Side]] = ("request", "response")
_LEAST_SUMMARY: Final = 24
"""Cells of a summary that are worth more than the id."""
_GROUPS: Final = {
    "error": "Errors",
    "warning": "Warnings",
    "info": "Worth knowing",
    "good": "As it should be",
}
NOTHING_FOUND: Final = "Nothing is found in these bytes."


def listed(subject: Subject) -> list[Listed]:
    """The findings of both sides, the worst first, those of the request before those of the response."""
    from inspectd.lint import entry

    found = [Listed(side, each, entry(each.id)) for side in _SIDES for each in subject.side(side).findings]
    return sorted(found, key=lambda each: -each.about.level)


class FindingRows:
    """A heading for each severity, then a row for each finding; its number stands for its bytes."""

    def __init__(self, found: Sequence[Listed]) -> None:
        self._found = found
        self._rows: list[int | str] = []
        """Numbers of findings, and headings."""
        severity = ""
        for number, each in enumerate(found):
            if each.about.severity != severity:
                severity = each.about.severity
                count = sum(other.about.severity == severity for other in found)
                self._rows.append(f"{_GROUPS[severity]}  {count}")
            self._rows.append(number)
        self._places = {row: at for at, row in enumerate(self._rows) if isinstance(row, int)}

    def height(self, width: int) -> int:  # noqa: ARG002
        """One for each, and the headings."""
        return len(self._rows)

    def row(self, index: int, width: int) -> Sequence[Run]:
        """What it is, and flush right its id and side."""
        number = self._rows[index]
        if isinstance(number, str):
            return clipped([Run(number, "heading")], width)
        side, _, about = self._found[number]
        style = "plain" if about.severity in ("error", "warning") else "dim"
        runs = [Run(" "), finding_mark(about), Run(about.summary, style, number, number + 1)]
        right = Run(f"{about.id} · {side}", "faint")
        room = width - width_of(right.text) - 2
        return spread(clipped(runs, room) if room >= _LEAST_SUMMARY else runs, [right], width)

    def row_of(self, offset: int, width: int) -> int:  # noqa: ARG002
        """The row of the finding with this number."""
        at = self._places.get(offset, 0)
        return at - 1 if at == 1 else at  # the first one with its heading

    def finding_at(self, index: int) -> int | None:
        """The number of the finding in a row."""
        row = self._rows[index] if 0 <= index < len(self._rows) else None
        return row if isinstance(row, int) else None


class FindingView(LineView):
    """Findings with a cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,N", "step(-1)", "the finding before", show=False, id="finding.up"),
        Binding("down,n", "step(1)", "the next finding", show=False, id="finding.down"),
        Binding("home", "edge(0)", "worst finding", show=False, id="finding.first"),
        Binding("end", "edge(-1)", "last finding", show=False, id="finding.last"),
        Binding("enter", "go", "its bytes in Anatomy", id="finding.go"),
    ]

    class Moved(Message):
        """The cursor stands on another finding."""

    class Wanted(Message):
        """Somebody wants to see the bytes."""

    def __init__(self) -> None:
        super().__init__(id="findings")
        self.found: Sequence[Listed] = ()
        self.current = 0

    def show_findings(self, found: Sequence[Listed], *, same: bool) -> None:
        """Show these; the cursor keeps its place when they are the same ones, or more."""
        self.found = found
        self.current = min(self.current, len(found) - 1) if same else 0
        self.show(FindingRows(found), keep_scroll=same)
        self._place(scroll=not same)

    @property
    def entry(self) -> Listed | None:
        """The finding under the cursor."""
        return self.found[self.current] if self.found else None

    def _place(self, *, scroll: bool = True) -> None:
        if self.found:
            self.select(self.current, self.current + 1, scroll=scroll)
        self.post_message(self.Moved())

    def _go(self, number: int) -> None:
        if self.found:
            self.current = min(max(number, 0), len(self.found) - 1)
            self._place()

    def action_step(self, step: int) -> None:
        """To the next finding or the one before."""
        self._go(self.current + step)

    def action_edge(self, where: int) -> None:
        """To the first finding or the last."""
        self._go(where if where >= 0 else len(self.found) - 1)

    def action_go(self) -> None:
        """To the bytes."""
        if self.found:
            self.post_message(self.Wanted())

    def on_line_view_picked(self, event: LineView.Picked) -> None:
        """A click chooses the finding of its row; on the chosen one it goes to the bytes."""
        event.stop()
        number = self.source.finding_at(event.row) if isinstance(self.source, FindingRows) else None
        if number is None:
            return
        if number == self.current:
            self.action_go()
        else:
            self._go(number)


class Findings(Pane):
    """The findings left (or above), the chosen one right (or below)."""

    title = "Findings"
    short = "Finds"

    class Chosen(Message):
        """Somebody wants to see these bytes in Anatomy."""

        def __init__(self, side: Side, offset: int) -> None:
            super().__init__()
            self.side = side
            self.offset = offset

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("shift+up", "scroll_text(-1)", "scroll the explanation up", show=False, id="finding.text-up"),
        Binding(
            "shift+down", "scroll_text(1)", "scroll the explanation down", show=False, id="finding.text-down"
        ),
        Binding("space", "read_on", "read on in the explanation", show=False, id="finding.page"),
    ]

    DEFAULT_CSS = """
    Findings { layout: vertical; }
    Findings #findings { height: 1fr; padding: 0 1; }
    Findings #finding { height: 1fr; min-height: 5; padding: 0 1; background: $panel 50%; }
    Findings.-wide { layout: horizontal; }
    Findings.-wide #findings { width: 1fr; height: 1fr; }
    Findings.-wide #finding { width: 1fr; height: 1fr; border-left: vkey $border-blurred; background: $background; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._verdicts: dict[Side, Sequence[Verdict]] = {}

    def compose(self) -> ComposeResult:
        """The list and the finding."""
        yield FindingView()
        yield LineView(id="finding")

    @property
    def findings(self) -> FindingView:
        """The list."""
        return self.query_one(FindingView)

    @property
    def finding_view(self) -> LineView:
        """The chosen one."""
        return self.query_one("#finding", LineView)

    @property
    def main_view(self) -> LineView:
        """The list takes the keys."""
        return self.findings

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        self.set_class(event.size.width >= WIDE, "-wide")

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Show the findings of both sides of a subject."""
        same = self._shows(subject, side) and bool(self.findings.found)
        self._subject, self._side = subject, side
        self._verdicts = {}
        found = [] if subject is None else listed(subject)
        if not found:
            self.findings.found = ()
            self.findings.show(sentence_page(NOTHING_SELECTED if subject is None else NOTHING_FOUND))
            self.finding_view.show(Page([]))
            return
        self.findings.show_findings(found, same=same)

    def on_finding_view_moved(self, event: FindingView.Moved) -> None:
        """Tell the finding under the cursor."""
        event.stop()
        entry, subject = self.findings.entry, self._subject
        if entry is None or subject is None:
            return
        bytes_ = subject.side(entry.side)
        blocks: list[Block] = finding_blocks(entry, bytes_.prefix)
        if entry.about.risk and (readings := bytes_.readings):
            blocks += reading_blocks(readings, entry.side)
        blocks += verdict_blocks(self._asked(entry.side))
        self.finding_view.show(Page(blocks))

    def _asked(self, side: Side) -> Sequence[Verdict]:
        """What other parsers say to this side; asked once."""
        found = self._verdicts.get(side)
        if found is None and self._subject is not None:
            from inspectd.lint.others import verdicts

            row = self._subject.row
            method = (row.method if row is not None else None) or "GET"
            data = self._subject.side(side).prefix
            found = verdicts(data, side, method=method.encode("utf-8", "surrogateescape"))
            self._verdicts[side] = found
        return found or ()

    def on_finding_view_wanted(self, event: FindingView.Wanted) -> None:
        """Ask for the bytes."""
        event.stop()
        entry = self.findings.entry
        if entry is not None:
            self.post_message(self.Chosen(entry.side, entry.finding.start))

    def action_read_on(self) -> None:
        """A screenful of the explanation on, and from its end back to its beginning."""
        self.finding_view.read_on()

    def action_scroll_text(self, step: int) -> None:
        """A row of the explanation on or back."""
        self.finding_view.scroll_relative(y=step, animate=False)

    def selected_value(self) -> tuple[str, bytes] | None:
        """The bytes of the finding under the cursor."""
        entry, subject = self.findings.entry, self._subject
        if entry is None or subject is None:
            return None
        found = entry.finding
        return f"bytes of {found.id}", subject.side(entry.side).prefix[found.start : found.end]
