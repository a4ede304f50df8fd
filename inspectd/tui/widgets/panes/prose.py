"""Rows made of words: paragraphs that wrap, lines that are clipped, and a page that stacks them.

Everything here measures in terminal cells. A page knows the height of each block and makes rows only for those that
are on screen.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol

from inspectd.text.safe import cells, clip
from inspectd.tui.widgets.wireview import Run

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS: Final = re.compile(r" *[^ ]+| +$")
_SIMPLE: Final = re.compile(r"[ -~·…–—↵→]*+")


def width_of(text: str) -> int:
    """Cells that safe text takes."""
    return len(text) if _SIMPLE.fullmatch(text) else cells(text)


def fold(runs: Sequence[Run], width: int) -> list[list[Run]]:
    """Rows of at most `width` cells, broken anywhere: for bytes, where every space counts.

    A run with one character a byte is divided and keeps its offsets; any other run is divided only when it is wider
    than a whole row.
    """
    width = max(1, width)
    rows: list[list[Run]] = [[]]
    room = width
    for run in runs:
        text, style, start, end = run
        if len(text) > room and _SIMPLE.fullmatch(text) and (start < 0 or len(text) == end - start):
            # By index, so that a run of any length is divided in linear time.
            at = 0
            while at < len(text):
                if room == 0:
                    rows.append([])
                    room = width
                taken = text[at : at + room]
                first = start + at if start >= 0 else -1
                rows[-1].append(Run(taken, style, first, first + len(taken) if start >= 0 else end))
                at += len(taken)
                room -= len(taken)
            continue
        rest = run
        while rest.text:
            size = width_of(rest.text)
            if size <= room:
                rows[-1].append(rest)
                room -= size
                break
            head, rest = _divide(rest, room, whole_row=room == width)
            if head.text:
                rows[-1].append(head)
            rows.append([])
            room = width
    return rows


def _divide(run: Run, room: int, *, whole_row: bool) -> tuple[Run, Run]:
    """The part of a run that fits `room` cells, and the rest. Takes at least a character when a whole row is free."""
    text, style, start, end = run
    one_to_one = start >= 0 and len(text) == end - start
    if start >= 0 and not one_to_one and not whole_row:
        return Run("", style), run
    count = room if _SIMPLE.fullmatch(text) else _fitting(text, room)
    if whole_row:
        count = max(1, count)
    if one_to_one:
        return Run(text[:count], style, start, start + count), Run(text[count:], style, start + count, end)
    return Run(text[:count], style, start, end), Run(text[count:], style, start, end)


def _fitting(text: str, room: int) -> int:
    """How many characters of `text` fit into `room` cells."""
    taken = 0
    for count, character in enumerate(text):
        taken += cells(character)
        if taken > room:
            return count
    return len(text)


def wrap(runs: Sequence[Run], width: int, *, indent: int = 0, hang: int | None = None) -> list[list[Run]]:
    """Rows of at most `width` cells, broken between words; a word wider than a row is broken anywhere.

    `indent` is the margin of the first row, `hang` that of the others (the same when None).
    """
    hang = indent if hang is None else hang
    width = max(width, 8)
    indent, hang = min(indent, width // 2), min(hang, width // 2)
    rows: list[list[Run]] = [[Run(" " * indent)] if indent else []]
    room = width - indent
    fresh = True
    for run in runs:
        for word in _WORDS.findall(run.text):
            size = width_of(word)
            if size > room and not fresh:
                rows.append([Run(" " * hang)] if hang else [])
                room = width - hang
                fresh = True
                word = word.lstrip(" ")
                size = width_of(word)
            if size <= room:
                _extend(rows[-1], word, run)
                room -= size
                fresh = False
                continue
            for piece in fold([Run(word, run.style)], width - hang):
                if not fresh:
                    rows.append([Run(" " * hang)] if hang else [])
                text = "".join(part.text for part in piece)
                _extend(rows[-1], text, run)
                room = width - hang - width_of(text)
                fresh = False
    return rows


def _extend(row: list[Run], word: str, run: Run) -> None:
    """Add a word to a row, joined to the run before it when they look alike."""
    if row and row[-1].style == run.style and row[-1].start == run.start and row[-1].text.strip():
        row[-1] = Run(row[-1].text + word, run.style, run.start, run.end)
    else:
        row.append(Run(word, run.style, run.start, run.end))


def clipped(runs: Sequence[Run], width: int) -> list[Run]:
    """One row of at most `width` cells, with `…` where something was cut off."""
    out: list[Run] = []
    room = width
    for run in runs:
        size = width_of(run.text)
        if size <= room:
            out.append(run)
            room -= size
            continue
        if room > 0:
            out.append(Run(clip(run.text, room), run.style, run.start, run.end))
        elif out:
            last = out[-1]
            out[-1] = Run(clip(last.text + "…", width_of(last.text)), last.style, last.start, last.end)
        break
    return out


def spread(left: Sequence[Run], right: Sequence[Run], width: int) -> list[Run]:
    """`left` and, flush right when there is room for both, `right`."""
    used = sum(width_of(run.text) for run in left)
    wanted = sum(width_of(run.text) for run in right)
    if used + wanted + 2 > width:
        return clipped(left, width)
    return [*left, Run(" " * (width - used - wanted)), *right]


class Block(Protocol):
    """A part of a page."""

    def height(self, width: int) -> int:
        """Rows it takes at this width."""

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """Those rows."""


class Paragraph:
    """Runs that wrap between words."""

    __slots__ = ("_at", "_hang", "_indent", "_rows", "runs")

    def __init__(self, *runs: Run, indent: int = 0, hang: int | None = None) -> None:
        self.runs = runs
        self._indent = indent
        self._hang = hang
        self._at = -1
        self._rows: list[list[Run]] = []

    def height(self, width: int) -> int:
        """Rows it takes at this width."""
        return len(self.rows(width))

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """The wrapped rows."""
        if self._at != width:
            self._rows = wrap(self.runs, width, indent=self._indent, hang=self._hang)
            self._at = width
        return self._rows


class Line:
    """One row; what doesn't fit is cut with `…`. `right` stands flush right where there is room."""

    __slots__ = ("right", "runs")

    def __init__(self, *runs: Run, right: Sequence[Run] = ()) -> None:
        self.runs = runs
        self.right = tuple(right)

    def height(self, width: int) -> int:  # noqa: ARG002
        """One."""
        return 1

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """The row."""
        if self.right:
            return [spread(self.runs, self.right, width)]
        return [clipped(self.runs, width)]


class Title:
    """Runs, and a remark flush right on the same row, or under them where there is no room."""

    __slots__ = ("remark", "runs")

    def __init__(self, *runs: Run, remark: Run) -> None:
        self.runs = runs
        self.remark = remark

    def height(self, width: int) -> int:
        """Rows it takes at this width."""
        return len(self.rows(width))

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """The rows."""
        used = sum(width_of(run.text) for run in self.runs)
        if used + width_of(self.remark.text) + 2 <= width:
            return [spread(self.runs, [self.remark], width)]
        rows = fold(self.runs, width)
        if len(rows) > 3:
            rows = [*rows[:2], clipped([*rows[2], Run("…")], width)]
        return [*rows, clipped([self.remark], width)]


class Folded:
    """A line of text that is broken anywhere: content, where every character counts."""

    __slots__ = ("_at", "_height", "_style", "_text")

    def __init__(self, text: str, style: str = "plain") -> None:
        self._text = text
        self._style = style
        self._at = -1
        self._height = 1

    def height(self, width: int) -> int:
        """Rows it takes at this width."""
        if self._text.isascii():
            return max(1, -(-len(self._text) // max(1, width)))
        if self._at != width:
            self._at, self._height = width, len(self.rows(width))
        return self._height

    def rows(self, width: int) -> Sequence[Sequence[Run]]:
        """The rows."""
        return fold([Run(self._text, self._style)], width)


GAP: Final = Line()
"""An empty row."""


class Page:
    """A source of rows: blocks on top of each other."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self._width = -1
        self._starts: list[int] = [0]
        self._last: tuple[int, Sequence[Sequence[Run]]] | None = None

    def _measure(self, width: int) -> None:
        if width != self._width:
            self._starts = [0, *accumulate(block.height(width) for block in self.blocks)]
            self._width = width
            self._last = None

    def height(self, width: int) -> int:
        """Rows of all blocks."""
        self._measure(width)
        return self._starts[-1]

    def row(self, index: int, width: int) -> Sequence[Run]:
        """One row."""
        self._measure(width)
        at = bisect_right(self._starts, index) - 1
        if self._last is None or self._last[0] != at:
            self._last = (at, self.blocks[at].rows(width))
        rows = self._last[1]
        within = index - self._starts[at]
        return rows[within] if within < len(rows) else ()

    def block_at(self, index: int, width: int) -> Block | None:
        """The block that row `index` belongs to."""
        self._measure(width)
        return self.blocks[bisect_right(self._starts, index) - 1] if 0 <= index < self._starts[-1] else None

    def row_of(self, offset: int, width: int) -> int:
        """The first row of the block that shows the byte at `offset`."""
        self._measure(width)
        for at, block in enumerate(self.blocks):
            shown = getattr(block, "shows", None)
            if shown is not None and shown[0] <= offset < shown[1]:
                return self._starts[at]
        return 0
