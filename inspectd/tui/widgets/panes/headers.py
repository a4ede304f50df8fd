"""Pane 2: the fields in their order, duplicates and all, each with a short explanation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType

from inspectd import explain
from inspectd.text.safe import safe
from inspectd.tui.widgets.panes.meaning import Meaning, reading_blocks
from inspectd.tui.widgets.panes.pane import WIDE, TextPane, nothing_yet, sentence_page
from inspectd.tui.widgets.panes.prose import GAP, Block, Line, Page, Paragraph, fold, width_of, wrap
from inspectd.tui.widgets.wireview import LineView, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from inspectd.tui.subject import Side, SideBytes, Subject
    from inspectd.tui.widgets.wireview import LineSource
    from inspectd.wire import Field, Message

_EXPLAINED_MOST: Final = 200
"""With more fields than this each takes one row and its explanation is left to pane 1."""
_VALUE_ROWS: Final = 6
_LONGEST_VALUE: Final = 2000


class FieldRow:
    """One field: number, name, value, and what it says."""

    __slots__ = ("_at", "_copy", "_field", "_number", "_rows", "_short", "shows")

    def __init__(self, field: Field, number: int, copy: str, *, short: bool) -> None:
        self._field = field
        self._number = number
        self._copy = copy
        self._short = short
        self._at = -1
        self._rows: list[list[Run]] = []
        self.shows = (field.start, field.end)

    @property
    def value_range(self) -> tuple[int, int]:
        """Where the value stands; the name when the value is empty."""
        pieces = [piece for piece in self._field.value if piece[0] < piece[1]]
        return (pieces[0][0], pieces[-1][1]) if pieces else self._field.name

    @property
    def named_value(self) -> tuple[str, bytes]:
        """Name and value, for copying."""
        return safe(self._field.name_bytes), self._field.value_bytes

    def height(self, width: int) -> int:
        """Rows it takes at this width."""
        return 1 if self._short else len(self.rows(width))

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """The rows."""
        if self._at != width:
            self._rows = self._wide(width) if width >= WIDE - 4 else self._narrow(width)
            if self._short:
                del self._rows[1:]
            self._at = width
        return self._rows

    def _value_runs(self) -> list[Run]:
        value = self._field.value_bytes
        start, end = self.value_range
        if not value:
            return [Run("(empty)", "dim", start, end)]
        runs = [Run(safe(value[:_LONGEST_VALUE]), "value", start, end)]
        if len(value) > _LONGEST_VALUE:
            runs.append(Run(f" … {len(value) - _LONGEST_VALUE:,} bytes more, whole in 1 Anatomy", "dim"))
        return runs

    def _name_runs(self) -> list[Run]:
        runs = [Run(safe(self._field.name_bytes[:120]), "name")]
        if self._copy:
            runs.append(Run(f" {self._copy}", "warning"))
        return runs

    def _said(self) -> str:
        name = self._field.name_bytes.decode("latin-1")
        value = explain.value(name, self._field.value_bytes)
        return safe(value.sentence if value is not None else explain.field(name).sentence)

    def _wide(self, width: int) -> list[list[Run]]:
        name_width, room = 32, width - 4 - 32 - 2
        value_width = room * 9 // 20
        names = fold(self._name_runs(), name_width - 1)[:_VALUE_ROWS]
        values = _bounded(fold(self._value_runs(), value_width))
        said = [] if self._short else wrap([Run(self._said(), "dim")], room - value_width)[:_VALUE_ROWS]
        rows = []
        for at in range(max(len(names), len(values), len(said))):
            number = f"{self._number:>3} " if at == 0 else "    "
            row = [Run(number, "faint"), *_padded(names[at] if at < len(names) else [], name_width)]
            row += _padded(values[at] if at < len(values) else [], value_width)
            rows.append([*row, Run("  "), *(said[at] if at < len(said) else [])])
        return rows

    def _narrow(self, width: int) -> list[list[Run]]:
        values = _bounded(fold([*self._name_runs(), Run(": ", "name"), *self._value_runs()], width - 4))
        rows = [
            [Run(f"{self._number:>3} " if at == 0 else "    ", "faint"), *row]
            for at, row in enumerate(values)
        ]
        if not self._short:
            rows += wrap([Run(self._said(), "dim")], width, indent=6)[:2]
        return rows


def _bounded(rows: list[list[Run]]) -> list[list[Run]]:
    if len(rows) > _VALUE_ROWS:
        return [*rows[: _VALUE_ROWS - 1], [Run("… whole in 1 Anatomy", "dim")]]
    return rows


def _padded(row: Sequence[Run], width: int) -> list[Run]:
    used = sum(width_of(run.text) for run in row)
    return [*row, Run(" " * max(0, width - used))]


class FieldView(LineView):
    """Fields with a cursor that goes from one to the next."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "field(-1)", "the field before", show=False, id="field.up"),
        Binding("down", "field(1)", "the next field", show=False, id="field.down"),
        Binding("home", "edge(0)", "first field", show=False, id="field.first"),
        Binding("end", "edge(-1)", "last field", show=False, id="field.last"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.fields: list[FieldRow] = []
        self.current = 0

    def put(self, number: int, *, scroll: bool = True) -> None:
        """Put the cursor on a field, counted from 0."""
        if self.fields:
            self.current = min(max(number, 0), len(self.fields) - 1)
            self.select(*self.fields[self.current].value_range, scroll=scroll)

    def action_field(self, step: int) -> None:
        """To the next field or the one before; past the last one the page goes on scrolling."""
        if not self.fields or not 0 <= self.current + step < len(self.fields):
            self.scroll_relative(y=step, animate=False)
            return
        self.put(self.current + step)

    def action_edge(self, number: int) -> None:
        """To the first field or the last."""
        self.put(len(self.fields) - 1 if number < 0 else number)

    def on_line_view_picked(self, event: LineView.Picked) -> None:
        """A click chooses the field of its row."""
        event.stop()
        source = self.source
        block = source.block_at(event.row, self.row_width) if isinstance(source, Page) else None
        if isinstance(block, FieldRow):
            self.put(self.fields.index(block))


class Headers(TextPane):
    """The fields as a table."""

    title = "Headers"
    short = "Fields"
    sided = True

    def compose(self) -> ComposeResult:
        """One view."""
        yield FieldView()

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Show the fields; the cursor stays on its field when only more bytes came."""
        same = self._shows(subject, side)
        super().show(subject, side=side)
        view = self.query_one(FieldView)
        source = view.source
        view.fields = (
            [block for block in source.blocks if isinstance(block, FieldRow)]
            if isinstance(source, Page)
            else []
        )
        view.put(view.current if same else 0, scroll=not same)

    def page(self, subject: Subject, side: Side) -> LineSource:
        """The table, and what the fields say together."""
        bytes_ = subject.side(side)
        messages = bytes_.stream.messages if bytes_.prefix else []
        if not messages:
            text = (
                "These bytes are no HTTP message: 1 Anatomy shows them."
                if bytes_.prefix
                else nothing_yet(subject, side)
            )
            return sentence_page(text)
        blocks: list[Block] = []
        for message in messages:
            blocks += _message_blocks(
                bytes_, message, short=sum(len(each.head.fields) for each in messages) > _EXPLAINED_MOST
            )
        if bytes_.truncated:
            text = f"from the first {len(bytes_.prefix):,} of {bytes_.total:,} bytes"
            blocks.append(Line(Run(text, "warning")))
        if side == "request":
            for number, reading in enumerate(Meaning(subject, side).readings):
                blocks += [GAP, *reading_blocks(reading, subject, first=number == 0)]
        return Page(blocks)

    def selected_value(self) -> tuple[str, bytes] | None:
        """The value of the field the cursor is on."""
        view = self.query_one(FieldView)
        return view.fields[view.current].named_value if view.current < len(view.fields) else None


def _message_blocks(bytes_: SideBytes, message: Message, *, short: bool) -> list[Block]:
    """The start line and the fields of one message."""
    start, end = message.head.start_line
    line = safe(bytes_.prefix[start : min(end, start + 1000)])
    blocks: list[Block] = [
        Paragraph(Run(line, "strong"), *([Run("  interim response", "dim")] if message.interim else []))
    ]
    for fields, title in (
        (message.head.fields, ""),
        (message.trailers, "Trailer section, after the content"),
    ):
        if title and fields:
            blocks += [GAP, Line(Run(title, "heading"))]
        counts = Counter(field.name_bytes.lower() for field in fields)
        seen: Counter[bytes] = Counter()
        for number, field in enumerate(fields, 1):
            name = field.name_bytes.lower()
            seen[name] += 1
            copy = f"({seen[name]} of {counts[name]})" if counts[name] > 1 else ""
            blocks.append(FieldRow(field, number, copy, short=short))
    if not message.head.fields:
        blocks.append(Paragraph(Run("no fields", "dim"), indent=1))
    return blocks
