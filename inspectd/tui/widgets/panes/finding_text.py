"""What a finding is, in full: the paragraph, its bytes, who accepts such bytes, and how else they can be read.

Every byte of the wire passes through `inspectd.text.safe` before it becomes a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.lint import Risk
from inspectd.text.safe import wire_text
from inspectd.tui.widgets.panes.meaning import finding_mark, said, say
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Paragraph, Title, clipped, width_of, wrap
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.lint import Entry, Finding
    from inspectd.lint.others import Verdict
    from inspectd.lint.two_readings import Reading
    from inspectd.tui.subject import Side

QUOTED: Final = 96
"""Bytes of a line that are quoted."""
_NARROWEST: Final = 26
"""Cells of a column that shows one reading."""
_RISKS: Final = {
    Risk.FRAMING: "Parsers differ about where the message ends.",
    Risk.DIFFERENTIAL: "Two parsers may read it differently.",
    Risk.SECURITY: "It may be dangerous.",
}


class Listed(NamedTuple):
    """A finding of one side of an exchange, and what the catalogue says of it."""

    side: Side
    finding: Finding
    about: Entry


class Columns:
    """Blocks side by side, as many in a row as there is room for."""

    __slots__ = ("_at", "_columns", "_rows")

    def __init__(self, columns: Sequence[Sequence[tuple[Run, ...]]]) -> None:
        self._columns = columns
        self._at = -1
        self._rows: list[list[Run]] = []

    def height(self, width: int) -> int:
        """Rows it takes at this width."""
        return len(self.rows(width))

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """The rows: each column wrapped in its share of the width."""
        if self._at != width:
            self._at = width
            beside = max(1, min(len(self._columns), (width + 2) // (_NARROWEST + 2)))
            self._rows = []
            for first in range(0, len(self._columns), beside):
                if first:
                    self._rows.append([])
                self._rows += _side_by_side(self._columns[first : first + beside], beside, width)
        return self._rows


def _side_by_side(columns: Sequence[Sequence[tuple[Run, ...]]], beside: int, width: int) -> list[list[Run]]:
    room = max(8, (width - 2 * (beside - 1)) // beside)
    drawn = [[row for runs in column for row in wrap(runs, room)] for column in columns]
    rows = []
    for at in range(max(map(len, drawn))):
        row: list[Run] = []
        for number, column in enumerate(drawn):
            cell = clipped(column[at], room) if at < len(column) else []
            last = number == len(drawn) - 1
            row += (
                [*cell] if last else [*cell, Run(" " * (room + 2 - sum(width_of(run.text) for run in cell)))]
            )
        rows.append(row)
    return rows


def finding_blocks(listed: Listed, data: bytes) -> list[Block]:
    """Everything about a finding. `data` are the bytes of its side."""
    side, finding, about = listed
    where = f"{finding.start:04x}" + (f"–{finding.end:04x}" if finding.end > finding.start else "")
    blocks: list[Block] = [
        Title(finding_mark(about), say(about.summary, "strong"), remark=Run(f"{side} {where}", "dim")),
        GAP,
    ]
    if finding.detail:
        blocks += [Paragraph(Run("here  ", "heading"), said(finding.detail), hang=6)]
    quoted = _quoted(finding, data)
    if quoted:
        blocks += [Paragraph(Run("bytes ", "heading"), *quoted, hang=6)]
    if finding.detail or quoted:
        blocks.append(GAP)
    blocks.append(Paragraph(say(about.text)))
    if about.risk in _RISKS:
        blocks += [Paragraph(Run("risk  ", "heading"), say(_RISKS[about.risk]), hang=6)]
    if about.verdicts:
        blocks += [GAP, Paragraph(Run("who accepts this  ", "heading"), say(about.verdicts), hang=2)]
    blocks += [GAP, Paragraph(say(f"{about.id} · {about.severity} · {about.spec}", "dim"))]
    if about.see:
        blocks.append(Paragraph(say(f"see also {', '.join(about.see)}", "dim")))
    return blocks


def _quoted(finding: Finding, data: bytes) -> list[Run]:
    """The line that the finding is on, its own bytes marked."""
    first, last = finding.start, finding.end
    if finding.also and first <= finding.also[0][0] <= finding.also[0][1] <= last:
        first, last = finding.also[0]  # what it is about exactly
    if not 0 <= first <= last <= len(data):
        return []
    start = max(data.rfind(b"\n", 0, first) + 1, first - QUOTED // 2)
    end = data.find(b"\n", max(first, last - 1))
    end = min(len(data) if end < 0 else end + 1, start + QUOTED)
    runs = []
    for piece in wire_text(data[start:end]):
        inside = first <= start + piece.start < max(last, first + 1)
        style = "faint" if piece.special and not inside else "value" if not inside else "value!error"
        runs.append(Run(piece.text, style))
    return runs


def reading_blocks(readings: Sequence[Reading], side: Side) -> list[Block]:
    """How others read the same bytes, side by side: where the content lies, and where the next message begins."""
    count = {2: "Two", 3: "Three", 4: "Four"}.get(len(readings), str(len(readings)))
    columns = []
    for each in readings:
        pieces = [f"{start:04x}–{end:04x}" for start, end in each.content[:4] if end > start]
        more = " …" if len(each.content) > len(pieces) and len(pieces) == 4 else ""
        content = ", ".join(pieces) + more if pieces else "none"
        column = [(say(each.reader, "strong"),), (Run("content  ", "heading"), say(content))]
        if each.end is None:
            column.append((Run("never finds the end", "warning"),))
        else:
            column.append((Run(f"next {side} begins at {each.end:04x}", "framing"),))
            shown = [
                Run(piece.text, "faint" if piece.special else "value") for piece in wire_text(each.next[:48])
            ]
            column.append(tuple(shown) or (Run("with nothing, so far", "dim"),))
        columns.append(tuple(column))
    return [GAP, Line(Run(f"{count} readings of this {side}", "heading")), GAP, Columns(columns)]


def verdict_blocks(verdicts: Sequence[Verdict]) -> list[Block]:
    """What the parsers that are installed here say to the same bytes."""
    if not verdicts:
        return []
    blocks: list[Block] = [GAP, Line(Run("Parsers installed here, asked now", "heading"))]
    for each in verdicts:
        style = {True: "good", False: "error", None: "dim"}[each.accepted]
        word = {True: "takes it", False: "refuses it: ", None: "waits for more bytes"}[each.accepted]
        why = each.sentence if each.accepted is False else ""
        blocks.append(Paragraph(Run(f"{each.parser}  "), Run(word, style), Run(why), indent=2, hang=4))
    return blocks
